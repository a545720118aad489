"""Intervals that hold at their stated coverage, from the errors of predictions for networks left out.

Cross-conformal: each training network is predicted by a model that did not see it; the errors' quantile, taken high
enough that the coverage holds for most draws of the training networks and not merely on average (Vovk 2012), is the
half-width of every interval. Errors are relative (logarithms of ratios) and divided by a difficulty that depends on
the predicted size, since small networks are timed less surely than large ones (normalised conformal prediction,
Papadopoulos et al. 2011).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from natdeploy.ground.errors import BadInput

#: Probability, over draws of the training networks, with which the stated coverage is reached.
CONFIDENCE = 0.9
#: Share of the number of networks that the overall mean weighs in each size's difficulty.
SHRINKAGE = 0.1
KNOTS = 9


@dataclass(frozen=True, eq=False)
class Conformal:
    """Half-widths of intervals in log space.

    Attributes:
        scores: sorted left-out errors, each divided by its difficulty; float64 ``[n]``.
        knots_log_ms, difficulty: difficulty at sizes, linear in between, constant outside; float64 ``[knots]``.
    """

    scores: np.ndarray
    knots_log_ms: np.ndarray
    difficulty: np.ndarray

    def half_width(self, mean_ms: np.ndarray, coverage: float) -> np.ndarray:
        """``h`` such that ``[mean / e^h, mean * e^h]`` holds with ``coverage``; float64 like ``mean_ms``.

        Raises BadInput where the calibration networks are too few for that coverage.
        """
        rank = calibration_rank(len(self.scores), coverage)
        return self.scores[rank - 1] * np.interp(np.log(mean_ms), self.knots_log_ms, self.difficulty)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "scores": self.scores.tolist(),
            "knots_log_ms": self.knots_log_ms.tolist(),
            "difficulty": self.difficulty.tolist(),
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> Conformal:
        """Inverse of :meth:`to_json`."""
        names = ("scores", "knots_log_ms", "difficulty")
        return Conformal(*(np.array(value[name], np.float64) for name in names))


def calibration_rank(networks: int, coverage: float) -> int:
    """Rank (from 1) of the calibration score that bounds new scores with ``coverage``, at :data:`CONFIDENCE`.

    Coverage given the calibration set has a Beta(k, n + 1 - k) distribution for the k-th smallest of n scores; never
    less than split conformal's ``ceil((n + 1) * coverage)``. Raises BadInput if n is too small.
    """
    from scipy.stats import beta

    check_coverage(coverage)
    ranks = np.arange(max(math.ceil((networks + 1) * coverage), 1), networks + 1)
    reached = np.flatnonzero(beta.sf(coverage, ranks, networks + 1 - ranks) >= CONFIDENCE)
    if len(reached):
        return int(ranks[reached[0]])
    needed = math.ceil(math.log(1 - CONFIDENCE) / math.log(coverage))
    raise BadInput(
        f"{networks} measured networks are too few for intervals of coverage {coverage:g}; "
        f"at least {max(needed, networks + 1)} are needed"
    )


def check_coverage(coverage: float) -> None:
    """Raise BadInput unless 0 < coverage < 1."""
    if not 0 < coverage < 1:
        raise BadInput(f"coverage must be between 0 and 1, not {coverage!r}")


def fit_conformal(latency_ms: np.ndarray, left_out_ms: np.ndarray) -> Conformal:
    """Calibrate on measured latencies and predictions made without them, both float64 ``[n]`` in ms."""
    errors = np.abs(np.log(latency_ms / left_out_ms))
    sizes = np.log(left_out_ms)
    # Outliers belong to the scores; in the difficulty they would widen their whole neighbourhood.
    clipped = np.minimum(errors, np.quantile(errors, 0.95))
    floor = max(0.1 * float(clipped.mean()), 1e-6)
    bandwidth = max(float(sizes.std()) / 3, 1e-9)
    knots = np.linspace(sizes.min(), sizes.max(), KNOTS) if np.ptp(sizes) > 0 else sizes[:1]

    def difficulty_at(where: np.ndarray, skip_own: bool) -> np.ndarray:
        weight = np.exp(-0.5 * ((where[:, None] - sizes) / bandwidth) ** 2)
        if skip_own:
            np.fill_diagonal(weight, 0)
        prior = SHRINKAGE * len(sizes)
        return np.maximum((weight @ clipped + prior * clipped.mean()) / (weight.sum(1) + prior), floor)

    return Conformal(np.sort(errors / difficulty_at(sizes, True)), knots, difficulty_at(knots, False))
