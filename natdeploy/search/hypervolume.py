"""How much of the objective space an archive dominates, against a reference point that never moves.

The reference is an error of 1, the latency budget, and the largest architecture's costs; the ideal is 0 in all. It
depends on the configuration and the space alone, so hypervolumes of different runs and iterations can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from natdeploy.runs import ArchiveEntry
from natdeploy.search.objectives import ObjectiveSet

#: Above this many objectives the exact algorithm takes too long; the deterministic approximation of moocore is used.
_EXACT_UP_TO = 6


def hypervolume(entries: Sequence[ArchiveEntry], objectives: ObjectiveSet) -> float:
    """Dominated share, 0 to 1, of the box between ideal and reference; what is over the budget counts nothing."""
    feasible = [entry for entry in entries if entry.feasible]
    return dominated_share(objectives.costs(feasible))


def dominated_share(costs: np.ndarray) -> float:
    """Share of the unit box that points ``[n, m]``, to be minimised, dominate."""
    inside = costs[(costs < 1).all(axis=1)]
    if not len(inside):
        return 0.0
    if costs.shape[1] == 1:
        return float(1 - max(0.0, inside.min()))
    import moocore  # type: ignore[import-untyped]

    inside = np.maximum(inside, 0.0)
    reference = np.ones(costs.shape[1])
    if costs.shape[1] <= _EXACT_UP_TO:
        return float(moocore.hypervolume(inside, ref=reference))
    return float(moocore.hv_approx(inside, ref=reference, method="DZ2019-HW"))
