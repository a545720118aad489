"""The ways that the transfer benchmark compares, each on one fold: NAT, the same without adaptation, fine-tuning."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.transfer_training import trained_ahead, trained_alone

if TYPE_CHECKING:
    from natdeploy.data import Dataset
    from natdeploy.runs import ArchiveEntry, RunConfig, RunFolder
    from natdeploy.spaces import Arch

SPACE = "mbv3-micro"
#: The archive grows: validation images are so few that the largest subnet often seems dominated, and would not be kept.
#: Few rounds, for all to end within 80 minutes: after each one the whole archive is evaluated again.
SEARCH: Mapping[str, Any] = {
    "initial": 24,
    "iterations": 3,
    "candidates": 13,
    "archive": None,
    "random_baseline": False,
}
#: What all ways have in common, batches and learning rate for instance, was chosen on inner parts of one fold's
#: training images; the growing archive and what adaptation draws on two tasks made of CIFAR-10's; how old averaged
#: weights are on these, on grey pieces of ImageNet photographs, and last on such inner parts; that validation images
#: are mirrored, too, on these pieces, such inner parts and textures' (after seed 1 had not favoured NAT).
ADAPT: Mapping[str, Any] = {
    "largest_epochs": 24,
    "warm_up_epochs": 4,
    "epochs_per_iteration": 9,
    "lr": 0.1,
    "batch_size": 32,
    "subnets_per_step": 1,
    "distribution": "fronts",
    "average_age": 0.25,
    "augmentation": "crop-flip",
    "calibration_images": 384,
    "validate_on": "mirrored",
    "parts": 1,
}
#: What searches are judged by, for outcomes that are kept.
JUDGED = "the front, and what a build takes over all budgets"
QUICK_SEARCH = {"initial": 6, "iterations": 1, "candidates": 2, "surrogate_evaluations": 100, "population": 10}
QUICK_ADAPT = {"largest_epochs": 1, "warm_up_epochs": 1, "epochs_per_iteration": 1, "calibration_images": 64}


@dataclass(frozen=True)
class Outcome:
    """One fold.

    Attributes:
        figures: hypervolumes, accuracies and millions of MACs, by a figure's name without the data set's.
        seconds: processor time of training, by way.
    """

    figures: Mapping[str, float]
    seconds: Mapping[str, float]


def settings(*, quick: bool) -> dict[str, Any]:
    """All that an outcome depends on beside images and seed."""
    return {
        "search": {**SEARCH, **(QUICK_SEARCH if quick else {})},
        "adapt": {**ADAPT, **(QUICK_ADAPT if quick else {})},
    }


def limits() -> dict[str, Arch]:
    """The subnets that are fine-tuned alone, whose MACs a choice of NAT's may not exceed."""
    from natdeploy.spaces import Arch, get_space

    middle = Arch(SPACE, ks=(5,) * 15, e=(4,) * 15, d=(3,) * 5, r=28, w=1.0)  # the middle of every choice
    return {"largest": get_space(SPACE).largest(), "mid": middle}


def one_fold(path: Path, folder: Path, *, seed: int, quick: bool) -> Outcome:
    """All ways on one fold, one after the other, by one thread of the processor: its time is what is counted."""
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    import torch

    from natdeploy.data import load_dataset

    torch.set_num_threads(1)
    how = nat_config(path, seed=seed, quick=quick)
    dataset = load_dataset(how.data, seed=how.seed)
    figures: dict[str, float] = {}
    seconds: dict[str, float] = {}

    for way in ("nat", "no_adaptation"):
        run, seconds[way] = searched(how, dataset, folder / way, seconds.get("nat"))
        figures |= judged(run, dataset, how, way)
    for name, arch in limits().items():
        figures[f"top1_finetune_{name}"], seconds[f"finetune_{name}"] = trained_alone(
            arch, dataset, how, seconds["nat"]
        )
    return Outcome(figures, seconds)


def choose(archive: Sequence[ArchiveEntry], most: int) -> ArchiveEntry:
    """What ``build --pick best`` would take with so many MACs for a budget; validation images alone decide."""
    from natdeploy.deploy import rank

    return rank(archive, "best", most / 1e6)[0]


def by_budget(archive: Sequence[ArchiveEntry]) -> list[tuple[float, ArchiveEntry]]:
    """What :func:`choose` takes as the budget grows: each with the least budget for it, millions of MACs, ascending."""
    from natdeploy.deploy import rank

    taken: list[tuple[float, ArchiveEntry]] = []
    for budget in sorted({entry.latency_upper_ms for entry in archive}):
        entry = rank(archive, "best", budget)[0]
        if not taken or entry.id != taken[-1][1].id:
            taken.append((budget, entry))
    return taken


def macs(arch: Arch, dataset: Dataset) -> int:
    """Multiply-adds of an architecture with the task's classifier."""
    from natdeploy.spaces import costs, get_space

    return costs(get_space(SPACE).layers(arch, len(dataset.classes))).macs


def nat_config(path: Path, *, seed: int, quick: bool) -> RunConfig:
    """NAT's search on a fold."""
    from natdeploy.runs import RunConfig

    return RunConfig(
        space=SPACE,
        data=str(path),
        objectives=("top1", "macs"),
        latency_ms=1e6,  # MACs in millions: nothing is over it
        threads=1,
        seed=seed,
        **settings(quick=quick),
    )


def searched(how: RunConfig, dataset: Dataset, out: Path, ahead: float | None = None) -> tuple[RunFolder, float]:
    """A finished search, and the seconds of processor time that its training took.

    NAT's, or one without adaptation whose supernet was trained for ``ahead`` seconds before it begins.
    """
    from natdeploy.search import search

    here = _surroundings()
    if ahead is None:
        return search(how, out, surroundings=here), here.seconds
    trained = out.with_suffix(".safetensors")
    took = trained_ahead(dataset, how, ahead, trained)
    none = how.adapt.model_copy(update={"largest_epochs": 0, "warm_up_epochs": 0, "epochs_per_iteration": 0})
    how = how.model_copy(update={"supernet": str(trained), "adapt": none})
    return search(how, out, surroundings=here), took


def _surroundings() -> Any:
    """This machine's weights and images, with MACs in a latency's place, and training timed."""
    from natdeploy.search import Evaluator, LocalSurroundings

    class Timed(LocalSurroundings):
        def __init__(self) -> None:
            super().__init__()
            self.seconds = 0.0

        def latency_model(self, config: RunConfig) -> Any:
            return MacsForLatency()

        def load_latency_model(self, path: Path, config: RunConfig) -> Any:
            return MacsForLatency()

        def open_evaluator(self, config: RunConfig, state: Path | None) -> Evaluator:
            evaluator = super().open_evaluator(config, state)
            for name in ("warm_up", "adapt"):
                setattr(evaluator, name, self._timed(getattr(evaluator, name)))
            return evaluator

        def _timed(self, train: Callable[..., object]) -> Callable[..., object]:
            def timed(*given: Any) -> object:
                started = time.process_time()
                trained = train(*given)
                self.seconds += time.process_time() - started
                return trained

            return timed

    return Timed()


class MacsForLatency:
    """A latency model that tells millions of MACs, known exactly."""

    def predict(self, archs: Sequence[Arch], *, num_classes: int | None = None) -> Any:
        """As a latency model."""
        from types import SimpleNamespace

        from natdeploy.spaces import costs, get_space

        space = get_space(SPACE)
        macs = np.array([costs(space.layers(arch, num_classes)).macs / 1e6 for arch in archs])
        return SimpleNamespace(mean_ms=macs, lower_ms=macs, upper_ms=macs)

    def save(self, path: Path) -> None:
        """There is nothing to keep."""
        path.write_text("{}\n")


def judged(run: RunFolder, dataset: Dataset, how: RunConfig, way: str) -> dict[str, float]:
    """What a search came to on the fold's images: its front's hypervolume, and what a build takes.

    That is told within both limits' MACs, and as a mean over all budgets.
    """
    archive, most = run.archive(), macs(limits()["largest"], dataset) / 1e6
    taken = by_budget(archive)
    chosen = {name: choose(archive, macs(arch, dataset)) for name, arch in limits().items()}
    top1 = _top1(run, [*run.front(), *(entry for _, entry in taken), *chosen.values()], dataset, how)
    figures = {
        f"hv_{way}": _front_volume(run, top1, most),
        f"top1_{way}_over_budgets": over_budgets([(budget, top1[entry.id]) for budget, entry in taken], most),
    }
    for name, entry in chosen.items():
        figures |= {f"top1_{way}_at_{name}": top1[entry.id], f"mmacs_{way}_at_{name}": entry.macs / 1e6}
    return figures


def over_budgets(taken: Sequence[tuple[float, float]], most: float) -> float:
    """Mean accuracy over all budgets up to ``most``, of accuracies that each are had from their budget to the next one.

    Budgets ascend, none is above ``most``; below the first one, nothing is had and 0 counts.

    The front's hypervolume takes the best of its accuracies on the images that judge, so that the more models there
    are, the higher it is by chance; here each counts where it is taken, good or bad.
    """
    budgets, accuracies = np.array(taken).T
    return float(accuracies @ np.diff([*budgets, most]) / most)


def _top1(run: RunFolder, entries: Sequence[ArchiveEntry], dataset: Dataset, how: RunConfig) -> dict[str, float]:
    """Top-1 of models on the fold's images, by their ids."""
    from natdeploy.supernets import load_supernet
    from natdeploy.transfer import Calibration, evaluate_arch

    supernet = load_supernet(run.supernet_path)
    calibration = Calibration.of(how.adapt, how.seed)
    return {
        name: evaluate_arch(supernet, entry.arch, dataset, calibration, split="test").top1
        for name, entry in {entry.id: entry for entry in entries}.items()
    }


def _front_volume(run: RunFolder, top1: Mapping[str, float], most: float) -> float:
    """Hypervolume of a front by its accuracies on the fold's images, as a share of the box of error 1 and all MACs."""
    from natdeploy.search import dominated_share

    return dominated_share(np.array([[1 - top1[entry.id], entry.macs / 1e6 / most] for entry in run.front()]))
