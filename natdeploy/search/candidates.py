"""Which evolved architectures are worth an evaluation: all objectives count, and so does what the archive has."""

from __future__ import annotations

import numpy as np

from natdeploy.search.archive import non_dominated
from natdeploy.search.hypervolume import dominated_share

#: Hypervolume is exact and quick up to this many objectives; above, distances decide.
_HYPERVOLUME_UP_TO = 3
#: How far the reference point of the gains lies beyond the front, as a share of the front's range.
_MARGIN = 0.15
#: Fronts after the first are looked at until this many candidates per place are there.
_CHOICE = 8
#: Ranges of costs (shares of the reference point) below this are none.
_TINY = 1e-9


def select_candidates(
    predicted: np.ndarray, learned: np.ndarray, archived: np.ndarray, count: int, *, spare: int = _CHOICE
) -> np.ndarray:
    """Indices of ``count`` candidates (fewer if there are no more), the most wanted first.

    First the best predicted value of each learned objective, which lies at the budget's edge; of more objectives than
    half of ``count``, those whose best promises most beyond the archive's. Then, one by one, the candidate that adds
    most to what archive and chosen ones dominate. The reference point of these gains is just beyond the front, not at
    the budget, so that the front's ends count like its middle. Over three objectives: the candidate farthest from
    archive and chosen ones, among the best fronts.

    Args:
        predicted: costs to be minimised of feasible candidates that were never evaluated, ``[n, m]``.
        learned: which of the m objectives are learned, bool ``[m]``.
        archived: costs of the feasible archive, ``[k, m]``.
        count: how many.
        spare: how many times ``count`` candidates are considered.
    """
    if not len(predicted) or count <= 0:
        return np.empty(0, np.int64)
    considered = _best_fronts(predicted, count * spare)
    points, known = _scaled(predicted[considered], archived)
    chosen: list[int] = []
    for objective in _edges(points, known, np.flatnonzero(learned), (count + 1) // 2):
        best = int(points[:, objective].argmin())
        if best not in chosen:
            chosen.append(best)
    measure = _gains if points.shape[1] <= _HYPERVOLUME_UP_TO else _distances
    while len(chosen) < min(count, len(points)):
        worth = measure(points, np.vstack([known, points[chosen]]))
        if worth.max() <= 0:  # nothing dominates any more: what is far from everything else is worth knowing
            worth = _distances(points, np.vstack([known, points[chosen]]))
        worth[chosen] = -np.inf
        chosen.append(int(worth.argmax()))
    return considered[chosen]


def _edges(points: np.ndarray, known: np.ndarray, objectives: np.ndarray, count: int) -> np.ndarray:
    """At most ``count`` of the objectives: what is left of the places spreads over all of them."""
    if len(objectives) <= count:
        return objectives
    reached = known.min(0) if len(known) else points.max(0)
    promised = (reached - points.min(0))[objectives]
    return objectives[np.argsort(-promised, kind="stable")[:count]]


def _best_fronts(costs: np.ndarray, enough: int) -> np.ndarray:
    """Indices of whole non-dominated fronts, best first, until there are enough."""
    from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

    fronts = NonDominatedSorting().do(costs, n_stop_if_ranked=min(enough, len(costs)))
    return np.concatenate([np.sort(front) for front in fronts])


def _scaled(points: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both to the range of their common front: 0 is the best, 1 a little beyond the worst."""
    everything = np.vstack([points, known])
    best = everything[non_dominated(everything)]
    low, span = best.min(0), np.ptp(best, axis=0)
    span = np.where(span > _TINY, span, np.maximum(np.ptp(everything, axis=0), _TINY)) * (1 + _MARGIN)
    return (points - low) / span, (known - low) / span


def _gains(points: np.ndarray, known: np.ndarray) -> np.ndarray:
    """What each point adds to the dominated volume, ``[n]``."""
    known = known[non_dominated(known)] if len(known) else known
    base = dominated_share(known)
    return np.array([dominated_share(np.vstack([known, point])) - base for point in points])


def _distances(points: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Distance of each point to the nearest known one, ``[n]``."""
    if not len(known):
        return np.linalg.norm(points - points.mean(0), axis=1) + 1e-12
    return np.linalg.norm(points[:, None] - known[None], axis=2).min(1)
