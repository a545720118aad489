"""What a network takes on a processor of which only the hardware profile is known.

A roofline (Williams et al. 2009) whose parts add up: multiply-adds at a share of the processor's peak rate, elements
moved within and beyond its caches at so many multiply-adds each, and cycles per operator. The shares are no property of
one device: :mod:`natdeploy.latency.hardware.prior` learns them from many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from natdeploy.devices import HardwareProfile
from natdeploy.ground.errors import BadInput
from natdeploy.latency.inputs.features import ELEMENT_BYTES, layer_kind
from natdeploy.spaces import Layer

#: What a network is made of: whole numbers all, so that sums do not depend on their order.
WORK = (
    "operators",
    "dense_macs",
    "depthwise_macs",
    "spatial_macs",
    "vector_weights",
    "near_elements",
    "far_elements",
    "memory_elements",
)
#: Computed together with the operator before it.
FUSED = ("add",)
#: Cycles that a call of one of natdeploy's own kernels takes beyond its loops, and costs of its artifacts in the order
#: of :data:`WORK`: other runtimes spend thousands of cycles on an operator, and some of them more on a multiply-add.
#: Round numbers, chosen among some that least squares led to, on timings of subnets of three spaces on one Zen 5.
OWN_CALL_CYCLES = 200.0
OWN_COST = (OWN_CALL_CYCLES, 1.2, 1.5, 1.5, 0.2, 1.0, 2.0, 16.0)
#: Vector multiply-adds a cycle that are taken for granted where a measured peak is all that is known of a clock.
_PIPES = 2


@dataclass(frozen=True)
class Processor:
    """What a hardware profile tells of the core that networks run on.

    Attributes:
        macs_per_ns: peak fp32 multiply-adds of one core.
        clock_ghz: its clock.
        near_kib: its own cache (level 2, or level 1 where that is not known or there is none).
        last_kib: its largest cache.
    """

    macs_per_ns: float
    clock_ghz: float
    near_kib: int
    last_kib: int

    def ms_per_unit(self) -> np.ndarray:
        """Milliseconds of :data:`WORK` at peak: a cycle an operator and a weight, a multiply-add an element."""
        cycle, mac = 1e-6 / self.clock_ghz, 1e-6 / self.macs_per_ns
        return np.array([cycle, mac, mac, mac, cycle, mac, mac, mac])


def processor_of(profile: HardwareProfile) -> Processor:
    """The core that a device's networks run on.

    A virtual machine tells no clock: it is then the one at which two vector multiply-adds a cycle make the measured
    peak. Raises BadInput naming the field that the profile lacks.
    """
    if profile.compute != "cpu":
        raise BadInput(
            f"hardware profile {profile.name!r}: networks run on its {profile.compute}, which no prior is known of; "
            f"run natdeploy profile --device {profile.name}"
        )
    cluster = profile.timed_cluster
    peak_gops = cluster.peak_gops()
    sizes = {cache.level: cache.kib for cache in cluster.caches if cache.kind != "instruction"}
    clock_mhz = cluster.clock_mhz
    if clock_mhz is None and cluster.peak_gflops_per_core is not None:
        vectors = cluster.fmas_per_cycle or _PIPES
        clock_mhz = 1000 * cluster.peak_gflops_per_core / (2 * cluster.vector_bits / 32 * vectors)
    missing = {
        "clock_mhz": clock_mhz is None,
        "fmas_per_cycle": peak_gops is None,
        "caches beyond level 1": not sizes or max(sizes) < 2,
    }
    lacking = [name for name, absent in missing.items() if absent]
    if lacking or clock_mhz is None or peak_gops is None:
        raise BadInput(
            f"hardware profile {profile.name!r}: cluster {cluster.name!r} has no {' and no '.join(lacking)}, without "
            f"which there is no prior; add it, or run natdeploy profile --device {profile.name}"
        )
    return Processor(peak_gops / 2, clock_mhz / 1000, sizes.get(2, sizes[min(sizes)]), sizes[max(sizes)])


def work(layers: Sequence[Layer], processor: Processor) -> np.ndarray:
    """Amounts of :data:`WORK` in a network, float64 ``[len(WORK)]``."""
    total = np.zeros(len(WORK))
    for layer in layers:
        if layer.op not in FUSED:
            total += _work(layer, processor)
    return total


def _work(layer: Layer, processor: Processor) -> tuple[float, ...]:
    kind = layer_kind(layer)
    elements = layer.in_c * layer.in_h * layer.in_w + layer.out_elements
    beyond_near, beyond_last = (
        max(0, elements - 1024 * kib // ELEMENT_BYTES) for kib in (processor.near_kib, processor.last_kib)
    )
    return (
        1,
        layer.macs if kind == "dense" else 0,
        layer.macs if layer.is_depthwise else 0,
        layer.macs if kind in ("spatial", "grouped") else 0,
        layer.macs if kind == "vector" else 0,
        elements - beyond_near,
        beyond_near - beyond_last,
        beyond_last,
    )
