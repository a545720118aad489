"""What the NAT loop needs of a supernet, its data and a latency model: protocols, and the real ones behind them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from natdeploy.ground.errors import BadInput
from natdeploy.runs import RunConfig
from natdeploy.runs.folder import ACCURACY_PREDICTOR
from natdeploy.search.estimates import LatencyPredictor
from natdeploy.spaces import Arch, get_space

if TYPE_CHECKING:
    from natdeploy.data import Dataset
    from natdeploy.transfer import Adaptation

Progress = Callable[[str, float], None]
Sampler = Callable[[np.random.Generator], Arch]


class Accuracy(Protocol):
    """How good a network is on the validation part."""

    @property
    def top1(self) -> float:
        """Share classified correctly, 0 to 1."""
        ...

    @property
    def loss(self) -> float:
        """Mean cross-entropy."""
        ...

    @property
    def images(self) -> int:
        """How many images."""
        ...


class Evaluator(Protocol):
    """Weights that can be adapted, and accuracies measured with them."""

    @property
    def num_classes(self) -> int:
        """Classes of the task."""
        ...

    @property
    def data_fingerprint(self) -> str:
        """Digest of the images, their labels and how they are divided."""
        ...

    def evaluate(self, arch: Arch) -> Accuracy:
        """Accuracy on the validation part with the present weights; changes nothing, equal calls give equal answers."""
        ...

    def warm_up(self, progress: Progress | None) -> object:
        """Train on the whole space."""
        ...

    def adapt(self, iteration: int, sample: Sampler, progress: Progress | None) -> object:
        """Train on subnets from ``sample``; iterations count from 1. Depends on nothing random but the seed."""
        ...

    def save(self, folder: Path) -> object:
        """Write weights (as ``supernet.safetensors``) and optimizer, or what stands for them, into a folder."""
        ...


class Surroundings(Protocol):
    """Where a search gets its evaluator and its latency model from."""

    def latency_model(self, config: RunConfig) -> LatencyPredictor:
        """The latency model of the run's device, runtime and space. Raises BadInput when there is none."""
        ...

    def load_latency_model(self, path: Path, config: RunConfig) -> LatencyPredictor:
        """The run folder's own copy."""
        ...

    def open_evaluator(self, config: RunConfig, state: Path | None) -> Evaluator:
        """A new evaluator, or the one saved in the folder ``state``."""
        ...


class SupernetEvaluator:
    """A supernet adapted to a data set (:mod:`natdeploy.transfer`)."""

    def __init__(self, adaptation: Adaptation, dataset: Dataset, config: RunConfig) -> None:
        self._adaptation, self._dataset, self._config = adaptation, dataset, config

    @property
    def num_classes(self) -> int:
        """Classes of the task."""
        return len(self._dataset.classes)

    @property
    def data_fingerprint(self) -> str:
        """The data set's digest."""
        return self._dataset.fingerprint

    def evaluate(self, arch: Arch) -> Accuracy:
        """Extract, calibrate on training images, run on validation images."""
        from natdeploy.transfer import evaluate_arch

        images = self._config.adapt.calibration_images
        supernet = self._adaptation.supernet
        return evaluate_arch(supernet, arch, self._dataset, calibration_images=images, seed=self._config.seed)

    def warm_up(self, progress: Progress | None) -> object:
        """Train on the whole space."""
        return self._adaptation.warm_up(progress)

    def adapt(self, iteration: int, sample: Sampler, progress: Progress | None) -> object:
        """Train on subnets from ``sample``."""
        return self._adaptation.adapt(iteration, sample, progress)

    def save(self, folder: Path) -> None:
        """Weights, momentum, progress."""
        self._adaptation.save(folder)


class LocalSurroundings:
    """This machine: its profiled latency models, its data, its torch."""

    def latency_model(self, config: RunConfig) -> LatencyPredictor:
        """A profiled device's own; where there is none, one from published measurements; else a prior."""
        from natdeploy.devices import load_profile
        from natdeploy.latency import find_latency_model, unmeasured_latency_model

        profile = load_profile(config.device)
        model = find_latency_model(profile, config.space, config.runtime)
        return model or unmeasured_latency_model(profile, config.space, config.runtime)

    def load_latency_model(self, path: Path, config: RunConfig) -> LatencyPredictor:
        """Read a saved model."""
        from natdeploy.latency import LatencyModel

        return LatencyModel.load(path, config.space)

    def open_evaluator(self, config: RunConfig, state: Path | None) -> Evaluator:
        """Load images and supernet; fixes the number of torch's threads, on which sums depend.

        Where accuracies are predicted, the predictor is all that is loaded.
        """
        if config.predictor is not None:
            from natdeploy.search.accuracy import AccuracyPredictor, PredictedEvaluator, get_accuracy_predictor

            kept = None if state is None else AccuracyPredictor.load(state / ACCURACY_PREDICTOR)
            return PredictedEvaluator(config.predictor, kept or get_accuracy_predictor(config.predictor))
        import torch

        from natdeploy.data import load_dataset
        from natdeploy.supernets import load_supernet
        from natdeploy.transfer import Adaptation, AdaptConfig

        dataset = load_dataset(config.data, seed=config.seed)
        torch.set_num_threads(config.threads)
        if state is not None:
            adaptation = Adaptation.load(state, dataset, resolutions=config.resolutions)
            return SupernetEvaluator(adaptation, dataset, config)
        with torch.random.fork_rng(devices=[]):  # a classifier for other classes starts from random weights
            torch.manual_seed(config.seed)
            classes = len(dataset.classes)
            supernet = load_supernet(config.supernet, num_classes=classes, resolutions=config.resolutions)
        if supernet.space.name != get_space(config.space).name:
            raise BadInput(f"supernet {config.supernet!r} is of space {supernet.space.name}, not {config.space}")
        adapt = AdaptConfig(**config.adapt.model_dump(), iterations=config.search.iterations)
        return SupernetEvaluator(Adaptation(supernet, dataset, adapt, config.seed), dataset, config)
