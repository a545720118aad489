"""Published latencies from which the prior is learned: tables of blocks, and whole networks of known operators."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np

from benchmarks.published_latencies import TABLES
from natdeploy.devices import HardwareProfile, load_profile
from natdeploy.latency import operator_lists
from natdeploy.latency.hardware.prior import DeviceTimes
from natdeploy.latency.hardware.roofline import Processor, processor_of
from natdeploy.latency.published.block_layers import block_layers
from natdeploy.measure.publications import read_published
from natdeploy.measure.published import PublishedTiming
from natdeploy.spaces import Block, Layer

#: Blocks of a network that is put together from a table.
BLOCKS = 16
#: Networks by which a table's device is judged when the prior is fitted.
JUDGED = 200
TABLE_FILES = {
    "note10": ("ofa_note10_lut.csv", "ofa-lut"),
    "pixel1": ("proxyless_pixel1_lut.csv", "proxyless-lut"),
    "i7-8700k": ("msunas_i7_8700k_lut.csv", "msunas-lut"),
}
#: mobile-ml-benchmark's name of a device whose fastest core ran TFLite.
PHONES = {"pixel4": "pixel4", "mi8se": "mi8se"}
#: ncnn's networks and the same ones of mobile-ml-benchmark, whose operators are known.
NCNN_NETWORKS = {
    "mobilenet": "mobilenet_w1",
    "mobilenet_v2": "mobilenetv2_w1",
    "mobilenet_v3": "mobilenetv3_large_w1",
    "mnasnet": "mnasnet_b1",
    "proxylessnasnet": "proxylessnas_mobile",
    "regnety_400m": "regnety004",
    "squeezenet": "squeezenet_v1_1",
}


@dataclass(frozen=True)
class Board:
    """A device of ncnn's page: how its heading begins, where its clock is not the profile's, and the cores used."""

    heading: str
    clock_mhz: float | None = None
    powersave: int = 0

    @property
    def setting(self) -> str:
        """One thread on the processor, as a published timing tells it."""
        return f"num_threads 1, powersave {self.powersave}, gpu_device -1"


BOARDS = {
    "rock5b": Board("Rockchip RK3588 (Quad Core A76 2.4GHz"),
    "rpi5": Board("Raspberry Pi 5 Broadcom BCM2712, Cortex-A76 (ARMv8) (2.4GHz"),
    "rpi3": Board("Raspberry Pi 3 Model B+", clock_mhz=1400),
    "jetson-nano": Board("NVIDIA Jetson Nano"),
    "jetson-orin-nano": Board("NVIDIA Jetson Orin Nano"),
    "galaxy-s23": Board("Qualcomm SM8550-AB Snapdragon 8 Gen 2", clock_mhz=3200, powersave=2),
}


@cache
def operators() -> dict[str, tuple[Layer, ...]]:
    """TFLite's operators of the models that mobile-ml-benchmark timed."""
    rows = read_published("mobile-ml-benchmark", TABLES / "qed_cnn_gpu_ops.csv.gz")
    return operator_lists([row for row in rows if row.runtime == "tflite"])


def table_rows(name: str) -> list[tuple[Block, float]]:
    """Blocks of a table with milliseconds."""
    file, format_name = TABLE_FILES[name]
    return [(Block(**row.what), row.latency_ms) for row in read_published(format_name, TABLES / file)]


def network_draws(blocks: int, count: int, seed: int) -> np.ndarray:
    """Row numbers of random networks of :data:`BLOCKS` blocks, int64 ``[count, BLOCKS]``."""
    return np.random.default_rng([seed, 41]).integers(blocks, size=(count, BLOCKS))


@cache
def prior_times() -> dict[str, DeviceTimes]:
    """Everything that the prior is learned from, by hardware profile."""
    makers: dict[str, Callable[[], DeviceTimes]] = {
        **{name: partial(_table, name) for name in TABLE_FILES},
        **{name: partial(_phone, name) for name in PHONES},
        **{name: partial(_board, name) for name in BOARDS},
    }
    return {name: make() for name, make in makers.items()}


def _table(name: str) -> DeviceTimes:
    rows = table_rows(name)
    residual = [row for row, (block, _) in enumerate(rows) if block.op == "mbconv"]
    drawn = [[residual[place] for place in places] for places in network_draws(len(residual), JUDGED, 0)]
    return DeviceTimes.of(_processor(name), [block_layers(block) for block, _ in rows], [ms for _, ms in rows], drawn)


def phone_networks(name: str) -> dict[str, float]:
    """Milliseconds of TFLite on a phone's fastest core, by models whose operators are known."""
    wanted = (PHONES[name], "tflite", "1large float")
    return {
        row.what["model"]: row.latency_ms
        for row in _published("mobile-ml-benchmark", "qed_cnn_e2e.csv.gz")
        if (row.device, row.runtime, row.setting) == wanted and row.what["model"] in operators()
    }


def _phone(name: str) -> DeviceTimes:
    found = phone_networks(name)
    return _networks(_processor(name), [(operators()[model], found[model]) for model in found])


def _board(name: str) -> DeviceTimes:
    board = BOARDS[name]
    # The first of several tables under a heading that are of one thread on the processor.
    found: dict[str, float] = {}
    for row in _published("ncnn", "ncnn_benchmark.csv.gz"):
        if row.device.startswith(board.heading) and row.setting == board.setting:
            found.setdefault(row.what["model"], row.latency_ms)
    networks = [(operators()[kin], found[model]) for model, kin in NCNN_NETWORKS.items() if model in found]
    return _networks(_half_precision(_processor(name, board.clock_mhz), name), networks)


def _half_precision(processor: Processor, name: str) -> Processor:
    """ncnn's benchmark computes in half precision where the processor can."""
    peak_gops = load_profile(name).timed_cluster.peak_gops("fp16")
    return processor if peak_gops is None else replace(processor, macs_per_ns=2 * processor.macs_per_ns)


def _networks(processor: Processor, found: list[tuple[tuple[Layer, ...], float]]) -> DeviceTimes:
    return DeviceTimes.of(processor, [layers for layers, _ in found], [ms for _, ms in found])


@cache
def _published(format_name: str, file: str) -> tuple[PublishedTiming, ...]:
    return tuple(read_published(format_name, TABLES / file))


def _processor(name: str, clock_mhz: float | None = None) -> Processor:
    profile: HardwareProfile = load_profile(name)
    if clock_mhz is not None:
        fastest = profile.timed_cluster.model_copy(update={"clock_mhz": clock_mhz})
        profile = profile.model_copy(update={"clusters": (fastest, *profile.clusters[1:])})
    return processor_of(profile)
