"""Accuracies without weights: predictors learned from published measurements, and the search's evaluator on top."""

from natdeploy.search.accuracy.evaluator import PredictedEvaluator
from natdeploy.search.accuracy.predictor import (
    ACCURACY_PREDICTORS,
    AccuracyPredictor,
    fit_accuracy_predictor,
    get_accuracy_predictor,
)

__all__ = [
    "ACCURACY_PREDICTORS",
    "AccuracyPredictor",
    "PredictedEvaluator",
    "fit_accuracy_predictor",
    "get_accuracy_predictor",
]
