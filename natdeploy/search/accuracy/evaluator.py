"""The search's evaluator where there are no weights: every accuracy is predicted, and says so."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np

from natdeploy.runs.folder import ACCURACY_PREDICTOR
from natdeploy.search.accuracy.predictor import AccuracyPredictor
from natdeploy.search.surrogates import Prediction
from natdeploy.spaces import Arch


@dataclass(frozen=True)
class PredictedAccuracy:
    """A prediction in the form of an evaluation: on no images, with no loss.

    Attributes:
        top1: share, 0 to 1.
        error: the predictor's typical error, a share.
    """

    top1: float
    error: float
    loss: float = 0.0
    images: int = 0


class PredictedEvaluator:
    """Stands in for weights and images; there is nothing to train."""

    def __init__(self, name: str, predictor: AccuracyPredictor) -> None:
        self.name, self.predictor = name, predictor
        self.num_classes = predictor.num_classes
        self.data_fingerprint = predictor.digest

    def evaluate(self, arch: Arch) -> PredictedAccuracy:
        """The prediction."""
        return PredictedAccuracy(float(self.predictor([arch])[0]), self.predictor.error)

    def error_of(self, features: np.ndarray) -> Prediction:
        """Predicted share of wrong answers of factored features ``[n, f]``: what a surrogate would have to learn."""
        found = self.predictor.predict(features)
        return Prediction(1 - found.mean, found.std)

    def warm_up(self, progress: object) -> NoReturn:
        """There are no weights."""
        raise RuntimeError("predicted accuracies have no weights to train")

    def adapt(self, iteration: int, sample: object, progress: object) -> NoReturn:
        """There are no weights."""
        raise RuntimeError("predicted accuracies have no weights to adapt")

    def save(self, folder: Path) -> None:
        """Write the predictor into an existing folder."""
        self.predictor.save(folder / ACCURACY_PREDICTOR)
