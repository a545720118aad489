"""How good a latency predictor is on networks it was not trained on, and what there is to compare it with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class PointQuality:
    """Agreement of predictions with measurements, without intervals.

    Attributes:
        spearman, kendall: rank correlations.
        mape: mean absolute relative error.
        within5, within10: share of networks predicted within +-5 % and +-10 % of the measurement.
    """

    spearman: float
    kendall: float
    mape: float
    within5: float
    within10: float


@dataclass(frozen=True)
class Quality:
    """A predictor's quality beside its baselines and the timings' own repeatability.

    Attributes:
        spearman, kendall, mape, within5, within10: as in :class:`PointQuality`.
        coverage: share of networks whose measurement lies in its interval.
        nominal_coverage: the share that the intervals promise.
        interval_width: median of (upper - lower) / mean.
        networks: how many networks these figures are taken over.
        training_networks: how many the predictor was trained on.
        evaluated_on: ``"holdout"`` (never trained on) or ``"cross-validation"`` (each left out in turn: fewer than two
            holdout networks have a timing that can be trusted).
        repeatability_within5, repeatability_within10: share of networks timed again whose second timing was within
            +-5 % and +-10 % of the first; None where none was timed again.
        repeats: how many were timed again.
        baselines: the same networks predicted from ``"macs"`` and by ``"lookup table"``.
    """

    spearman: float
    kendall: float
    mape: float
    within5: float
    within10: float
    coverage: float
    nominal_coverage: float
    interval_width: float
    networks: int
    training_networks: int
    evaluated_on: str
    repeatability_within5: float | None = None
    repeatability_within10: float | None = None
    repeats: int = 0
    baselines: Mapping[str, PointQuality] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    @staticmethod
    def from_json(value: dict[str, Any]) -> Quality:
        """Inverse of :meth:`to_json`."""
        baselines = {name: PointQuality(**figures) for name, figures in value["baselines"].items()}
        return Quality(**{**value, "baselines": baselines})


def point_quality(measured_ms: np.ndarray, predicted_ms: np.ndarray) -> PointQuality:
    """Compare predictions with measurements, both float64 ``[n]`` in ms, n at least 2."""
    from scipy.stats import kendalltau, rankdata

    error = relative_errors(measured_ms, predicted_ms)
    ranks = rankdata(measured_ms), rankdata(predicted_ms)
    varied = all(np.ptp(rank) > 0 for rank in ranks)
    return PointQuality(
        spearman=float(np.corrcoef(*ranks)[0, 1]) if varied else 0.0,
        kendall=float(kendalltau(*ranks).statistic) if varied else 0.0,
        mape=float(error.mean()),
        within5=float((error <= 0.05).mean()),
        within10=float((error <= 0.10).mean()),
    )


def relative_errors(measured_ms: np.ndarray, predicted_ms: np.ndarray) -> np.ndarray:
    """Absolute errors as shares of the measurement."""
    return np.abs(predicted_ms / measured_ms - 1)


def repeatability(first_ms: np.ndarray, second_ms: np.ndarray) -> tuple[float | None, float | None]:
    """Share of second timings within +-5 % and +-10 % of the first; None where there are none."""
    if not len(first_ms):
        return None, None
    error = relative_errors(first_ms, second_ms)
    return float((error <= 0.05).mean()), float((error <= 0.10).mean())
