"""Classification and regression trees, each on some of the features, combined by the mean."""

from __future__ import annotations

import numpy as np

from natdeploy.search.surrogates.surrogate import Prediction

MEMBERS = 200


class RegressionTrees:
    """Regression trees (Breiman et al. 1984) on random features, the ``cart`` of MSuNAS (Lu et al. 2020, ECCV).

    Each tree is grown to the end on a random number of random features. Its thresholds are random too (Geurts et al.
    2006), which ranks measured subnets better than the best ones.

    Args:
        seed: chooses features and thresholds.
        members: how many trees.
    """

    def __init__(self, seed: int = 0, members: int = MEMBERS) -> None:
        self._seed, self._members = seed, members

    def fit(self, features: np.ndarray, values: np.ndarray) -> None:
        """Learn; features that never vary are not looked at."""
        from sklearn.tree import DecisionTreeRegressor

        rng = np.random.default_rng(self._seed)
        varying = np.flatnonzero(np.ptp(features, axis=0) > 0)
        self._constant = float(values.mean())
        self._trees = []
        for _ in range(self._members if len(varying) else 0):
            columns = rng.choice(varying, size=int(rng.integers(1, len(varying) + 1)), replace=False)
            tree = DecisionTreeRegressor(splitter="random", random_state=int(rng.integers(2**31)))
            self._trees.append((columns, tree.fit(features[:, columns], values)))

    def predict(self, features: np.ndarray) -> Prediction:
        """Judge features ``[m, f]``; ``std`` is the trees' spread."""
        if not self._trees:
            return Prediction(np.full(len(features), self._constant), np.zeros(len(features)))
        votes = np.array([tree.predict(features[:, columns]) for columns, tree in self._trees])
        return Prediction(votes.mean(0), votes.std(0))
