"""What NAT's adaptation is worth on small data sets: against fine-tuning one subnet, and against searching without it.

    python benchmarks/transfer.py [--json] [--seed S] [--quick] [--data NAME ...]

From the shipped supernet (CIFAR-10) to ``flowers12`` and ``dtd10`` of ``../shared/data`` beside the checkout, resized
to the micro space's 32 pixels. Stratified five-fold over all images: a fold is looked at once, at the end; everything
is trained on the rest, and chosen on an inner validation part of it. Four ways, with equal seconds of training
(processor time, all threads):

    nat             the search: accuracy against MACs, weights adapted to the archive in between
    no_adaptation   the same search; all of the training comes first, on subnets of the whole space
    finetune        one subnet, taken out of the supernet and trained alone: the largest, and one of medium size

Figures of each data set D: ``D_hv_nat`` and ``D_hv_no_adaptation``, hypervolume of the front chosen on validation
images, by its accuracies on the fold's, as a share of the box up to error 1 and the largest subnet's MACs;
``D_top1_finetune_largest`` and ``D_top1_finetune_mid``; ``D_top1_nat_at_largest`` and ``D_top1_nat_at_mid``, of the
model that is best on validation images among NAT's with at most those MACs. Means over folds; ``D_se_hv``,
``D_se_largest`` and ``D_se_mid`` are standard errors of the paired differences. ``--quick`` does one fold of one data
set, hardly trained: its figures say nothing.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from natdeploy.data import Dataset
    from natdeploy.runs import ArchiveEntry, RunConfig
    from natdeploy.spaces import Arch
    from natdeploy.supernets import Subnet

CHECKOUT = Path(__file__).resolve().parents[1]
IMAGES = CHECKOUT.parent / "shared" / "data"
DATA = ("flowers12", "dtd10")
FOLDS = 5
#: Share of a fold's training images that models are chosen on.
INNER = 0.2
SPACE = "mbv3-micro"
SEARCH: Mapping[str, Any] = {"initial": 24, "iterations": 5, "candidates": 8, "archive": 60, "random_baseline": False}
ADAPT: Mapping[str, Any] = {
    "warm_up_epochs": 10,
    "epochs_per_iteration": 4,
    "batch_size": 64,
    "augmentation": "crop-flip",
}
QUICK_SEARCH = {"initial": 6, "iterations": 1, "candidates": 2, "surrogate_evaluations": 100, "population": 10}
QUICK_ADAPT = {"warm_up_epochs": 1, "epochs_per_iteration": 1, "calibration_images": 64}


@dataclass(frozen=True)
class Outcome:
    """One fold: a hypervolume or an accuracy for each figure, by its name without the data set's."""

    figures: Mapping[str, float]
    seconds: Mapping[str, float]


def mid_arch() -> Arch:
    """A subnet of medium size: the middle of every choice."""
    from natdeploy.spaces import Arch

    return Arch(SPACE, ks=(5,) * 15, e=(4,) * 15, d=(3,) * 5, r=28, w=1.0)


def write_folds(name: str, folder: Path, *, seed: int, folds: int = FOLDS) -> list[Path]:
    """One archive a fold, its images at 32 pixels, divided into ``train``, ``val`` and ``test``. Raises BadInput."""
    from natdeploy.data import load_dataset
    from natdeploy.data.preprocess import resize_image
    from natdeploy.spaces import get_space

    whole = load_dataset(str(IMAGES / name), seed=seed)
    parts = (whole.train, whole.val, whole.test)
    size = get_space(SPACE).resolutions[-1]
    pixels = np.concatenate([np.stack([resize_image(image, size) for image in part.images]) for part in parts])
    labels = np.concatenate([part.labels for part in parts])
    rng = np.random.default_rng(seed)
    fold, inner = np.empty(len(labels), np.int64), np.empty(len(labels))
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        fold[members] = np.arange(len(members)) % folds
        for number in range(folds):
            rest = members[fold[members] == number]
            inner[rest] = np.arange(len(rest)) / len(rest)
    paths = []
    for number in range(folds):
        split = np.where(fold == number, "test", np.where(inner < INNER, "val", "train"))
        path = folder / f"{name}-{number}.npz"
        np.savez(path, images=pixels, label=labels, split=split, classes=np.array(whole.classes))
        paths.append(path)
    return paths


def _surroundings() -> Any:
    """This machine's weights and images, with MACs in a latency's place, and training timed."""
    from natdeploy.search import Evaluator, LocalSurroundings

    class Timed(LocalSurroundings):
        def __init__(self) -> None:
            self.seconds = 0.0

        def latency_model(self, config: RunConfig) -> Any:
            return Megamacs()

        def load_latency_model(self, path: Path, config: RunConfig) -> Any:
            return Megamacs()

        def open_evaluator(self, config: RunConfig, state: Path | None) -> Evaluator:
            evaluator = super().open_evaluator(config, state)
            for name in ("warm_up", "adapt"):
                setattr(evaluator, name, self._timed(getattr(evaluator, name)))
            return evaluator

        def _timed(self, train: Callable[..., object]) -> Callable[..., object]:
            def timed(*args: Any) -> object:
                started = time.process_time()
                trained = train(*args)
                self.seconds += time.process_time() - started
                return trained

            return timed

    return Timed()


class Megamacs:
    """Millions of MACs, known exactly."""

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


def searched(path: Path, out: Path, *, adapts: bool, seed: int, quick: bool) -> tuple[Any, RunConfig, float]:
    """A finished run, its configuration, and the seconds it trained."""
    from natdeploy.runs import RunConfig
    from natdeploy.search import search

    sizes = {**SEARCH, **(QUICK_SEARCH if quick else {})}
    adapt = {**ADAPT, **(QUICK_ADAPT if quick else {})}
    if not adapts:
        adapt["warm_up_epochs"] += sizes["iterations"] * adapt["epochs_per_iteration"]
        adapt["epochs_per_iteration"] = 0
    config = RunConfig(
        space=SPACE,
        data=str(path),
        objectives=("top1", "macs"),
        latency_ms=1e6,  # MACs in millions: nothing is over it
        seed=seed,
        search=sizes,  # type: ignore[arg-type]
        adapt=adapt,  # type: ignore[arg-type]
    )
    here = _surroundings()
    return search(config, out, surroundings=here), config, here.seconds


def judge(run: Any, config: RunConfig, dataset: Dataset) -> dict[str, float]:
    """Top-1 on the fold's images of every model that validation images would choose, by its id."""
    from natdeploy.supernets import load_supernet
    from natdeploy.transfer import evaluate_arch

    supernet = load_supernet(run.supernet_path)
    images, wanted = config.adapt.calibration_images, {entry.id: entry for entry in run.front()}
    for limit in (supernet.space.largest(), mid_arch()):
        best = best_within(run.archive(), limit, len(dataset.classes))
        wanted[best.id] = best
    return {
        name: evaluate_arch(
            supernet, entry.arch, dataset, split="test", calibration_images=images, seed=config.seed
        ).top1
        for name, entry in wanted.items()
    }


def best_within(archive: Sequence[ArchiveEntry], limit: Arch, num_classes: int) -> ArchiveEntry:
    """The entry that is best on validation images among those with at most ``limit``'s MACs."""
    most = _macs(limit, num_classes)
    within = [entry for entry in archive if entry.macs <= most]
    return max(within, key=lambda entry: (entry.top1, -entry.loss))


def front_volume(run: Any, top1: Mapping[str, float], num_classes: int) -> float:
    """Hypervolume of a run's front by its accuracies on the fold's images."""
    from natdeploy.search import dominated_share
    from natdeploy.spaces import get_space

    most = _macs(get_space(SPACE).largest(), num_classes)
    return dominated_share(np.array([[1 - top1[entry.id], entry.macs / most] for entry in run.front()]))


def finetuned(arch: Arch, dataset: Dataset, config: RunConfig, seconds: float) -> tuple[float, float]:
    """Top-1 on the fold's images of one subnet that was trained alone for so many seconds, and how many it was."""
    import torch
    from torch.nn import functional as F

    from natdeploy.supernets import extract, load_supernet
    from natdeploy.transfer import evaluate
    from natdeploy.transfer.batches import TrainingBatches
    from natdeploy.transfer.optimizer import cosine, set_learning_rate, sgd

    torch.manual_seed(config.seed)
    subnet: Subnet = extract(load_supernet(num_classes=len(dataset.classes)), arch).train()
    settings = config.adapt
    batches = TrainingBatches(
        dataset.train,
        arch.r,
        settings.batch_size,
        mean=dataset.mean,
        std=dataset.std,
        augmentation=settings.augmentation,
    )
    optimizer = sgd(subnet, weight_decay=settings.weight_decay)
    rng, started, passed = np.random.default_rng(config.seed), time.process_time(), 0.0
    while passed < seconds:
        for images, labels in batches.epoch(rng, torch.device("cpu")):
            set_learning_rate(optimizer, cosine(min(1.0, passed / seconds), settings.lr, warm_up=0.05))
            optimizer.zero_grad()
            F.cross_entropy(subnet(images.contiguous(memory_format=torch.channels_last)), labels).backward()
            torch.nn.utils.clip_grad_norm_(subnet.parameters(), settings.clip)
            optimizer.step()
            passed = time.process_time() - started
            if passed >= seconds:
                break
    return evaluate(subnet.eval(), arch, dataset, split="test").top1, passed


def one_fold(path: Path, folder: Path, *, seed: int, quick: bool) -> Outcome:
    """All four ways on one fold."""
    from natdeploy.data import load_dataset
    from natdeploy.spaces import get_space

    dataset = load_dataset(str(path), seed=seed)
    classes = len(dataset.classes)
    figures: dict[str, float] = {}
    seconds: dict[str, float] = {}
    limits = {"largest": get_space(SPACE).largest(), "mid": mid_arch()}
    for name, adapts in (("nat", True), ("no_adaptation", False)):
        run, config, seconds[name] = searched(path, folder / name, adapts=adapts, seed=seed, quick=quick)
        top1 = judge(run, config, dataset)
        figures[f"hv_{name}"] = front_volume(run, top1, classes)
        if adapts:
            for size, limit in limits.items():
                figures[f"top1_nat_at_{size}"] = top1[best_within(run.archive(), limit, classes).id]
    for size, arch in limits.items():
        name = f"finetune_{size}"
        figures[f"top1_{name}"], seconds[name] = finetuned(arch, dataset, config, seconds["nat"])
    return Outcome(figures, seconds)


def measure(names: Sequence[str], *, seed: int, quick: bool) -> dict[str, Any]:
    """All folds of all data sets. Raises BadInput for images that are not there."""
    from benchmarks.environment import environment

    figures: dict[str, float] = {}
    for name in names[:1] if quick else names:
        with tempfile.TemporaryDirectory(prefix="transfer.") as temporary:
            paths = write_folds(name, Path(temporary), seed=seed)
            outcomes = []
            for number, path in enumerate(paths[:1] if quick else paths):
                outcomes.append(one_fold(path, Path(temporary) / str(number), seed=seed, quick=quick))
                print(f"{name}, fold {number}: {_line(outcomes[-1])}", file=sys.stderr, flush=True)
        figures |= {f"{name}_{figure}": value for figure, value in summary([o.figures for o in outcomes]).items()}
    about = {"data": list(names[:1] if quick else names), "folds": 1 if quick else FOLDS}
    return {
        "benchmark": "transfer",
        "figures": figures,
        "environment": {**environment(seed=seed, quick=quick), **about},
    }


def summary(folds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Means over folds, and the standard errors of the paired differences where there are several."""
    found = {name: float(np.mean([fold[name] for fold in folds])) for name in folds[0]}
    pairs = {
        "hv": ("hv_nat", "hv_no_adaptation"),
        "largest": ("top1_nat_at_largest", "top1_finetune_largest"),
        "mid": ("top1_nat_at_mid", "top1_finetune_mid"),
    }
    if len(folds) > 1:
        for name, (ours, other) in pairs.items():
            differences = [fold[ours] - fold[other] for fold in folds]
            found[f"se_{name}"] = float(np.std(differences, ddof=1) / np.sqrt(len(folds)))
    return found


def _macs(arch: Arch, num_classes: int) -> int:
    from natdeploy.spaces import costs, get_space

    return costs(get_space(SPACE).layers(arch, num_classes)).macs


def _line(outcome: Outcome) -> str:
    values = ", ".join(f"{name} {value:.3f}" for name, value in outcome.figures.items())
    return f"{values}; seconds " + ", ".join(f"{name} {value:.0f}" for name, value in outcome.seconds.items())


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="one fold of one data set, hardly trained")
    parser.add_argument("--data", action="append", choices=DATA, help="this data set alone; may be given again")
    options = parser.parse_args()
    sys.path.insert(0, str(CHECKOUT))
    from benchmarks.output import print_found
    from natdeploy.ground.errors import NatdeployError

    try:
        found = measure(options.data or DATA, seed=options.seed, quick=options.quick)
    except NatdeployError as error:
        parser.error(str(error))
    print_found(found, as_json=options.json)


if __name__ == "__main__":
    main()
