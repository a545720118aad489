"""An accuracy predictor: what perceptrons learned from measured subnets, with where these come from and how good it is.

A file holds weights, not measurements, as JSON: nothing in it can run code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import content_key, read_json, write_json
from natdeploy.ground.registry import Registry
from natdeploy.ground.validation import checked
from natdeploy.search.surrogates import Prediction
from natdeploy.search.surrogates.mlp import Perceptrons
from natdeploy.search.surrogates.quality import agreement
from natdeploy.spaces import Arch, Space, get_space

SCHEMA_VERSION = 1
#: Name to a callable without arguments that gives an :class:`AccuracyPredictor`.
ACCURACY_PREDICTORS = Registry(
    "accuracy predictor", {"ofa-imagenet": "natdeploy.search.accuracy.predictor:ofa_imagenet"}
)
_FOLDS = 5
_DIGITS = 7


@dataclass(frozen=True, kw_only=True)
class AccuracyPredictor:
    """Predicts top-1 on one data set, with one supernet's weights, before anybody has them.

    Attributes:
        space: name of the space whose networks it knows.
        resolutions: resolutions of the networks it learned from; it knows nothing of others.
        data: the data set, for people; ``num_classes`` of it.
        num_classes: classes of the networks.
        mean, std: of each RGB channel, on the scale 0 to 1: how images enter networks with these weights.
        source, licence: of the measurements it was learned from.
        networks: how many distinct ones were measured.
        quality: ``kendall``, ``spearman`` and ``rmse`` (in shares of top-1) on networks held out, by cross-validation.
        columns: which of the space's factored features vary.
        center, scale: of these.
        offset, spread: of the accuracies.
        layers: of each perceptron, weights and biases layer by layer, ReLU between.
    """

    space: str
    resolutions: tuple[int, ...]
    data: str
    num_classes: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    source: str
    licence: str
    networks: int
    quality: Mapping[str, float]
    columns: tuple[int, ...]
    center: tuple[float, ...]
    scale: tuple[float, ...]
    offset: float
    spread: float
    layers: tuple[tuple[tuple[tuple[tuple[float, ...], ...], tuple[float, ...]], ...], ...]

    def __post_init__(self) -> None:
        width = len(self.columns)
        if not width == len(self.center) == len(self.scale) or not self.layers or "rmse" not in self.quality:
            raise ValueError("fields 'columns', 'center', 'scale', 'layers' and 'quality' do not belong together")
        for perceptron in self.layers:
            sizes = [width, *(len(bias) for _, bias in perceptron)]
            shapes = [np.array(weight).shape for weight, _ in perceptron]
            if shapes != list(pairwise(sizes)) or sizes[-1] != 1:
                raise ValueError("field 'layers' holds matrices that do not fit each other")

    @property
    def error(self) -> float:
        """Typical error of a prediction, a share of top-1: from held-out networks."""
        return float(self.quality["rmse"])

    @property
    def digest(self) -> str:
        """Names the predictor by its content."""
        return content_key(self._json())

    @property
    def description(self) -> str:
        """One sentence on what its figures are."""
        sizes = ", ".join(map(str, self.resolutions))
        return (
            f"top-1 on {self.data} predicted, not measured: learned from {self.networks} subnets of {self.space} "
            f"measured at {sizes} px by {self.source} (Kendall's tau {self.quality['kendall']:.3f} on held-out ones)"
        )

    def about(self) -> dict[str, Any]:
        """Everything but what was learned, as plain data."""
        learned = ("columns", "center", "scale", "offset", "spread", "layers")
        return {name: value for name, value in self._json().items() if name not in (*learned, "schema_version")}

    def predict(self, features: np.ndarray) -> Prediction:
        """Top-1 as shares of factored features ``[n, f]``; ``std`` is the spread of the perceptrons."""
        x = (features[:, self.columns] - np.array(self.center)) / np.array(self.scale)
        votes = np.array([_run(perceptron, x) for perceptron in self.layers]) * self.spread + self.offset
        return Prediction(np.clip(votes.mean(0), 0, 1), votes.std(0))

    def __call__(self, archs: Sequence[Arch]) -> np.ndarray:
        """Top-1 of each as a share. Raises BadInput for one of another space or resolution."""
        space = get_space(self.space).at_resolutions(self.resolutions)
        return self.predict(np.array([space.factored(arch) for arch in archs])).mean

    def save(self, path: Path) -> None:
        """Write as JSON."""
        write_json(path, self._json())

    @staticmethod
    def load(path: Path) -> AccuracyPredictor:
        """Read what :meth:`save` wrote. Raises BadInput naming the file and the field."""
        value = read_json(path, "accuracy predictor")
        if not isinstance(value, dict) or value.pop("schema_version", None) != SCHEMA_VERSION:
            raise BadInput(f"{path}: not an accuracy predictor of format {SCHEMA_VERSION}")
        predictor = checked(AccuracyPredictor, value, path)
        get_space(predictor.space).at_resolutions(predictor.resolutions)
        return predictor

    def _json(self) -> dict[str, Any]:
        return {"schema_version": SCHEMA_VERSION, **asdict(self)}


def fit_accuracy_predictor(space: Space, archs: Sequence[Arch], top1: np.ndarray, **about: Any) -> AccuracyPredictor:
    """Learn from measured networks, and judge what was learned by five-fold cross-validation.

    Args:
        space: the networks' space.
        archs: distinct networks, at least ten.
        top1: their accuracies, shares, ``[n]``.
        about: :class:`AccuracyPredictor`'s fields that say what the accuracies are.
    """
    features = np.array([space.factored(arch) for arch in archs])
    fold = np.random.default_rng(0).permutation(len(features)) % _FOLDS
    held_out = np.empty(len(features))
    for part in range(_FOLDS):
        learner = Perceptrons()
        learner.fit(features[fold != part], top1[fold != part])
        held_out[fold == part] = learner.predict(features[fold == part]).mean
    learner = Perceptrons()
    learner.fit(features, top1)
    return AccuracyPredictor(
        space=space.name,
        resolutions=tuple(sorted({arch.r for arch in archs})),
        networks=len(archs),
        quality={name: round(value, 6) for name, value in agreement(held_out, top1).items() if value is not None},
        **learner.learned(_DIGITS),
        **about,
    )


def get_accuracy_predictor(name: str) -> AccuracyPredictor:
    """The predictor of that name. Raises BadInput listing the known ones."""
    predictor = ACCURACY_PREDICTORS.get(name)()
    assert isinstance(predictor, AccuracyPredictor)
    return predictor


@lru_cache(maxsize=1)
def ofa_imagenet() -> AccuracyPredictor:
    """``ofa-imagenet``: ImageNet with Once-for-All's supernet of width 1.0, at 224 pixels."""
    return AccuracyPredictor.load(Path(__file__).parent / "shipped" / "ofa-imagenet.json")


def _run(perceptron: Sequence[tuple[Any, Any]], x: np.ndarray) -> np.ndarray:
    for number, (weight, bias) in enumerate(perceptron):
        x = (np.maximum(x, 0) if number else x) @ np.array(weight) + np.array(bias)
    return x[:, 0]
