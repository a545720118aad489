"""Milliseconds of kernels of one kind from their shapes, with how sure that is.

A Gaussian process on logarithms: a linear trend in the logarithms of work and sizes, and smooth departures from it;
hyperparameters by marginal likelihood (Rasmussen and Williams 2006, 5.4.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from natdeploy.latency.inputs.features import LANES
from natdeploy.spaces import Layer

#: Prior variances: of the level, of each slope; tried: of departures, their length scales, and of noise.
LEVEL, SLOPE = 25.0, 0.3
DEPARTURE, LENGTH, NOISE = (0.003, 0.03, 0.2), (1.0, 2.5), (0.0004, 0.004, 0.04)


def shape_features(layer: Layer) -> np.ndarray:
    """What a kernel's time may depend on, float64; all but the last two are logarithms."""
    reads = layer.in_c * layer.in_h * layer.in_w
    weights = int(np.prod(layer.weight_shape)) if layer.has_weights else 0
    lanes = LANES[-1]
    rounded = -(-layer.out_c // lanes) * lanes
    sizes = (layer.macs, reads, layer.out_elements, weights, layer.out_h * layer.out_w, layer.in_c, rounded)
    return np.array([*np.log1p(sizes), np.log(layer.kernel), float(layer.stride), float(layer.activation != "none")])


@dataclass(frozen=True, eq=False)
class KindModel:
    """Kernels of one kind.

    Attributes:
        table: features of the measured kernels, ``[n, features]``.
        log_ms: logarithms of their times, ``[n]``.
        spread: relative standard deviation of each time, ``[n]``.
        hyper: variance and length of departures, and variance of noise.
    """

    table: np.ndarray
    log_ms: np.ndarray
    spread: np.ndarray
    hyper: tuple[float, float, float]

    @staticmethod
    def fit(table: np.ndarray, ms: np.ndarray, spread: np.ndarray) -> KindModel:
        """From times in ms, ``[n]``, n at least 1, all above zero."""
        tried = [KindModel(table, np.log(ms), spread, hyper) for hyper in product(DEPARTURE, LENGTH, NOISE)]
        return max(tried, key=lambda model: model._evidence)

    def __call__(self, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of log milliseconds, float64 ``[m]`` each."""
        lower, dual = self._solved
        cross = self._kernel(table, self.table)
        explained = np.linalg.solve(lower, cross.T)
        own = self._diagonal(table)
        variance = np.maximum(own - (explained**2).sum(0), 0) + self.hyper[2]
        return cross @ dual + self._mean, np.sqrt(variance)

    @cached_property
    def _scale(self) -> tuple[np.ndarray, np.ndarray]:
        spread = self.table.std(0)
        return self.table.mean(0), np.where(spread > 1e-9, spread, 1.0)

    @property
    def _mean(self) -> float:
        return float(self.log_ms.mean())

    def _standard(self, table: np.ndarray) -> np.ndarray:
        centre, scale = self._scale
        return np.asarray((table - centre) / scale)

    def _kernel(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        a, b = self._standard(left), self._standard(right)
        variance, length, _ = self.hyper
        squares = ((a[:, None] - b[None]) ** 2).sum(2)
        return np.asarray(LEVEL + SLOPE * a @ b.T + variance * np.exp(-0.5 * squares / (length**2 * a.shape[1])))

    def _diagonal(self, table: np.ndarray) -> np.ndarray:
        return np.asarray(LEVEL + SLOPE * (self._standard(table) ** 2).sum(1) + self.hyper[0])

    @cached_property
    def _solved(self) -> tuple[np.ndarray, np.ndarray]:
        gram = self._kernel(self.table, self.table) + np.diag(self.hyper[2] + self.spread**2)
        lower = np.linalg.cholesky(gram)
        dual = np.linalg.solve(lower.T, np.linalg.solve(lower, self.log_ms - self._mean))
        return lower, dual

    @property
    def _evidence(self) -> float:
        lower, dual = self._solved
        return float(-0.5 * (self.log_ms - self._mean) @ dual - np.log(np.diag(lower)).sum())

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "features": self.table.tolist(),
            "log_ms": self.log_ms.tolist(),
            "spread": self.spread.tolist(),
            "hyper": list(self.hyper),
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> KindModel:
        """Inverse of :meth:`to_json`. Raises ValueError where the parts do not fit each other."""
        table, log_ms, spread = (np.array(value[name], np.float64) for name in ("features", "log_ms", "spread"))
        variance, length, noise = (float(number) for number in value["hyper"])
        if table.ndim != 2 or not len(table) == len(log_ms) == len(spread) > 0:
            raise ValueError(f"kernels of shapes {table.shape}, {log_ms.shape}, {spread.shape}")
        return KindModel(table, log_ms, spread, (variance, length, noise))
