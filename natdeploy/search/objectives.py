"""What a search trades off, by name. Inside the search everything is minimised and positive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from natdeploy.ground.errors import BadInput
from natdeploy.ground.registry import Registry
from natdeploy.runs import ArchiveEntry, Requirements
from natdeploy.runs.quantities import LEARNED, PLACED, argument_of, kind_of
from natdeploy.search.estimates import Estimate, Estimator

OBJECTIVES = Registry(
    "objective",
    {
        "top1": "natdeploy.search.objectives:TOP1",
        "latency_ms": "natdeploy.search.objectives:LATENCY_MS",
        "energy_mj": "natdeploy.search.objectives:ENERGY_MJ",
        "macs": "natdeploy.search.objectives:MACS",
        "params": "natdeploy.search.objectives:PARAMS",
        "peak_activation_bytes": "natdeploy.search.objectives:PEAK_ACTIVATION_BYTES",
        "file_bytes": "natdeploy.search.objectives:FILE_BYTES",
    },
)


@dataclass(frozen=True)
class Objective:
    """One thing to trade off.

    Attributes:
        name: registry name, with what it is of: ``top1:pets``, ``latency_ms:pixel4:tvm``.
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


def get_objective(name: str) -> Objective:
    """The objective of that name. Raises BadInput for an unknown one, and for one with an argument too many."""
    kind, argument = kind_of(name), argument_of(name)
    found = OBJECTIVES.get(kind)
    assert isinstance(found, Objective)
    if ":" not in name:
        return found
    if kind in LEARNED:
        return replace(found, name=name, cost=lambda entry: error_with_ties_broken(entry, argument))
    if kind in PLACED:
        return _read_off(name)
    raise BadInput(f"objective {name!r}: expected {kind!r} alone")


def error_with_ties_broken(entry: ArchiveEntry, task: str = "") -> float:
    """Share of validation images classified wrongly, 0 to 1, plus less than one image's worth of loss.

    A small validation part has many networks of equal accuracy; their loss orders them and never outweighs an image
    (where mirror images are validated as well, a large difference may outweigh one of the image's two views).
    ``task`` names a further data set.
    """
    of = f":{task}" if task else ""
    loss = max(0.0, entry.value(f"loss{of}"))
    return 1 - entry.value(f"top1{of}") + loss / (1 + loss) / max(1, entry.value(f"val_images{of}"))


def _read_off(name: str) -> Objective:
    """One that an estimate knows; its worst value is the budget for it, where there is one, or the largest network's.

    Of several devices only one has to be served, so that others may be beyond their budgets: the worst is the
    greater one.
    """

    def worst(estimator: Estimator) -> float:
        budgets = estimator.requirements.budgets
        if [*budgets] == [name]:
            return budgets[name]
        return max(budgets.get(name, 0.0), estimator([estimator.space.largest()])[0].value(name))

    return Objective(name, False, False, lambda item: item.value(name), worst)


TOP1 = Objective("top1", True, True, error_with_ties_broken, lambda estimator: 1.0)
LATENCY_MS = _read_off("latency_ms")
ENERGY_MJ = _read_off("energy_mj")
MACS = _read_off("macs")
PARAMS = _read_off("params")
PEAK_ACTIVATION_BYTES = _read_off("peak_activation_bytes")
FILE_BYTES = _read_off("file_bytes")


class ObjectiveSet:
    """The objectives of one search, with their scales.

    Args:
        names: objectives' names. Raises BadInput for an unknown one.
        estimator: of the search's space and budget.
    """

    def __init__(self, names: Sequence[str], estimator: Estimator) -> None:
        self.objectives: tuple[Objective, ...] = tuple(get_objective(name) for name in names)
        self.requirements: Requirements = estimator.requirements
        self.worst = np.array([objective.worst(estimator) for objective in self.objectives], dtype=np.float64)

    def __len__(self) -> int:
        return len(self.objectives)

    @property
    def learned(self) -> tuple[Objective, ...]:
        """Those that a surrogate predicts: objectives first, then what only a limit is on."""
        own = [objective for objective in self.objectives if objective.learned]
        names = {objective.name for objective in own}
        limited = [limit.name for limit in self.requirements.limits if limit.is_learned and limit.name not in names]
        return (*own, *map(get_objective, dict.fromkeys(limited)))

    def over(self, estimates: Sequence[Estimate], learned: Sequence[np.ndarray]) -> np.ndarray:
        """By what share architectures that were not evaluated break their requirements, ``[n]``; see :meth:`predicted`.

        Of an accuracy the predicted one counts.
        """
        found = np.array([self.requirements.over(item, learned=False) for item in estimates])
        costs = {objective.name: values for objective, values in zip(self.learned, learned, strict=True)}
        for limit in self.requirements.limits:
            if limit.is_learned:
                found = np.maximum(found, [limit.excess(1 - cost) for cost in costs[limit.name]])
        return found

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
