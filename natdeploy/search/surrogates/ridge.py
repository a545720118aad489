"""Ridge regression on scaled features; its strength by leave-one-out error in closed form."""

from __future__ import annotations

import numpy as np

from natdeploy.search.surrogates.surrogate import Prediction, Scaler

_STRENGTHS = np.logspace(-3, 4, 29)


class Ridge:
    """Linear surrogate. ``std`` is the leave-one-out error, the same everywhere."""

    def __init__(self, seed: int = 0) -> None:
        del seed  # nothing here is random

    def fit(self, features: np.ndarray, values: np.ndarray) -> None:
        """Learn by the singular value decomposition, which gives all strengths at once."""
        self._scale = Scaler(features)
        x = self._scale(features)
        self._offset = float(values.mean())
        y = values - self._offset
        u, s, vt = np.linalg.svd(x, full_matrices=False)
        best = np.inf
        self._weights, self._error = np.zeros(x.shape[1]), float(y.std())
        for strength in _STRENGTHS:
            shrink = s**2 / (s**2 + strength)
            leverage = 1 / len(y) + (u**2 @ shrink)
            residual = (y - u @ (shrink * (u.T @ y))) / np.maximum(1 - leverage, 1e-6)
            error = float(np.mean(residual**2))
            if error < best:
                best = error
                self._weights = vt.T @ (s / (s**2 + strength) * (u.T @ y))
                self._error = float(np.sqrt(error))

    def predict(self, features: np.ndarray) -> Prediction:
        """Judge features ``[m, f]``."""
        mean = self._scale(features) @ self._weights + self._offset
        return Prediction(mean, np.full(len(mean), self._error))
