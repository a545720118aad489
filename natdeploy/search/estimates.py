"""What is known of an architecture before it is trained or run: predicted latency, modelled energy, static costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from natdeploy.runs import ArchiveEntry, Requirements
from natdeploy.runs.quantities import STATIC, with_ends
from natdeploy.spaces import Arch, Costs, Space, costs, file_bytes

#: Estimates kept in memory.
_REMEMBERED = 50_000


class Latencies(Protocol):
    """Predicted milliseconds, one number per architecture."""

    @property
    def mean_ms(self) -> np.ndarray:
        """Expected latency."""
        ...

    @property
    def lower_ms(self) -> np.ndarray:
        """Lower end of the interval."""
        ...

    @property
    def upper_ms(self) -> np.ndarray:
        """Upper end of the interval."""
        ...


class LatencyPredictor(Protocol):
    """What the search needs of a latency model."""

    def predict(self, archs: Sequence[Arch], *, num_classes: int | None = None) -> Latencies:
        """Latency and interval of each architecture with so many classes."""
        ...

    def save(self, path: Path) -> object:
        """Write the model as JSON."""
        ...


@dataclass(frozen=True)
class Estimate:
    """An architecture with everything but its accuracy; fields as in :class:`~natdeploy.runs.ArchiveEntry`.

    ``feasible`` leaves out what only an evaluation tells; ``more`` has no figures of data sets yet. Static costs are
    counted when they are asked for: evolution judges thousands that nobody asks about.
    """

    arch: Arch
    latency_ms: float
    latency_lower_ms: float
    latency_upper_ms: float
    feasible: bool
    static: Callable[[Arch], tuple[Costs, int]] = field(repr=False, compare=False)
    requirements: Requirements = field(repr=False, compare=False)
    more: Mapping[str, float] = field(default_factory=dict, hash=False)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one image."""
        return self.static(self.arch)[0].macs

    @property
    def params(self) -> int:
        """Trained parameters."""
        return self.static(self.arch)[0].params

    @property
    def peak_activation_bytes(self) -> int:
        """Largest sum of live activations."""
        return self.static(self.arch)[0].peak_activation_bytes

    @property
    def file_bytes(self) -> int:
        """Size of the exported model."""
        return self.static(self.arch)[1]

    def value(self, name: str) -> float:
        """A figure by name. Raises KeyError for one that only an evaluation tells."""
        if name in self.more:
            return self.more[name]
        if name in STATIC or name in ("latency_ms", "latency_lower_ms", "latency_upper_ms"):
            return float(getattr(self, name))
        raise KeyError(name)

    def with_accuracy(
        self,
        top1: float,
        loss: float,
        images: int,
        generation: int,
        *,
        predicted_within: float | None = None,
        tasks: Mapping[str, float] | None = None,
    ) -> ArchiveEntry:
        """The archive's entry once the network was evaluated. Raises ValueError for values that are not finite.

        ``predicted_within`` is the typical error of an accuracy that was predicted; None of one that was measured.
        ``tasks`` are figures of further data sets by name.
        """
        entry = ArchiveEntry(
            arch=self.arch,
            top1=top1,
            loss=loss,
            val_images=images,
            latency_ms=self.latency_ms,
            latency_lower_ms=self.latency_lower_ms,
            latency_upper_ms=self.latency_upper_ms,
            macs=self.macs,
            params=self.params,
            peak_activation_bytes=self.peak_activation_bytes,
            generation=generation,
            feasible=self.feasible,
            accuracy_source="measured" if predicted_within is None else "predicted",
            top1_error=predicted_within or 0.0,
            more={**self.more, "file_bytes": float(self.file_bytes), **(tasks or {})},
        )
        return replace(entry, feasible=self.requirements.over(entry) <= 0)


@dataclass(frozen=True)
class Elsewhere:
    """A further device or runtime.

    Attributes:
        latency: predicts milliseconds there; None for the run's own, which has only ``watts`` to say.
        watts: what a busy network draws there, of the energy's model; None where energy is not asked for.
    """

    latency: LatencyPredictor | None
    watts: float | None = None


class Estimator:
    """Estimates architectures of one space under one budget, each only once.

    Args:
        space: the space.
        latency: predicts milliseconds.
        budget_ms: feasible is what has its interval's upper end within it.
        num_classes: of the networks whose costs and latencies are estimated.
        elsewhere: further devices and runtimes by ``device:runtime``; under the empty name the watts of the run's own.
        requirements: what feasible is where it is more than that budget.
    """

    def __init__(
        self,
        space: Space,
        latency: LatencyPredictor,
        budget_ms: float,
        num_classes: int,
        *,
        elsewhere: Mapping[str, Elsewhere] | None = None,
        requirements: Requirements | None = None,
    ) -> None:
        self.space, self.budget_ms, self.num_classes = space, budget_ms, num_classes
        self.requirements = requirements or Requirements({"latency_ms": budget_ms})
        self._latency = latency
        self._elsewhere = dict(elsewhere or {})
        self._known: dict[Arch, Estimate] = {}
        self._static: dict[Arch, tuple[Costs, int]] = {}

    def __call__(self, archs: Sequence[Arch]) -> list[Estimate]:
        """Estimates in the order of ``archs``."""
        if len(self._known) > _REMEMBERED:
            self._known.clear()
        new = [arch for arch in dict.fromkeys(archs) if arch not in self._known]
        if new:
            found = self._latency.predict(new, num_classes=self.num_classes)
            more = self._further(new, found)
            for row, arch in enumerate(new):
                estimate = Estimate(
                    arch,
                    latency_ms=float(found.mean_ms[row]),
                    latency_lower_ms=float(found.lower_ms[row]),
                    latency_upper_ms=float(found.upper_ms[row]),
                    feasible=False,
                    static=self._costs,
                    requirements=self.requirements,
                    more={name: float(values[row]) for name, values in more.items()},
                )
                self._known[arch] = replace(estimate, feasible=self.requirements.over(estimate, learned=False) <= 0)
        return [self._known[arch] for arch in archs]

    def _further(self, archs: Sequence[Arch], here: Latencies) -> dict[str, np.ndarray]:
        """Latencies of the other places, and energies: watts times milliseconds are millijoules."""
        found: dict[str, np.ndarray] = {}
        for key, place in self._elsewhere.items():
            suffix = f":{key}" if key else ""
            there = here if place.latency is None else place.latency.predict(archs, num_classes=self.num_classes)
            ends = there.mean_ms, there.lower_ms, there.upper_ms
            if key:
                found |= with_ends(f"latency_ms{suffix}", *ends)
            if place.watts is not None:
                found |= with_ends(f"energy_mj{suffix}", *(place.watts * values for values in ends))
        return found

    def forget(self) -> None:
        """Predict latencies anew from here on.

        Sums may depend in their last bit on what is predicted together. A step that starts without memory gives the
        same numbers in a continued search as in an undisturbed one.
        """
        self._known.clear()

    def _costs(self, arch: Arch) -> tuple[Costs, int]:
        if arch not in self._static:
            if len(self._static) > _REMEMBERED:
                self._static.clear()
            layers = self.space.layers(arch, self.num_classes)
            self._static[arch] = costs(layers), file_bytes(layers)
        return self._static[arch]
