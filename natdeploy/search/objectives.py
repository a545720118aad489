"""What a search trades off, by name. Inside the search everything is minimised and positive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from natdeploy.ground.registry import Registry
from natdeploy.runs import ArchiveEntry
from natdeploy.search.estimates import Estimate, Estimator

OBJECTIVES = Registry(
    "objective",
    {
        "top1": "natdeploy.search.objectives:TOP1",
        "latency_ms": "natdeploy.search.objectives:LATENCY_MS",
        "macs": "natdeploy.search.objectives:MACS",
        "params": "natdeploy.search.objectives:PARAMS",
        "peak_activation_bytes": "natdeploy.search.objectives:PEAK_ACTIVATION_BYTES",
    },
)


@dataclass(frozen=True)
class Objective:
    """One thing to trade off.

    Attributes:
        name: registry name.
        maximise: whether more is better, for readers; ``cost`` is minimised either way.
        learned: whether it takes an evaluation to know it, so that a surrogate has to predict it; the others are read
            off an :class:`Estimate`.
        cost: what is minimised, at least 0, of an archive entry (or of an estimate, if not learned).
        worst: value of ``cost`` at the hypervolume's reference point, from the configuration and the space alone.
    """

    name: str
    maximise: bool
    learned: bool
    cost: Callable[[Any], float]
    worst: Callable[[Estimator], float]


def error_with_ties_broken(entry: ArchiveEntry) -> float:
    """Share of validation images classified wrongly, 0 to 1, plus less than one image's worth of loss.

    A small validation part has many networks of equal accuracy; their loss orders them and never outweighs an image.
    """
    loss = max(0.0, entry.loss)
    return 1 - entry.top1 + loss / (1 + loss) / max(1, entry.val_images)


def _largest(estimator: Estimator) -> Estimate:
    return estimator([estimator.space.largest()])[0]


TOP1 = Objective("top1", True, True, error_with_ties_broken, lambda estimator: 1.0)
LATENCY_MS = Objective("latency_ms", False, False, lambda item: item.latency_ms, lambda estimator: estimator.budget_ms)
MACS = Objective("macs", False, False, lambda item: item.macs, lambda estimator: _largest(estimator).macs)
PARAMS = Objective("params", False, False, lambda item: item.params, lambda estimator: _largest(estimator).params)
PEAK_ACTIVATION_BYTES = Objective(
    "peak_activation_bytes",
    False,
    False,
    lambda item: item.peak_activation_bytes,
    lambda estimator: _largest(estimator).peak_activation_bytes,
)


class ObjectiveSet:
    """The objectives of one search, with their scales.

    Args:
        names: registry names. Raises BadInput for an unknown one.
        estimator: of the search's space and budget.
    """

    def __init__(self, names: Sequence[str], estimator: Estimator) -> None:
        self.objectives: tuple[Objective, ...] = tuple(OBJECTIVES.get(name) for name in names)
        self.worst = np.array([objective.worst(estimator) for objective in self.objectives], dtype=np.float64)

    def __len__(self) -> int:
        return len(self.objectives)

    @property
    def learned(self) -> tuple[Objective, ...]:
        """Those that a surrogate predicts."""
        return tuple(objective for objective in self.objectives if objective.learned)

    def costs(self, entries: Sequence[ArchiveEntry]) -> np.ndarray:
        """Minimised values of evaluated architectures as shares of the reference point, ``[n, objectives]``."""
        rows = [[objective.cost(entry) for objective in self.objectives] for entry in entries]
        return np.array(rows, dtype=np.float64).reshape(len(entries), len(self)) / self.worst

    def predicted(self, estimates: Sequence[Estimate], learned: Sequence[np.ndarray]) -> np.ndarray:
        """The same of architectures not evaluated: ``learned`` holds one ``[n]`` per learned objective."""
        columns, rest = [], iter(learned)
        for objective in self.objectives:
            columns.append(next(rest) if objective.learned else [objective.cost(item) for item in estimates])
        return np.array(columns, dtype=np.float64).reshape(len(self), len(estimates)).T / self.worst
