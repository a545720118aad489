"""What the NAT loop needs of a supernet, its data, latency and power models: protocols, and a supernet behind one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from natdeploy.runs import RunConfig
from natdeploy.search.estimates import LatencyPredictor
from natdeploy.spaces import Arch

if TYPE_CHECKING:
    from natdeploy.data import Dataset
    from natdeploy.transfer import Adaptation

Progress = Callable[[str, float], None]
Say = Callable[[str], None]
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
        """Classes of the networks, of which costs and latencies are estimated."""
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


@runtime_checkable
class Prepared(Protocol):
    """An evaluator that likes to know beforehand what it will be asked for, to do it elsewhere side by side."""

    def prepare(self, archs: Sequence[Arch]) -> None:
        """Begin to evaluate these, with the present weights."""
        ...


@runtime_checkable
class Telling(Protocol):
    """An evaluator that has something to say at times, such as that memory was short."""

    def tell(self, say: Say) -> None:
        """Whom to tell from now on."""
        ...


class Power(Protocol):
    """What a network draws while it runs, of a model of its energy."""

    @property
    def watts(self) -> float:
        """Millijoules per millisecond."""
        ...

    @property
    def about(self) -> str:
        """Where that comes from, in words."""
        ...


class Surroundings(Protocol):
    """Where a search gets its evaluator and its latency model from."""

    def latency_model(self, config: RunConfig) -> LatencyPredictor:
        """The latency model of the run's device, runtime and space. Raises BadInput when there is none."""
        ...

    def load_latency_model(self, path: Path, config: RunConfig) -> LatencyPredictor:
        """The run folder's own copy."""
        ...

    def power_model(self, config: RunConfig) -> Power:
        """What the run's device draws. Raises BadInput where that is not known."""
        ...

    def open_evaluator(self, config: RunConfig, state: Path | None) -> Evaluator:
        """A new evaluator of the run's own data set, or the one saved in the folder ``state``."""
        ...


class SupernetEvaluator:
    """A supernet adapted to a data set (:mod:`natdeploy.transfer`).

    Raises BadInput where validation images are to be mirrored that training does not mirror.
    """

    def __init__(self, adaptation: Adaptation, dataset: Dataset, config: RunConfig) -> None:
        from natdeploy.transfer import shows_mirrored

        self._adaptation, self._dataset, self._config = adaptation, dataset, config
        self._mirrored = shows_mirrored(config.adapt, dataset)
        self._say: Say = lambda what: None

    def tell(self, say: Say) -> None:
        """Whom to tell from now on."""
        self._say = say

    @property
    def num_classes(self) -> int:
        """Classes of the task."""
        return len(self._dataset.classes)

    @property
    def data_fingerprint(self) -> str:
        """The data set's digest."""
        return self._dataset.fingerprint

    def evaluate(self, arch: Arch) -> Accuracy:
        """Extract, calibrate on training images, run on validation images, mirrored ones too where the run says so."""
        from natdeploy.transfer import Calibration, evaluate_arch

        calibration = Calibration.of(self._config.adapt, self._config.seed)
        return evaluate_arch(
            self._adaptation.evaluated, arch, self._dataset, calibration, mirrored=self._mirrored, say=self._say
        )

    def warm_up(self, progress: Progress | None) -> object:
        """Train on the whole space."""
        return self._adaptation.warm_up(progress)

    def adapt(self, iteration: int, sample: Sampler, progress: Progress | None) -> object:
        """Train on subnets from ``sample``."""
        return self._adaptation.adapt(iteration, sample, progress)

    def save(self, folder: Path) -> None:
        """Weights, momentum, progress."""
        self._adaptation.save(folder)
