"""Neural Architecture Transfer: objectives, surrogates, evolution, the archive and the loop that ties them together."""

from natdeploy.search.accuracy import ACCURACY_PREDICTORS, AccuracyPredictor, get_accuracy_predictor
from natdeploy.search.algorithms import ALGORITHMS
from natdeploy.search.estimates import Estimate, Estimator
from natdeploy.search.evaluator import Evaluator, Surroundings
from natdeploy.search.hypervolume import dominated_share, hypervolume
from natdeploy.search.local import LocalSurroundings
from natdeploy.search.nat import check_names, search
from natdeploy.search.objectives import OBJECTIVES, Objective, ObjectiveSet
from natdeploy.search.surrogates import SURROGATES

__all__ = [
    "ACCURACY_PREDICTORS",
    "ALGORITHMS",
    "OBJECTIVES",
    "SURROGATES",
    "AccuracyPredictor",
    "Estimate",
    "Estimator",
    "Evaluator",
    "LocalSurroundings",
    "Objective",
    "ObjectiveSet",
    "Surroundings",
    "check_names",
    "dominated_share",
    "get_accuracy_predictor",
    "hypervolume",
    "search",
]
