"""Gaussian process with a linear and a radial kernel: the trend of size, and what bends away from it."""

from __future__ import annotations

import warnings

import numpy as np

from natdeploy.search.surrogates.surrogate import Prediction, Scaler

_CHUNK = 4096


class GaussianProcess:
    """The default: best rank correlation on measured subnets from few evaluations (Rasmussen & Williams 2006).

    Kernel: ``a * x.x' + b * exp(-|x - x'|^2 / 2 l^2) + noise`` on scaled features; hyperparameters by marginal
    likelihood.
    """

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed

    def fit(self, features: np.ndarray, values: np.ndarray) -> None:
        """Learn; n is at most a few hundred, the cost is cubic in it."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel

        self._scale = Scaler(features)
        x = self._scale(features)
        self._constant = float(values.mean())
        self._gp = None
        if x.shape[1] == 0 or np.ptp(values) == 0:
            return
        width = x.shape[1]
        kernel = (
            ConstantKernel(1 / width, (1e-6, 1e3)) * DotProduct(0.0, "fixed")
            + ConstantKernel(0.3, (1e-5, 1e3)) * RBF(float(np.sqrt(2 * width)), (0.3, 1e3))
            + WhiteKernel(0.05, (1e-6, 1e1))
        )
        self._gp = GaussianProcessRegressor(kernel, normalize_y=True, random_state=self._seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a hyperparameter at its bound is a fine answer
            self._gp.fit(x, values)

    def predict(self, features: np.ndarray) -> Prediction:
        """Judge features ``[m, f]``."""
        if self._gp is None:
            return Prediction(np.full(len(features), self._constant), np.zeros(len(features)))
        x = self._scale(features)
        parts = [self._gp.predict(x[start : start + _CHUNK], return_std=True) for start in range(0, len(x), _CHUNK)]
        mean, std = (np.concatenate(part) for part in zip(*parts))
        return Prediction(mean, std)
