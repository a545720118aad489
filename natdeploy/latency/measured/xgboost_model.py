"""The measured latency predictor: a non-negative linear base, and gradient boosting on what it leaves over.

A network's time is nearly the sum of its layers' times, and with 60 to 160 noisy timings a tree ensemble alone spends
its data on learning that sum. So the base is a sum with non-negative rates per feature (averaged over subsamples, which
steadies the choice among correlated features), and XGBoost (Chen and Guestrin 2016) learns the ratio of the timing to
it. How much of that correction is believed is decided on networks left out of both. With hundreds of timings it is
decided there, too, whether trees do better without the base: a batch on a graphics processor is no sum of its layers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from natdeploy.ground.errors import BadInput
from natdeploy.latency.inputs.features import feature_names

if TYPE_CHECKING:
    from xgboost import Booster

#: Subsamples over which the base's rates are averaged, and the share of networks in each.
SUBSAMPLES, SUBSAMPLE_SHARE = 12, 0.8
#: Timings from which on trees may do without the base.
MANY = 300
#: Folds of the cross-validation behind the weight and the intervals, with fewer timings than that and with more.
FOLDS, FOLDS_MANY = 10, 5
#: No prediction is below this share of the fastest training network.
FLOOR = 0.01
#: Error of a prediction beside which a timing's own spread is judged: a timing that spreads as much counts half.
OWN_ERROR = 0.03


@dataclass(frozen=True, eq=False)
class XGBoostPredictor:
    """Mean latency from features.

    Attributes:
        rates_ms: milliseconds per unit of each feature, float64 ``[features]``, none negative; all zero where trees do
            without the base.
        booster_json: XGBoost's own JSON of the correction, as a value.
        correction: weight in [0, 1] of the correction in log space.
        floor_ms: least value of the base.
    """

    rates_ms: np.ndarray
    booster_json: dict[str, Any]
    correction: float
    floor_ms: float

    def predict_ms(self, features: np.ndarray) -> np.ndarray:
        """Milliseconds, float64 ``[n]``, from features float64 ``[n, features]``."""
        if not len(features):
            return np.zeros(0)
        log_ratio = self._booster.inplace_predict(features.astype(np.float32)).astype(np.float64)
        return np.maximum(_base_ms(features, self.rates_ms), self.floor_ms) * np.exp(self.correction * log_ratio)

    @cached_property
    def _booster(self) -> Booster:
        import xgboost

        booster = xgboost.Booster({"nthread": 1})
        booster.load_model(bytearray(json.dumps(self.booster_json).encode()))
        return booster

    def to_json(self) -> dict[str, Any]:
        """JSON-ready; rates by feature name."""
        return {
            "rates_ms": dict(zip(feature_names(), self.rates_ms.tolist())),
            "booster": self.booster_json,
            "correction": self.correction,
            "floor_ms": self.floor_ms,
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> XGBoostPredictor:
        """Inverse of :meth:`to_json`. Raises BadInput where the features are not this version's."""
        rates = value["rates_ms"]
        if set(rates) != set(feature_names()):
            odd = sorted(set(rates) ^ set(feature_names()))
            raise BadInput(f"its features are not those of this version of natdeploy ({odd[0]!r}); profile again")
        rates_ms = np.array([rates[name] for name in feature_names()], np.float64)
        predictor = XGBoostPredictor(rates_ms, value["booster"], float(value["correction"]), float(value["floor_ms"]))
        from xgboost.core import XGBoostError

        try:
            assert predictor._booster.num_features() == len(rates_ms)
        except (XGBoostError, AssertionError) as error:
            raise BadInput("its XGBoost part cannot be read; profile again") from error
        return predictor


@dataclass(frozen=True, eq=False)
class CrossFit:
    """A predictor trained on all networks, and what its like predict for networks left out.

    Attributes:
        predictor: trained on every network.
        left_out_ms: float64 ``[n]``: each network predicted without having been trained on.
    """

    predictor: XGBoostPredictor
    left_out_ms: np.ndarray


def fit_xgboost(
    features: np.ndarray, latency_ms: np.ndarray, spread: np.ndarray | None = None, *, seed: int = 0
) -> CrossFit:
    """Train by least squares of relative errors.

    Args:
        features: float64 ``[n, features]``.
        latency_ms: float64 ``[n]``.
        spread: relative spread of each network's own timing, float64 ``[n]``: the more it has, the less it counts.
        seed: of folds, subsamples and boosting.
    """
    n = len(latency_ms)
    weight = np.ones(n) if spread is None else 1 / (1 + (spread / OWN_ERROR) ** 2)
    fold = np.random.default_rng([seed, 1]).permutation(n) % min(FOLDS if n < MANY else FOLDS_MANY, n)
    tried = [
        (with_base, *_left_out(features, latency_ms, weight, fold, seed, with_base))
        for with_base in ((True,) if n < MANY else (True, False))
    ]
    squares = [float(weight @ np.log(latency_ms / left_out_ms) ** 2) for _, _, left_out_ms in tried]
    with_base, correction, left_out_ms = tried[int(np.argmin(squares))]
    rates_ms, floor_ms, booster = _fit_parts(features, latency_ms, weight, seed, with_base)
    predictor = XGBoostPredictor(rates_ms, json.loads(booster.save_raw("json")), correction, floor_ms)
    return CrossFit(predictor, left_out_ms)


def _left_out(
    features: np.ndarray, latency_ms: np.ndarray, weight: np.ndarray, fold: np.ndarray, seed: int, with_base: bool
) -> tuple[float, np.ndarray]:
    """The correction's weight, and milliseconds of each network, predicted without it."""
    base, ratio = np.zeros(len(latency_ms)), np.zeros(len(latency_ms))
    for index in range(fold.max() + 1):
        out = fold == index
        rates_ms, floor_ms, booster = _fit_parts(features[~out], latency_ms[~out], weight[~out], seed, with_base)
        base[out] = np.maximum(_base_ms(features[out], rates_ms), floor_ms)
        ratio[out] = booster.inplace_predict(features[out].astype(np.float32))
    error = np.log(latency_ms / base)
    size = float((weight * ratio) @ ratio)
    correction = float(np.clip((weight * error) @ ratio / size, 0.0, 1.0)) if size > 0 else 0.0
    return correction, base * np.exp(correction * ratio)


def _fit_parts(
    features: np.ndarray, latency_ms: np.ndarray, weight: np.ndarray, seed: int, with_base: bool
) -> tuple[np.ndarray, float, Booster]:
    """Rates, the least value of the base, and the correction; without a base this value is all that it is."""
    import xgboost

    if with_base:
        rates_ms, floor_ms = fit_rates(features, latency_ms, weight, seed=seed), float(latency_ms.min()) * FLOOR
    else:
        rates_ms, floor_ms = np.zeros(features.shape[1]), float(np.median(latency_ms))
    log_ratio = np.log(latency_ms / np.maximum(_base_ms(features, rates_ms), floor_ms))
    rounds, depth = (150, 2) if len(latency_ms) < 300 else (400, 3)
    parameters = {
        "objective": "reg:squarederror",
        "base_score": 0.0,
        "max_depth": depth,
        "learning_rate": 0.05,
        "min_child_weight": 5,
        "reg_lambda": 5.0,
        "subsample": 0.8,
        "colsample_bytree": 0.5,
        "tree_method": "hist",
        "nthread": 1,
        "seed": seed,
    }
    data = xgboost.DMatrix(features.astype(np.float32), label=log_ratio, weight=weight / weight.mean(), nthread=1)
    return rates_ms, floor_ms, xgboost.train(parameters, data, num_boost_round=rounds)


def _base_ms(features: np.ndarray, rates_ms: np.ndarray) -> np.ndarray:
    """``features @ rates_ms``, in an order of summation that does not depend on how many rows there are."""
    return np.ascontiguousarray(features * rates_ms).sum(1)


def fit_rates(features: np.ndarray, latency_ms: np.ndarray, weight: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Non-negative milliseconds per unit of each feature, least squares of relative errors, averaged over subsamples.

    Lawson and Hanson's NNLS on the residual with outlying timings held down (Huber's weights).
    """
    scale = features.max(0)
    used = np.flatnonzero(scale > 0)
    relative = features[:, used] / scale[used] / latency_ms[:, None]
    rng = np.random.default_rng([seed, 2])
    size = max(2, round(SUBSAMPLE_SHARE * len(latency_ms)))
    total = np.zeros(len(used))
    for _ in range(SUBSAMPLES):
        rows = rng.choice(len(latency_ms), size, replace=False)
        total += _robust_nnls(relative[rows], np.sqrt(weight[rows]))
    rates_ms = np.zeros(features.shape[1])
    rates_ms[used] = total / SUBSAMPLES / scale[used]
    return rates_ms


def _robust_nnls(relative: np.ndarray, root_weight: np.ndarray) -> np.ndarray:
    """Solve ``relative @ x = 1`` for ``x >= 0``, then once more with large residuals weighted down."""
    from scipy.optimize import nnls

    tries = 100 * relative.shape[1]
    solution, _ = nnls(relative * root_weight[:, None], root_weight, maxiter=tries)
    error = np.abs(relative @ solution - 1) * root_weight
    limit = max(2.5 * float(np.median(error)) / 0.6745, 1e-6)
    root_weight = root_weight * np.sqrt(np.minimum(1.0, limit / np.maximum(error, 1e-12)))
    solution, _ = nnls(relative * root_weight[:, None], root_weight, maxiter=tries)
    return solution
