"""How far a surrogate can be trusted: rank correlations and error, on evaluations it has not seen."""

from __future__ import annotations

import numpy as np

from natdeploy.search.surrogates.surrogate import make_surrogate

_FOLDS = 5


def agreement(predicted: np.ndarray, found: np.ndarray) -> dict[str, float | None]:
    """``kendall``, ``spearman`` and ``rmse``; rank correlations are None where they are not defined."""
    from scipy.stats import kendalltau, spearmanr

    if not len(found):
        return {"kendall": None, "spearman": None, "rmse": None}
    rmse = float(np.sqrt(np.mean((predicted - found) ** 2)))
    if len(found) < 3 or np.ptp(predicted) == 0 or np.ptp(found) == 0:
        return {"kendall": None, "spearman": None, "rmse": rmse}
    return {
        "kendall": float(kendalltau(predicted, found).statistic),
        "spearman": float(spearmanr(predicted, found).statistic),
        "rmse": rmse,
    }


def cross_validated(name: str, features: np.ndarray, values: np.ndarray, seed: int) -> dict[str, float | None]:
    """:func:`agreement` of five-fold cross-validation on all of the values."""
    count = len(values)
    if count < 2 * _FOLDS:
        return agreement(np.empty(0), np.empty(0))
    fold = np.random.default_rng(seed).permutation(count) % _FOLDS
    predicted = np.empty(count)
    for part in range(_FOLDS):
        surrogate = make_surrogate(name, seed)
        surrogate.fit(features[fold != part], values[fold != part])
        predicted[fold == part] = surrogate.predict(features[fold == part]).mean
    return agreement(predicted, values)
