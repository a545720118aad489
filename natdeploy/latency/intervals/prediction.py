"""Mean and interval from features: a predictor, its calibration, and the range in which both can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from natdeploy.latency.inputs.features import feature_names
from natdeploy.latency.intervals.conformal import Conformal
from natdeploy.latency.measured.xgboost_model import XGBoostPredictor

#: Features that say how large a network is; beyond their trained range the interval widens with the distance.
SIZE_FEATURES = ("resolution_px", "macs", "weight_bytes", "activation_bytes", "layers")


@dataclass(frozen=True, eq=False)
class LatencyPrediction:
    """Latencies of a batch of architectures, in the batch's order.

    Attributes:
        mean_ms, lower_ms, upper_ms: prediction and interval, float64 ``[n]``, all above zero.
        extrapolated: bool ``[n]``: outside what the model was trained on, so that the interval was widened by judgement
            and its coverage is no longer assured.
    """

    mean_ms: np.ndarray
    lower_ms: np.ndarray
    upper_ms: np.ndarray
    extrapolated: np.ndarray

    @staticmethod
    def around(
        mean_ms: np.ndarray, half_width: np.ndarray | float, extrapolated: np.ndarray | None = None
    ) -> LatencyPrediction:
        """Intervals ``[mean / e^h, mean * e^h]``; none is extrapolated unless told."""
        factor = np.exp(half_width)
        outside = np.zeros(len(mean_ms), bool) if extrapolated is None else extrapolated
        return LatencyPrediction(mean_ms, mean_ms / factor, mean_ms * factor, outside)

    def __len__(self) -> int:
        return len(self.mean_ms)


@dataclass(frozen=True, eq=False)
class IntervalPredictor:
    """Predicts means with intervals.

    Attributes:
        mean: mean latency from features.
        conformal: widths of the intervals.
        feature_range: least and greatest value of each feature in training, float64 ``[2, features]``.
    """

    mean: XGBoostPredictor
    conformal: Conformal
    feature_range: np.ndarray

    def predict(self, features: np.ndarray, coverage: float) -> LatencyPrediction:
        """Latencies from features ``[n, features]``. Raises BadInput for a coverage the calibration cannot give."""
        mean_ms = self.mean.predict_ms(features)
        distance = self._distance(features)
        half = self.conformal.half_width(mean_ms, coverage) + distance
        return LatencyPrediction.around(mean_ms, half, distance > 0)

    def _distance(self, features: np.ndarray) -> np.ndarray:
        """How far each network lies outside the training networks, in log space: float64 ``[n]``, 0 inside.

        A network of 1.5 times the greatest trained MACs has log 1.5; a kind of layer that was never trained on adds 1.
        """
        low, high = self.feature_range
        columns = [feature_names().index(name) for name in SIZE_FEATURES]
        sizes = np.log(np.maximum(features[:, columns], 1))
        above = sizes - np.log(np.maximum(high[columns], 1))
        below = np.log(np.maximum(low[columns], 1)) - sizes
        outside = np.maximum(np.maximum(above, below), 0).max(1)
        return outside + (features[:, high == 0] > 0).any(1)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "mean": self.mean.to_json(),
            "conformal": self.conformal.to_json(),
            "feature_range": dict(zip(feature_names(), self.feature_range.T.tolist())),
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> IntervalPredictor:
        """Inverse of :meth:`to_json`. Raises BadInput where the features are not this version's."""
        mean = XGBoostPredictor.from_json(value["mean"])
        ranges = np.array([value["feature_range"][name] for name in feature_names()], np.float64).T
        return IntervalPredictor(mean, Conformal.from_json(value["conformal"]), ranges)
