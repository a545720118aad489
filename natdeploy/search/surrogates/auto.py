"""The surrogate that ranks best on the evaluations at hand, found by cross-validation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from natdeploy.search.surrogates.quality import cross_validated
from natdeploy.search.surrogates.surrogate import Prediction, Surrogate, make_surrogate

#: What is chosen from; of equal ones the first, which is also taken while there are too few values to compare.
POOL = ("gp", "mlp", "rbf-ensemble", "xgboost", "ridge", "cart")


class AutoSurrogate:
    """Adaptive switching (Lu et al. 2020, MSuNAS, section 3.2): highest cross-validated Kendall tau, each time anew.

    Args:
        seed: of the folds and of the surrogates.
        pool: names in the registry.

    Attributes:
        chosen: name of the fitted surrogate.
        kendall: cross-validated tau of each of the pool, None where it is not defined.
        quality: cross-validated agreement of the chosen one.
    """

    def __init__(self, seed: int = 0, pool: Sequence[str] = POOL) -> None:
        self._seed, self._pool = seed, tuple(pool)
        self.chosen = self._pool[0]
        self.kendall: dict[str, float | None] = {}
        self.quality: dict[str, float | None] = {}

    def fit(self, features: np.ndarray, values: np.ndarray) -> None:
        """Cross-validate the pool, then let the best one learn from everything."""
        found = {name: cross_validated(name, features, values, self._seed) for name in self._pool}
        self.kendall = {name: quality["kendall"] for name, quality in found.items()}
        ranked = {name: tau for name, tau in self.kendall.items() if tau is not None}
        self.chosen = max(ranked, key=lambda name: ranked[name], default=self._pool[0])
        self.quality = found[self.chosen]
        self._surrogate: Surrogate = make_surrogate(self.chosen, self._seed)
        self._surrogate.fit(features, values)

    def predict(self, features: np.ndarray) -> Prediction:
        """Judge features ``[m, f]`` with the chosen one."""
        return self._surrogate.predict(features)
