"""AGE-MOEA (Panichella 2019, GECCO): survival by the geometry of the front, without reference directions.

pymoo's own needs numba, which brings a second LLVM into the process; the algorithm needs neither.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pymoo.algorithms.base.genetic import GeneticAlgorithm
from pymoo.algorithms.moo.nsga2 import binary_tournament
from pymoo.core.survival import Survival
from pymoo.operators.selection.tournament import TournamentSelection
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

_TINY = 1e-12
#: Exponents of the front's norm outside this range are taken for a straight front, or for a corner.
_LEAST_P, _MOST_P = 0.1, 20.0


class AgeMoea(GeneticAlgorithm):
    """AGE-MOEA over pymoo's operators."""

    def __init__(self, population: int, **operators: Any) -> None:
        super().__init__(
            pop_size=population,
            selection=TournamentSelection(func_comp=binary_tournament),
            survival=GeometrySurvival(),
            advance_after_initial_infill=True,
            **operators,
        )
        self.tournament_type = "comp_by_rank_and_crowding"

    def _set_optimum(self, **_: Any) -> None:
        self.opt = self.pop


class GeometrySurvival(Survival):
    """Whole fronts first; of the last front those with the highest survival scores."""

    def __init__(self) -> None:
        super().__init__(filter_infeasible=True)

    def _do(self, problem: Any, pop: Any, *_: Any, n_survive: int, **__: Any) -> Any:
        costs = pop.get("F")
        fronts = NonDominatedSorting().do(costs, n_stop_if_ranked=n_survive)
        shifted = costs - costs[fronts[0]].min(axis=0)
        first, exponent, scale = survival_scores(shifted[fronts[0]])
        left: list[int] = []
        for rank, front in enumerate(fronts):
            scores = first if rank == 0 else 1 / np.maximum(_norms(shifted[front] / scale, exponent), _TINY)
            pop[front].set("rank", rank)
            for member, score in zip(front, scores):
                pop[int(member)].set("crowding", float(score))
            best_first = front[np.argsort(-scores, kind="stable")]
            left.extend(best_first[: n_survive - len(left)])
        return pop[np.array(left)]


def survival_scores(front: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
    """Scores of a first front whose ideal point is 0, the exponent of its norm, and the scale of its axes.

    The points nearest to the axes count infinitely much. The others are taken one by one, best first: distance to the
    two nearest taken ones, divided by the distance to the ideal point, both in the norm in which the front is a unit
    sphere.

    Args:
        front: costs ``[n, m]``, at least 0, none dominated.
    """
    count = len(front)
    corners = _corners(front)
    scale = _intercepts(front, corners)
    front = front / scale
    exponent = _exponent(front, corners)
    scores = np.zeros(count)
    scores[corners] = np.inf
    distances = _norms(front[:, None] - front[None], exponent) / np.maximum(_norms(front, exponent), _TINY)[:, None]
    taken = np.isin(np.arange(count), corners)
    while not taken.all():
        rest = np.flatnonzero(~taken)
        nearest = np.sort(distances[np.ix_(rest, np.flatnonzero(taken))], axis=1)[:, :2].sum(axis=1)
        best = int(nearest.argmax())
        scores[rest[best]] = nearest[best]
        taken[rest[best]] = True
    return scores, exponent, scale


def _corners(front: np.ndarray) -> np.ndarray:
    """For each axis the point nearest to it, no point twice."""
    chosen: list[int] = []
    for axis in range(min(front.shape[1], len(front))):
        away = np.delete(front, axis, axis=1)
        order = np.lexsort((front[:, axis], (away**2).sum(axis=1)))
        chosen.append(next(int(index) for index in order if int(index) not in chosen))
    return np.array(chosen)


def _intercepts(front: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Where the plane through the corners meets the axes; the front's extent where there is no such plane."""
    extent = np.maximum(front.max(axis=0), _TINY)
    if len(corners) < front.shape[1]:
        return extent
    try:
        plane = np.linalg.solve(front[corners], np.ones(front.shape[1]))
    except np.linalg.LinAlgError:
        return extent
    if not np.isfinite(plane).all() or (plane <= 1 / (1e6 * extent)).any():
        return extent
    return 1 / plane


def _exponent(front: np.ndarray, corners: np.ndarray) -> float:
    """The p for which the point nearest to the diagonal lies on the unit sphere of the p-norm."""
    inner = np.delete(front, corners, axis=0)
    if not len(inner) or front.shape[1] == 1:
        return 1.0
    mean = inner.mean(axis=1, keepdims=True)
    middle = float(mean[((inner - mean) ** 2).sum(axis=1).argmin(), 0])
    if not 0 < middle < 1:
        return 1.0
    exponent = float(np.log(front.shape[1]) / np.log(1 / middle))
    return 1.0 if exponent <= _LEAST_P else min(exponent, _MOST_P)


def _norms(points: np.ndarray, exponent: float) -> np.ndarray:
    """p-norms over the last axis, of differences too."""
    return (np.abs(points) ** exponent).sum(axis=-1) ** (1 / exponent)
