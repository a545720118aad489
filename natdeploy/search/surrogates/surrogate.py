"""What a surrogate is: it learns an objective from evaluated architectures and judges others without running them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from natdeploy.ground.registry import Registry

#: Name to a callable that takes a seed and gives an unfitted surrogate.
SURROGATES = Registry(
    "surrogate",
    {
        "gp": "natdeploy.search.surrogates.gp:GaussianProcess",
        "rbf-ensemble": "natdeploy.search.surrogates.rbf_ensemble:RbfEnsemble",
        "xgboost": "natdeploy.search.surrogates.boosting:GradientBoosting",
        "ridge": "natdeploy.search.surrogates.ridge:Ridge",
        "mlp": "natdeploy.search.surrogates.mlp:Perceptrons",
        "cart": "natdeploy.search.surrogates.trees:RegressionTrees",
        "auto": "natdeploy.search.surrogates.auto:AutoSurrogate",
    },
)


@dataclass(frozen=True, eq=False)
class Prediction:
    """Predicted values and their standard deviations (zeros from a surrogate that has none), both float64 ``[n]``."""

    mean: np.ndarray
    std: np.ndarray


class Surrogate(Protocol):
    """Equal seed, features and values give equal predictions."""

    def fit(self, features: np.ndarray, values: np.ndarray) -> None:
        """Learn from features ``[n, f]`` and values ``[n]``, both finite, n at least 2."""
        ...

    def predict(self, features: np.ndarray) -> Prediction:
        """Judge features ``[m, f]``."""
        ...


def make_surrogate(name: str, seed: int) -> Surrogate:
    """An unfitted surrogate. Raises BadInput listing the known names."""
    return SURROGATES.get(name)(seed)


class Scaler:
    """Features to zero mean and unit variance; those that never vary are left out."""

    def __init__(self, features: np.ndarray) -> None:
        self.columns = np.flatnonzero(np.ptp(features, axis=0) > 0)
        kept = features[:, self.columns]
        self.mean, self.std = kept.mean(0), kept.std(0)

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Scaled columns, float64 ``[n, kept]``."""
        return (features[:, self.columns] - self.mean) / self.std
