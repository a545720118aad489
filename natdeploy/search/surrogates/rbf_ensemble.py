"""The NAT paper's surrogate: many cubic RBF models, each on some of the features, combined by the median."""

from __future__ import annotations

import numpy as np

from natdeploy.search.surrogates.surrogate import Prediction, Scaler

MEMBERS = 500
#: Keeps the interpolation solvable when architectures coincide in a member's features.
_SMOOTHING = 1e-3


class RbfEnsemble:
    """Cubic kernel and linear tail (Lu et al. 2021, section 3.3); each member sees half of the features.

    Args:
        seed: chooses the members' features.
        members: how many models.
    """

    def __init__(self, seed: int = 0, members: int = MEMBERS) -> None:
        self._seed, self._members = seed, members

    def fit(self, features: np.ndarray, values: np.ndarray) -> None:
        """Learn: one linear system per member."""
        self._scale = Scaler(features)
        x = self._scale(features)
        self._offset, self._spread = float(values.mean()), float(values.std()) or 1.0
        y = (values - self._offset) / self._spread
        rng = np.random.default_rng(self._seed)
        count, width = x.shape
        self._models = []
        for _ in range(self._members if width else 0):
            columns = np.sort(rng.choice(width, size=max(1, (width + 1) // 2), replace=False))
            nodes = x[:, columns]
            tail = np.hstack([np.ones((count, 1)), nodes])
            system = np.block(
                [
                    [_cubic(nodes, nodes) + _SMOOTHING * count * np.eye(count), tail],
                    [tail.T, -_SMOOTHING * np.eye(tail.shape[1])],
                ]
            )
            weights = np.linalg.solve(system, np.concatenate([y, np.zeros(tail.shape[1])]))
            self._models.append((columns, nodes, weights))

    def predict(self, features: np.ndarray) -> Prediction:
        """Judge features ``[m, f]``; ``std`` is a robust spread of the members."""
        if not self._models:
            return Prediction(np.full(len(features), self._offset), np.zeros(len(features)))
        x = self._scale(features)
        votes = np.empty((len(self._models), len(x)))
        for vote, (columns, nodes, weights) in zip(votes, self._models):
            seen = x[:, columns]
            vote[:] = _cubic(seen, nodes) @ weights[: len(nodes)]
            vote += weights[len(nodes)] + seen @ weights[len(nodes) + 1 :]
        low, middle, high = np.quantile(votes, (0.16, 0.5, 0.84), axis=0)
        return Prediction(middle * self._spread + self._offset, (high - low) / 2 * self._spread)


def _cubic(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cubed distances ``[len(a), len(b)]``, scaled by the number of features to stay near 1."""
    squared = (a**2).sum(1)[:, None] + (b**2).sum(1)[None, :] - 2 * (a @ b.T)
    squared = np.maximum(squared, 0) / (2 * a.shape[1])
    return squared * np.sqrt(squared)  # many times quicker than a power of 1.5
