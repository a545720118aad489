"""What random search would have found: as many random architectures, with the same final weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from natdeploy.search.estimates import Estimate, Estimator
from natdeploy.spaces import Arch


def draw_random(estimator: Estimator, count: int, *, seed: Sequence[int]) -> list[Estimate]:
    """``count`` distinct architectures, uniform over each gene's choices, feasible or not (fewer in a tiny space)."""
    rng = np.random.default_rng(list(seed))
    drawn: dict[Arch, None] = {}
    for _ in range(20 * count):
        if len(drawn) >= count:
            break
        drawn.setdefault(estimator.space.sample(rng))
    return estimator(list(drawn))
