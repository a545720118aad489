"""This machine as a search's surroundings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from natdeploy.ground.cluster import Cluster
from natdeploy.ground.errors import BadInput
from natdeploy.runs import RunConfig
from natdeploy.runs.folder import ACCURACY_PREDICTOR
from natdeploy.search.estimates import LatencyPredictor
from natdeploy.search.evaluator import Evaluator, Power, Progress, SupernetEvaluator
from natdeploy.search.spread import SpreadEvaluator
from natdeploy.spaces import get_space

if TYPE_CHECKING:
    from natdeploy.data import Dataset
    from natdeploy.transfer import Adaptation


class LocalSurroundings:
    """This machine: its profiled latency models, its data, its torch.

    Args:
        cluster: where subnets are evaluated; None for here.
        progress: told of kernels that a latency model has to compile before it predicts.
    """

    def __init__(self, cluster: Cluster | None = None, progress: Progress | None = None) -> None:
        self._cluster, self._progress = cluster, progress

    def latency_model(self, config: RunConfig) -> LatencyPredictor:
        """A profiled device's own; where there is none, one from published measurements; else a prior."""
        from natdeploy.devices import load_profile
        from natdeploy.latency import find_latency_model, telling, unmeasured_latency_model

        profile = load_profile(config.device)
        model = find_latency_model(profile, config.space, config.runtime)
        return telling(model or unmeasured_latency_model(profile, config.space, config.runtime), self._progress)

    def power_model(self, config: RunConfig) -> Power:
        """From the hardware profile's power figures."""
        from natdeploy.devices import load_profile
        from natdeploy.devices.power import power_model

        return power_model(load_profile(config.device))

    def load_latency_model(self, path: Path, config: RunConfig) -> LatencyPredictor:
        """Read a saved model."""
        from natdeploy.latency import LatencyModel, telling

        return telling(LatencyModel.load(path, config.space), self._progress)

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
            return self._evaluator(adaptation, dataset, config)
        with torch.random.fork_rng(devices=[]):  # a classifier for other classes starts from random weights
            torch.manual_seed(config.seed)
            classes = len(dataset.classes)
            supernet = load_supernet(config.supernet, num_classes=classes, resolutions=config.resolutions)
        if supernet.space.name != get_space(config.space).name:
            raise BadInput(f"supernet {config.supernet!r} is of space {supernet.space.name}, not {config.space}")
        adapt = AdaptConfig(**config.adapt.model_dump(), iterations=config.search.iterations)
        return self._evaluator(Adaptation(supernet, dataset, adapt, config.seed), dataset, config)

    def _evaluator(self, adaptation: Adaptation, dataset: Dataset, config: RunConfig) -> SupernetEvaluator:
        if self._cluster is None:
            return SupernetEvaluator(adaptation, dataset, config)
        return SpreadEvaluator(adaptation, dataset, config, self._cluster)
