"""Small multi-layer perceptrons, combined by the mean."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from natdeploy.search.surrogates.surrogate import Prediction, Scaler

MEMBERS = 5
_HIDDEN = (32,)


class Perceptrons:
    """An ensemble of perceptrons from different random weights (Lakshminarayanan et al. 2017).

    One hidden layer with ReLU, decayed strongly because data are few: on measured subnets as good as two, and quicker.
    Fitted by L-BFGS, which needs no learning rate.

    Args:
        seed: chooses the weights they start from.
        members: how many.
    """

    def __init__(self, seed: int = 0, members: int = MEMBERS) -> None:
        self._seed, self._members = seed, members

    def fit(self, features: np.ndarray, values: np.ndarray) -> None:
        """Learn on scaled features and values."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPRegressor

        self._scale = Scaler(features)
        x = self._scale(features)
        self._offset, self._spread = float(values.mean()), float(values.std())
        self._models = []
        if x.shape[1] == 0 or self._spread == 0:
            return
        for member in range(self._members):
            model = MLPRegressor(
                hidden_layer_sizes=_HIDDEN, solver="lbfgs", alpha=1.0, max_iter=200, random_state=self._seed + member
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # stopping early is a regulariser
                self._models.append(model.fit(x, (values - self._offset) / self._spread))

    def learned(self, digits: int) -> dict[str, Any]:
        """What fitting found, as plain data with so many significant digits, to be kept without scikit-learn.

        ``columns``, ``center`` and ``scale`` of the features, ``offset`` and ``spread`` of the values, and of each
        member ``layers`` of weights and biases.
        """

        def rounded(array: np.ndarray) -> Any:
            if array.ndim > 1:
                return tuple(map(rounded, array))
            return tuple(float(f"{value:.{digits}g}") for value in array)

        return {
            "columns": tuple(int(column) for column in self._scale.columns),
            "center": rounded(self._scale.mean),
            "scale": rounded(self._scale.std),
            "offset": self._offset,
            "spread": self._spread,
            "layers": tuple(
                tuple((rounded(weight), rounded(bias)) for weight, bias in zip(model.coefs_, model.intercepts_))
                for model in self._models
            ),
        }

    def predict(self, features: np.ndarray) -> Prediction:
        """Judge features ``[m, f]``; ``std`` is the members' spread."""
        if not self._models:
            return Prediction(np.full(len(features), self._offset), np.zeros(len(features)))
        x = self._scale(features)
        votes = np.array([model.predict(x) for model in self._models]) * self._spread + self._offset
        return Prediction(votes.mean(0), votes.std(0))
