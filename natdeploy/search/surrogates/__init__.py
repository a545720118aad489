"""Surrogates: objectives learned from few evaluations, one file each, chosen by name."""

from natdeploy.search.surrogates.auto import AutoSurrogate
from natdeploy.search.surrogates.quality import agreement, cross_validated
from natdeploy.search.surrogates.surrogate import SURROGATES, Prediction, Surrogate, make_surrogate

__all__ = [
    "SURROGATES",
    "AutoSurrogate",
    "Prediction",
    "Surrogate",
    "agreement",
    "cross_validated",
    "make_surrogate",
]
