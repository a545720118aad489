"""NAT's adaptation of a supernet to a task (Lu et al. 2020, section 3.3): train what the search finds promising.

Subnets are drawn per batch from a distribution that the search gives (``adapt.distribution``). The learning rate
is one cosine over the whole run, warm-up included. All randomness comes from ``(seed, iteration, epoch)``, so that a
run continued from its saved state takes the very steps of an undisturbed one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from natdeploy.data import Dataset
from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import read_json, write_json
from natdeploy.ground.validation import Settings, Whole, validate
from natdeploy.runs import AdaptSettings
from natdeploy.spaces.arch import Arch
from natdeploy.supernets import MobileNetV3Supernet, load_supernet, save_supernet
from natdeploy.transfer.average import MovingAverage, averaging
from natdeploy.transfer.batches import TrainingBatches
from natdeploy.transfer.compute import compute_device, placed
from natdeploy.transfer.epoch import train_epoch
from natdeploy.transfer.memory import train_within_memory
from natdeploy.transfer.optimizer import cosine, load_momentum, save_momentum, sgd

ArchSampler = Callable[[np.random.Generator], Arch]
STATE = "adaptation.json"
#: Weights as they are trained, where ``supernet.safetensors`` holds their moving average.
TRAINED = "trained.safetensors"


class AdaptConfig(AdaptSettings):
    """How a supernet is adapted: a run's own settings, and what else the training depends on.

    Attributes:
        iterations: the search adapts that many times.
    """

    iterations: Annotated[Whole, Field(ge=0, le=1_000)] = 5

    @property
    def epochs(self) -> int:
        """Epochs of the whole run."""
        return self.epochs_before_search + self.iterations * self.epochs_per_iteration


class AdaptationState(Settings):
    """What is written beside weights and momentum.

    Attributes:
        config: how the supernet is adapted.
        data: digest of the images.
        epochs_done: of the whole run.
        seed: of batch order, augmentation and the draw of subnets.
        batch_size: images a step where memory did not suffice for the configured ones; None: as configured.
        steps_averaged: steps that the weights' moving average has seen, where there is one.
    """

    config: AdaptConfig
    data: str
    epochs_done: Annotated[Whole, Field(ge=0)]
    seed: Annotated[Whole, Field(ge=0)]
    batch_size: Annotated[Whole, Field(ge=2)] | None = None
    #: 1 in states of before there was ``average_age``: an exponential average only asks whether it has begun.
    steps_averaged: Annotated[Whole, Field(ge=0)] = 1


class Adaptation:
    """A supernet on its way to a task, with the optimiser's state.

    Args:
        supernet: adapted in place. Its classifier must have as many outputs as the task has classes.
        dataset: only the training part is used.
        config: how.
        seed: of batch order, augmentation and the draw of subnets.
    """

    def __init__(self, supernet: MobileNetV3Supernet, dataset: Dataset, config: AdaptConfig, seed: int) -> None:
        if supernet.num_classes != len(dataset.classes):
            raise BadInput(
                f"the supernet has {supernet.num_classes} classes, data set {dataset.name} has {len(dataset.classes)}"
            )
        device = compute_device()
        self.supernet = placed(supernet, device)
        self.config = config
        self.seed = seed
        self.epochs_done = 0
        how = averaging(config)
        self._average = MovingAverage(self.supernet, how) if how else None
        self._device = device
        self._dataset = dataset
        self._optimizer = sgd(self.supernet, weight_decay=config.weight_decay)
        self._batches = TrainingBatches.of(
            dataset, supernet.space.resolutions[-1], config.batch_size, config.augmentation
        )

    @property
    def evaluated(self) -> MobileNetV3Supernet:
        """What subnets are taken from: the weights, or their moving average."""
        return self.supernet if self._average is None else self._average.network

    def warm_up(self, progress: Callable[[str, float], None] | None = None) -> float:
        """Train the largest subnet alone, then with subnets drawn from the whole space, as long as configured.

        Returns the last epoch's mean loss of the largest subnet. Raises TrainingDiverged when a loss is not a number.
        """
        config = self.config
        return self._train(
            0,
            config.epochs_before_search,
            self.supernet.space.sample,
            "warm-up",
            progress,
            alone=config.largest_epochs,
        )

    def adapt(self, iteration: int, sample: ArchSampler, progress: Callable[[str, float], None] | None = None) -> float:
        """Train one iteration's epochs with subnets from ``sample``; ``iteration`` counts from 1.

        Returns the last epoch's mean loss of the largest subnet. Raises TrainingDiverged when a loss is not a number.
        """
        if not 1 <= iteration <= self.config.iterations:
            raise BadInput(f"adaptation iteration {iteration} is outside 1 to {self.config.iterations}")
        return self._train(iteration, self.config.epochs_per_iteration, sample, f"adaptation {iteration}", progress)

    def _train(
        self,
        iteration: int,
        epochs: int,
        sample: ArchSampler,
        stage: str,
        progress: Callable[[str, float], None] | None,
        *,
        alone: int = 0,
    ) -> float:
        """Train ``epochs``; the first ``alone`` of them on the largest subnet only."""
        config, mean_loss = self.config, float("nan")
        for epoch in range(epochs):

            def lr(fraction: float, done: int = self.epochs_done) -> float:
                return cosine(min((done + fraction) / config.epochs, 1.0), config.lr, warm_up=0.05)

            def say(what: str, fraction: float = 0.0, epoch: int = epoch) -> None:
                if progress:
                    progress(f"{stage}: {what}", (epoch + fraction) / epochs)

            train = partial(
                train_epoch,
                self.supernet,
                self._optimizer,
                config,
                key=[self.seed, iteration, epoch],
                students=partial(_drawn, sample, 0 if epoch < alone else config.subnets_per_step),
                lr=lr,
                device=self._device,
                progress=say,
                after_step=None if self._average is None else self._average.step,
            )
            mean_loss, self._batches = train_within_memory(self._batches, train, say, "training")
            self.epochs_done += 1
        return mean_loss

    def save(self, folder: Path) -> None:
        """Write weights, momentum and progress into an existing folder.

        ``supernet.safetensors`` is what subnets are taken from; where that is an average, the weights that go on being
        trained lie beside it.
        """
        images = self._dataset
        about = {
            "adapted_to": images.name,
            "fingerprint": images.fingerprint,
            "classes": list(images.classes),
            "mean": list(images.mean),
            "std": list(images.std),
            "augmentation": self._batches.augmentation,
        }
        save_supernet(folder / "supernet.safetensors", self.evaluated, about)
        if self._average is not None:
            save_supernet(folder / TRAINED, self.supernet, about)
        save_momentum(folder / "optimizer.safetensors", self.supernet, self._optimizer)
        state = AdaptationState(
            config=self.config,
            data=self._dataset.fingerprint,
            epochs_done=self.epochs_done,
            seed=self.seed,
            batch_size=self._batches.size,
            steps_averaged=0 if self._average is None else self._average.steps,
        )
        write_json(folder / STATE, state.model_dump(mode="json"))

    @staticmethod
    def load(folder: Path, dataset: Dataset, *, resolutions: Sequence[int] = ()) -> Adaptation:
        """Continue from what :meth:`save` wrote. Raises BadInput for another data set or a damaged file.

        The supernet is used at these of its space's resolutions, at all of them where none are given.
        """
        path = folder / STATE
        state = validate(AdaptationState, read_json(path, "adaptation state"), path)
        if state.data != dataset.fingerprint:
            raise BadInput(f"{path}: the run was made with other images than {dataset.name}'s")
        weights = "supernet.safetensors" if averaging(state.config) is None else TRAINED
        adaptation = Adaptation(
            load_supernet(folder / weights, resolutions=resolutions), dataset, state.config, state.seed
        )
        if adaptation._average is not None:
            averaged = load_supernet(folder / "supernet.safetensors").state_dict()
            adaptation._average.restore(averaged, state.steps_averaged)
        if state.batch_size is not None:
            adaptation._batches = adaptation._batches.of_size(state.batch_size)
        load_momentum(folder / "optimizer.safetensors", adaptation.supernet, adaptation._optimizer)
        adaptation.epochs_done = state.epochs_done
        return adaptation


def _drawn(sample: ArchSampler, count: int, rng: np.random.Generator) -> list[Arch]:
    return [sample(rng) for _ in range(count)]
