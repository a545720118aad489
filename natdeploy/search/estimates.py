"""What is known of an architecture before it is trained or run: predicted latency and static costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from natdeploy.runs import ArchiveEntry
from natdeploy.spaces import Arch, Costs, Space, costs

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

    Static costs are counted when they are asked for: evolution judges thousands that nobody asks about.
    """

    arch: Arch
    latency_ms: float
    latency_lower_ms: float
    latency_upper_ms: float
    feasible: bool
    static: Callable[[Arch], Costs] = field(repr=False, compare=False)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one image."""
        return self.static(self.arch).macs

    @property
    def params(self) -> int:
        """Trained parameters."""
        return self.static(self.arch).params

    @property
    def peak_activation_bytes(self) -> int:
        """Largest sum of live activations."""
        return self.static(self.arch).peak_activation_bytes

    def with_accuracy(
        self, top1: float, loss: float, images: int, generation: int, *, predicted_within: float | None = None
    ) -> ArchiveEntry:
        """The archive's entry once the network was evaluated. Raises ValueError for values that are not finite.

        ``predicted_within`` is the typical error of an accuracy that was predicted; None of one that was measured.
        """
        return ArchiveEntry(
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
        )


class Estimator:
    """Estimates architectures of one space under one budget, each only once.

    Args:
        space: the space.
        latency: predicts milliseconds.
        budget_ms: feasible is what has its interval's upper end within it.
        num_classes: classes of the task.
    """

    def __init__(self, space: Space, latency: LatencyPredictor, budget_ms: float, num_classes: int) -> None:
        self.space, self.budget_ms, self.num_classes = space, budget_ms, num_classes
        self._latency = latency
        self._known: dict[Arch, Estimate] = {}
        self._static: dict[Arch, Costs] = {}

    def __call__(self, archs: Sequence[Arch]) -> list[Estimate]:
        """Estimates in the order of ``archs``."""
        if len(self._known) > _REMEMBERED:
            self._known.clear()
        new = [arch for arch in dict.fromkeys(archs) if arch not in self._known]
        if new:
            found = self._latency.predict(new, num_classes=self.num_classes)
            for arch, mean, lower, upper in zip(new, found.mean_ms, found.lower_ms, found.upper_ms):
                self._known[arch] = Estimate(
                    arch,
                    latency_ms=float(mean),
                    latency_lower_ms=float(lower),
                    latency_upper_ms=float(upper),
                    feasible=bool(upper <= self.budget_ms),
                    static=self._costs,
                )
        return [self._known[arch] for arch in archs]

    def forget(self) -> None:
        """Predict latencies anew from here on.

        Sums may depend in their last bit on what is predicted together. A step that starts without memory gives the
        same numbers in a continued search as in an undisturbed one.
        """
        self._known.clear()

    def _costs(self, arch: Arch) -> Costs:
        if arch not in self._static:
            if len(self._static) > _REMEMBERED:
                self._static.clear()
            self._static[arch] = costs(self.space.layers(arch, self.num_classes))
        return self._static[arch]
