"""Latency of natdeploy's own artifacts on a processor that was never timed, from their kernels' machine code.

Compute by llvm-mca (:mod:`natdeploy.compiler.kernel_cycles`), data by the execution-cache-memory model (Stengel et al.
2015) in its simplest form, in which nothing overlaps: a kernel's time is that of its loops with all data in the nearest
cache, plus that of carrying its data there. All of them cross to the first level, activations that exceed the second
level come from the last one, those that exceed the last one from memory. Weights are read once a run, and asked for
ahead: they are waited for where a network's exceed the last level, beyond it. The cycles that a call takes, the bytes
a cycle between caches and the rule for weights were chosen on timings of one Zen 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from natdeploy.compiler import KernelCache
from natdeploy.compiler.kernel_cycles import CoreModel, KernelCost, core_model, kernel_costs
from natdeploy.compiler.kernel_objects import Progress
from natdeploy.devices import HardwareProfile, llvm_target
from natdeploy.ground.files import canonical_json
from natdeploy.latency.hardware.prior import Prior
from natdeploy.latency.hardware.roofline import FUSED, OWN_CALL_CYCLES, Processor, processor_of
from natdeploy.latency.inputs.gene_sums import Archs, GeneSums
from natdeploy.latency.intervals.prediction import LatencyPrediction
from natdeploy.spaces import INPUT, Layer, Space

#: Sums over layers, whole numbers all.
WORK = ("calls", "cycles", "bytes", "far_bytes", "memory_bytes", "weight_bytes")
#: Bytes a cycle between levels of cache.
CACHE_BYTES = 32
#: Bytes a cycle from memory where the profile has no bandwidth, and at most: one core has only so many misses on their
#: way.
MEMORY_BYTES = 8
#: Up to so many architectures are summed layer by layer: a table of all of a space takes all of its kernels.
FEW = 64


@dataclass(frozen=True)
class Machine:
    """A processor and LLVM's model of it.

    Attributes:
        target: TVM's.
        model: LLVM's.
        processor: from the hardware profile.
        memory_gb_s: memory's bandwidth; None where it is not known.
    """

    target: dict[str, Any]
    model: CoreModel
    processor: Processor
    memory_gb_s: float | None

    @staticmethod
    def of(profile: HardwareProfile) -> Machine:
        """Of a device. Raises BadInput where its profile lacks what a prior takes, where LLVM's tools are missing, and
        where they have no model of the processor."""
        processor, target = processor_of(profile), llvm_target(profile)
        model = core_model(target, profile.timed_cluster.fmas_per_cycle, KernelCache())
        return Machine(target, model, processor, profile.memory.bandwidth_gb_s)

    @property
    def says(self) -> str:
        """Which model of which tool."""
        own = str(self.target["mcpu"])
        stands = f"{self.model.cpu} for {own}" if self.model.cpu != own else own
        return f"machine code by {self.model.tool} ({stands})"

    def ms(self, sums: np.ndarray) -> np.ndarray:
        """Milliseconds of networks, from sums of :data:`WORK`, float64 ``[n, len(WORK)]``."""
        calls, cycles, moved, far, memory, weights = sums.T
        beyond = memory + np.maximum(0, weights - 1024 * self.processor.last_kib)
        clock = self.processor.clock_ghz
        ns = (
            (OWN_CALL_CYCLES * calls + (moved + far) / CACHE_BYTES) / clock
            + cycles * (self.model.macs_per_cycle / self.processor.macs_per_ns)
            + beyond / min(self.memory_gb_s or np.inf, MEMORY_BYTES * clock)
        )
        return np.asarray(np.maximum(1e-6 * ns, 1e-6))


@dataclass(frozen=True, eq=False)
class MachineCodePredictor:
    """Mean and interval for natdeploy's artifacts of a space's architectures.

    Attributes:
        prior: how far devices were off theirs.
        machine: that would run them.
        space: of the architectures.
        known: costs of the kernels that were analysed, by workload; grows when others are needed.
        progress: told when that takes compiling kernels, which a whole space's take a minute or two to be.
    """

    prior: Prior
    machine: Machine
    space: Space
    known: dict[str, KernelCost] = field(default_factory=dict)
    progress: Progress | None = field(default=None, repr=False)
    _asked: set[int] = field(default_factory=set, repr=False)
    _sums: dict[int, tuple[GeneSums, GeneSums, dict[str, Layer]]] = field(default_factory=dict, repr=False)

    def predict(self, archs: Archs, coverage: float, num_classes: int | None = None) -> LatencyPrediction:
        """Latencies of architectures. Raises BadInput where LLVM's tools are needed and missing, ChildFailed."""
        classes = self.space.num_classes if num_classes is None else num_classes
        sums = self._by_layers(archs, classes) if self._are_few(archs, classes) else self._by_table(archs, classes)
        return self._prediction(self.machine.ms(sums), coverage)

    def of_layers(self, layers: Sequence[Layer], coverage: float) -> tuple[np.ndarray, LatencyPrediction]:
        """Milliseconds of each layer, float64 ``[n]``, and the latency of all together, which is their sum."""
        self._analyse(layers)
        each = np.stack([self._work([layer]) for layer in layers])
        whole = self.machine.ms(each.sum(0, keepdims=True))
        # What all weights together exceed the caches by is shared out by weight.
        parts = np.where(each.any(1), self.machine.ms(each), 0.0)
        excess, weights = whole[0] - parts.sum(), each[:, WORK.index("weight_bytes")]
        share = weights / weights.sum() if weights.any() else np.zeros(len(layers))
        return parts + excess * share, self._prediction(whole, coverage)

    def _prediction(self, mean_ms: np.ndarray, coverage: float) -> LatencyPrediction:
        return LatencyPrediction.around(mean_ms, self.prior.half_width(coverage))

    def _are_few(self, archs: Archs, classes: int) -> bool:
        """Whether only their own kernels shall be compiled: once, since whoever asks for few again and again asks for
        all in the end, and each time takes a compiler's start."""
        return len(archs) <= FEW and classes not in self._sums and classes not in self._asked

    def _by_layers(self, archs: Archs, classes: int) -> np.ndarray:
        listed = [self.space.decode(one) for one in archs] if isinstance(archs, np.ndarray) else archs
        networks = [self.space.layers(arch, classes) for arch in listed]
        if self._analyse([layer for network in networks for layer in network]):
            self._asked.add(classes)
        return np.array([self._work(network) for network in networks]).reshape(-1, len(WORK))

    def _by_table(self, archs: Archs, classes: int) -> np.ndarray:
        if classes not in self._sums:
            asked: dict[str, Layer] = {}
            notes = GeneSums(self.space, lambda layers: _note(layers, asked), classes)
            self._sums[classes] = GeneSums(self.space, self._work, classes), notes, asked
        # What the table will ask for is compiled all at once.
        sums, notes, asked = self._sums[classes]
        notes(archs)
        if asked:
            self._analyse(list(asked.values()))
            asked.clear()
        return sums(archs)

    def _work(self, layers: Sequence[Layer]) -> np.ndarray:
        total = np.zeros(len(WORK))
        for layer in layers:
            if layer.op not in FUSED:
                total += self._of(self.known[_key(layer)])
        return total

    def _of(self, cost: KernelCost) -> tuple[float, ...]:
        processor, held = self.machine.processor, cost.activation_bytes
        far, memory = (max(0, held - 1024 * kib) for kib in (processor.near_kib, processor.last_kib))
        return 1, round(cost.cycles), held + cost.weight_bytes, far, memory, cost.weight_bytes

    def _analyse(self, layers: Sequence[Layer]) -> bool:
        """Whether there was anything to do."""
        asked: dict[str, Layer] = {}
        _note(layers, asked)
        missing = {key: layer for key, layer in asked.items() if key not in self.known}
        if missing:
            target, model = self.machine.target, self.machine.model
            found = kernel_costs(list(missing.values()), target, model, KernelCache(), self._tell)
            self.known.update(zip(missing, found))
        return bool(missing)

    def _tell(self, stage: str, fraction: float) -> None:
        if self.progress is not None:
            cpu = self.machine.target["mcpu"]
            self.progress(f"{stage} to predict latencies of {cpu} by, kept for the next time", fraction)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready; the space is not part of it, nor is who is told."""
        return {
            "machine_code": asdict(self.machine),
            "prior": self.prior.to_json(),
            "kernel_costs": {key: list(asdict(cost).values()) for key, cost in sorted(self.known.items())},
        }

    @staticmethod
    def from_json(value: dict[str, Any], space: Space) -> MachineCodePredictor:
        """Inverse of :meth:`to_json`."""
        machine = value["machine_code"]
        read = Machine(
            target=dict(machine["target"]),
            model=CoreModel(**machine["model"]),
            processor=Processor(**machine["processor"]),
            memory_gb_s=None if machine["memory_gb_s"] is None else float(machine["memory_gb_s"]),
        )
        known = {
            str(key): KernelCost(float(cycles), int(activations), int(weights))
            for key, (cycles, activations, weights) in value["kernel_costs"].items()
        }
        return MachineCodePredictor(Prior.from_json(value["prior"]), read, space, known)


def _note(layers: Sequence[Layer], asked: dict[str, Layer]) -> np.ndarray:
    """Keep one layer of each workload; the answer is for who only looks at which networks are asked for."""
    for layer in layers:
        if layer.op not in FUSED:
            asked.setdefault(_key(layer), layer)
    return np.zeros(1)


def _key(layer: Layer) -> str:
    """A workload; images enter a network in another layout than maps."""
    return canonical_json({**layer.workload(), "planar": INPUT in layer.inputs})
