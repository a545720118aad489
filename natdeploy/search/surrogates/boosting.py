"""Gradient-boosted trees on factored features."""

from __future__ import annotations

import numpy as np

from natdeploy.search.surrogates.surrogate import Prediction


class GradientBoosting:
    """XGBoost (Chen & Guestrin 2016) in one thread, so that equal seeds give equal trees."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed

    def fit(self, features: np.ndarray, values: np.ndarray) -> None:
        """Learn with shallow trees on parts of rows and columns."""
        from xgboost import XGBRegressor

        self._offset, self._spread = float(values.mean()), float(values.std()) or 1.0
        self._model = XGBRegressor(
            n_estimators=400,
            max_depth=3,
            learning_rate=0.05,
            subsample=0.8,
            colsample_bytree=0.4,
            min_child_weight=2,
            reg_lambda=1.0,
            tree_method="exact",
            random_state=self._seed,
            n_jobs=1,
        )
        self._model.fit(features, (values - self._offset) / self._spread)
        residual = self._model.predict(features) * self._spread + self._offset - values
        self._error = float(np.sqrt(np.mean(residual**2)))

    def predict(self, features: np.ndarray) -> Prediction:
        """Judge features ``[m, f]``; ``std`` is the error on what was learned, a lower bound."""
        mean = self._model.predict(features).astype(np.float64) * self._spread + self._offset
        return Prediction(mean, np.full(len(mean), self._error))
