"""Devices of which little was published, and others that can be known by as little, to see how far that goes.

The Raspberry Pi 4 and the Pixel 3 are HW-NAS-Bench's (Li et al. 2021, through HELP's tables): FBNet networks for images
of 32 pixels, each the sum of what its blocks take alone. Of the Pixel 3, MobileNetV3's paper (Howard et al. 2019,
Table 3: one large core, TFLite, batch 1) has networks for 224 pixels, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from benchmarks.prior_devices import TABLE_FILES, network_draws, operators, phone_networks, prior_times, table_rows
from benchmarks.published_latencies import TABLES
from natdeploy.devices import load_profile
from natdeploy.latency.hardware.prior import DeviceTimes
from natdeploy.latency.hardware.refined_prior import Judge, Little
from natdeploy.latency.hardware.roofline import processor_of
from natdeploy.measure.publications import read_published
from natdeploy.spaces import Arch, get_space
from natdeploy.spaces.operators import OperatorSpace

#: HELP's names of devices that HW-NAS-Bench timed.
SMALL_IMAGES = {"pixel3": "pixel3", "rpi4": "raspi4"}
#: Networks of 224 pixels on a Pixel 3 (MobileNetV3's paper), by mobile-ml-benchmark's names, which has their operators.
PIXEL3_MS = {
    "mobilenetv3_large_w1": 44.0,
    "mobilenetv3_large_w3d4": 40.0,
    "mnasnet_a1": 61.0,
    "proxylessnas_mobile": 60.0,
    "mobilenetv2_w1": 56.0,
    "mobilenetv3_small_w1": 14.4,
    "mobilenetv3_small_w3d4": 11.7,
}
#: The largest maps of FBNet's networks for 32 pixels, and how many blocks these have.
SMALL_MAP, PLACES = 32, 22
#: Networks of small maps that a device is known by.
KNOWN = 300
#: Operators with grouped convolutions, which no network that is searched has.
GROUPED = "_g2"
#: A sum's digits in the table end here.
EXACT_MS = 1e-5


@cache
def small_images(device: str) -> DeviceTimes:
    """Networks for 32 pixels without grouped convolutions, put together from a device's published sums.

    Raises SystemExit where the published latencies are no sums of blocks.
    """
    space = get_space("fbnet")
    assert isinstance(space, OperatorSpace)
    found = {
        Arch.from_json(dict(row.what), space=space.name): row.latency_ms
        for row in read_published("help", TABLES / "help_fbnet.csv.gz")
        if (row.device, row.setting) == (SMALL_IMAGES[device], "batch 1")
    }
    table, latency_ms = _places(space, list(found)), np.array(list(found.values()))
    blocks_ms = np.linalg.lstsq(table, latency_ms, rcond=None)[0]
    if np.abs(table @ blocks_ms - latency_ms).max() > EXACT_MS:
        raise SystemExit(f"{device}: latencies of FBNet networks are not sums of blocks'")
    plain = [index for index, name in enumerate(space.operators) if not name.endswith(GROUPED)]
    drawn = np.random.default_rng(47).choice(plain, (KNOWN, space.places))
    archs = [space.decode(genome) for genome in drawn]
    processor = processor_of(load_profile(device))
    return DeviceTimes.of(processor, [space.layers(arch) for arch in archs], _places(space, archs) @ blocks_ms)


def published_networks(device: str) -> int:
    """How many distinct networks :func:`small_images` stands for."""
    rows = read_published("help", TABLES / "help_fbnet.csv.gz")
    return sum((row.device, row.setting) == (SMALL_IMAGES[device], "batch 1") for row in rows)


def pixel3_networks() -> DeviceTimes:
    """Of 224 pixels."""
    return _models("pixel3", PIXEL3_MS)


@cache
def small_image_judges() -> dict[str, Judge]:
    """Devices known by networks of small maps alone."""
    judges = {name: Judge(Little((_small_maps(name),), full_size=False), prior_times()[name]) for name in TABLE_FILES}
    known = Little((small_images("pixel3"),), full_size=False)
    return {**judges, "pixel3": Judge(known, pixel3_networks())}


@cache
def few_network_judges() -> dict[str, Judge]:
    """Devices known by seven networks of full size, and by networks of small maps where they have such."""
    judges = {}
    for name in TABLE_FILES:
        times = prior_times()[name]
        rows = np.flatnonzero([block.op == "mbconv" for block, _ in table_rows(name)])
        few = _sums(times, rows[network_draws(len(rows), len(PIXEL3_MS), 1)])
        judges[name] = Judge(Little((few, _small_maps(name)), full_size=True), times)
    for name in ("pixel4", "mi8se"):
        found = phone_networks(name)
        like = {
            model: latency_ms
            for model, latency_ms in found.items()
            if model not in PIXEL3_MS and any(layer.is_depthwise for layer in operators()[model])
        }
        few = _models(name, {model: found[model] for model in PIXEL3_MS})
        judges[name] = Judge(Little((few,), full_size=True), _models(name, like))
    return judges


def _places(space: OperatorSpace, archs: Sequence[Arch]) -> np.ndarray:
    """Which operator stands at each place, float64 ``[archs, places * operators]``."""
    genomes = np.stack([space.encode(arch) for arch in archs])
    return np.eye(len(space.operators))[genomes].reshape(len(archs), -1)


def _small_maps(name: str) -> DeviceTimes:
    """Random networks of a table's blocks whose maps are no larger than FBNet's."""
    rows = [row for row, (block, _) in enumerate(table_rows(name)) if block.op == "mbconv" and block.in_h <= SMALL_MAP]
    return _sums(prior_times()[name], np.random.default_rng(53).choice(rows, (KNOWN, PLACES)))


def _sums(times: DeviceTimes, rows: np.ndarray) -> DeviceTimes:
    """Networks of a table's rows, int64 ``[networks, blocks]``."""
    networks = tuple((place,) for place in range(len(rows)))
    return DeviceTimes(times.processor, times.work[rows].sum(1), times.latency_ms[rows].sum(1), networks)


def _models(device: str, found: Mapping[str, float]) -> DeviceTimes:
    layers = [operators()[model] for model in found]
    return DeviceTimes.of(processor_of(load_profile(device)), layers, list(found.values()))
