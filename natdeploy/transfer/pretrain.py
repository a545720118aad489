"""Training a supernet, from scratch or further: the largest network, its channels sorted, then everything elastic.

The recipe shortens Once-for-All's progressive shrinking (Cai et al. 2020) to two phases, with the sandwich of largest,
smallest and random subnets in each elastic step (Yu et al. 2020).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field, model_validator

from natdeploy.data import Dataset
from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import (
    atomic_folder,
    content_key,
    read_json,
    readable_disk_errors,
    restore_folder,
    sha256_file,
    write_json,
)
from natdeploy.ground.lock import only_process_in
from natdeploy.ground.validation import Real, Settings, Whole
from natdeploy.runs.settings import BatchSize, Clip, LearningRate, Name, Parts, Seed, Share, Smoothing
from natdeploy.spaces.arch import Arch
from natdeploy.spaces.space import Space
from natdeploy.supernets import (
    MobileNetV3Supernet,
    build_supernet,
    load_supernet,
    read_supernet_header,
    save_supernet,
    sort_channels,
)
from natdeploy.transfer.batches import TrainingBatches
from natdeploy.transfer.calibration import Calibration
from natdeploy.transfer.compute import compute_device, placed
from natdeploy.transfer.epoch import train_epoch
from natdeploy.transfer.evaluate import evaluate, evaluate_arch
from natdeploy.transfer.memory import Say, train_within_memory
from natdeploy.transfer.optimizer import cosine, load_momentum, save_momentum, sgd
from natdeploy.transfer.teacher import trained_teacher

Epochs = Annotated[Whole, Field(ge=0, le=100_000)]


class PretrainConfig(Settings):
    """How a supernet is trained.

    Attributes:
        epochs_largest, epochs_elastic: epochs of the two phases.
        batch_size: images a step.
        lr: peak learning rate; rises over the first 2 % and falls as a half cosine over both phases.
        weight_decay, label_smoothing, clip: the usual regularisers; ``clip`` bounds the gradient's norm.
        distillation: weight of the largest network's predictions in a student's loss.
        student_weight: weight of each student's loss beside the largest network's own.
        random_subnets: subnets drawn per elastic step beside the largest and the smallest.
        teacher_epochs: epochs of a wide network that is trained first and guides the largest one, see
            :mod:`natdeploy.transfer.teacher`; 0 for none.
        teacher_weight: weight of its predictions in the largest network's loss.
        augmentation: see :data:`natdeploy.transfer.batches.AUGMENTATIONS`.
        parts: of a batch that are trained side by side, see :mod:`natdeploy.transfer.replicas`.
        seed: of weights, order, augmentation and sampling.
    """

    epochs_largest: Epochs = 8
    epochs_elastic: Epochs = 20
    batch_size: BatchSize = 128
    lr: LearningRate = 0.1
    weight_decay: Share = 1e-4
    label_smoothing: Smoothing = 0.05
    clip: Clip = 5.0
    distillation: Share = 0.9
    student_weight: Annotated[Real, Field(gt=0, le=100)] = 1.0
    random_subnets: Annotated[Whole, Field(ge=0, le=64)] = 1
    teacher_epochs: Epochs = 0
    teacher_weight: Share = 0.7
    augmentation: Name = "crop-flip"
    parts: Parts = 2
    seed: Seed = 0

    @model_validator(mode="after")
    def _something_to_train(self) -> PretrainConfig:
        if not self.epochs:
            raise ValueError("epochs_largest and epochs_elastic are both 0: nothing would be trained")
        return self

    @property
    def epochs(self) -> int:
        """Epochs of both phases."""
        return self.epochs_largest + self.epochs_elastic


def pretrain(
    space: Space,
    dataset: Dataset,
    config: PretrainConfig,
    out: Path,
    *,
    start: Path | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> Path:
    """Train, and write ``supernet.safetensors`` and ``training.json`` (configuration, log, results) into ``out``.

    After each epoch the state goes to ``out/state``; started again with the same settings it continues there. ``start``
    is a checkpoint to begin with, in place of random weights; without epochs of the largest network alone its channels
    keep their order.

    Returns:
        The checkpoint's path.

    Raises:
        BadInput: ``out`` holds a training run with other settings, or another process works there; ``start`` is
            unreadable or of another space.
        TrainingDiverged: the loss is not a number.
    """
    if start is not None and (found := read_supernet_header(start)["space"]) != space.name:
        raise BadInput(f"{start}: a supernet of space {found}, expected {space.name}")
    with readable_disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    with only_process_in(out):
        restore_folder(out / "state")
        return _train(space, dataset, config, out, start, progress)


def _train(
    space: Space,
    dataset: Dataset,
    config: PretrainConfig,
    out: Path,
    start: Path | None,
    progress: Callable[[str, float], None] | None,
) -> Path:
    device = compute_device()
    origin: dict[str, Any] = {} if start is None else {"started_from": sha256_file(start)}
    key = content_key({"space": space.name, "data": dataset.fingerprint, "config": config.model_dump(), **origin})
    supernet, optimizer, log = _start(space, dataset, config, out, key, device, start)
    calibration = Calibration(augmentation=config.augmentation)
    size = log[-1].get("batch_size", config.batch_size) if log else config.batch_size
    batches = TrainingBatches.of(dataset, space.resolutions[-1], size, config.augmentation)
    teacher = None
    if config.teacher_epochs:
        teacher = trained_teacher(
            dataset,
            space.resolutions[-1],
            config.teacher_epochs,
            out / "teacher.safetensors",
            augmentation=batches.augmentation,
            seed=config.seed,
            progress=progress,
        )

    def say(epoch: int, what: str, fraction: float = 0.0) -> None:
        if progress:
            progress(f"epoch {epoch + 1}/{config.epochs}, {what}", (epoch + fraction) / config.epochs)

    for epoch in range(len(log), config.epochs):
        started = time.monotonic()
        elastic = epoch >= config.epochs_largest
        if epoch == config.epochs_largest > 0:
            sort_channels(supernet)
            optimizer = sgd(supernet, weight_decay=config.weight_decay)  # momentum belongs to the old order

        def lr(fraction: float, epoch: int = epoch) -> float:
            return cosine((epoch + fraction) / config.epochs, config.lr, warm_up=0.02)

        train = partial(
            train_epoch,
            supernet,
            optimizer,
            config,
            key=[config.seed, epoch],
            students=partial(_students, space, config) if elastic else lambda _: [],
            lr=lr,
            device=device,
            student_weight=config.student_weight,
            teacher=teacher,
            teacher_weight=config.teacher_weight,
            progress=partial(say, epoch),
        )
        loss, batches = train_within_memory(batches, train, partial(say, epoch), "training")
        entry = {"epoch": epoch + 1, "phase": "elastic" if elastic else "largest", "loss": round(loss, 4)}
        entry |= _top1(supernet, dataset, calibration, elastic, partial(say, epoch, fraction=1.0))
        log.append({**entry, "batch_size": batches.size, "seconds": round(time.monotonic() - started, 1)})
        _save(out / "state", supernet, optimizer, log, key)
    say_at_last = partial(say, config.epochs - 1, fraction=1.0)
    if teacher is not None:
        found = evaluate(teacher, space.largest(), dataset, say=say_at_last)
        origin["teacher"] = {"split": "val", **asdict(found)}
    return _finish(dataset, config, supernet, log, out, origin, say_at_last)


def _students(space: Space, config: PretrainConfig, rng: np.random.Generator) -> list[Arch]:
    return [space.smallest(), *(space.sample(rng) for _ in range(config.random_subnets))]


def _start(
    space: Space,
    dataset: Dataset,
    config: PretrainConfig,
    out: Path,
    key: str,
    device: torch.device,
    start: Path | None,
) -> tuple[MobileNetV3Supernet, torch.optim.SGD, list[dict[str, Any]]]:
    """A fresh start, or the state of the last finished epoch."""
    state = out / "state"
    if not state.exists():
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            if start is None:
                supernet = build_supernet(space, len(dataset.classes))
            else:
                supernet = load_supernet(start, len(dataset.classes))
        supernet = placed(supernet, device)
        return supernet, sgd(supernet, weight_decay=config.weight_decay), []
    saved = read_json(state / "state.json", "training state")
    if saved.get("key") != key:
        raise BadInput(
            f"{out}: holds a training run of another space, data set or configuration; choose another folder"
        )
    supernet = placed(load_supernet(state / "supernet.safetensors"), device)
    optimizer = sgd(supernet, weight_decay=config.weight_decay)
    load_momentum(state / "optimizer.safetensors", supernet, optimizer)
    return supernet, optimizer, saved["log"]


def _top1(
    supernet: MobileNetV3Supernet, dataset: Dataset, calibration: Calibration, elastic: bool, say: Say
) -> dict[str, float]:
    """Of the largest subnet, once all are trained of the smallest too, on some validation images."""
    space = supernet.space
    chosen = {"largest": space.largest(), **({"smallest": space.smallest()} if elastic else {})}
    return {
        f"val_top1_{name}": evaluate_arch(supernet, arch, dataset, calibration, images=2000, say=say).top1
        for name, arch in chosen.items()
    }


def _save(
    state: Path,
    supernet: MobileNetV3Supernet,
    optimizer: torch.optim.Optimizer,
    log: list[dict[str, Any]],
    key: str,
) -> None:
    with atomic_folder(state) as folder:
        save_supernet(folder / "supernet.safetensors", supernet, {})
        save_momentum(folder / "optimizer.safetensors", supernet, optimizer)
        write_json(folder / "state.json", {"key": key, "log": log})


def _finish(
    dataset: Dataset,
    config: PretrainConfig,
    supernet: MobileNetV3Supernet,
    log: list[dict[str, Any]],
    out: Path,
    origin: dict[str, Any],
    say: Say,
) -> Path:
    """Measure on the test split, once, and write checkpoint and log."""
    space = supernet.space
    rng = np.random.default_rng([config.seed, config.epochs])
    calibration = Calibration(augmentation=config.augmentation)
    chosen = {"largest": space.largest(), "smallest": space.smallest()}
    chosen |= {f"random {index}": space.sample(rng) for index in range(8)}
    results = {}
    for name, arch in chosen.items():
        found = evaluate_arch(supernet, arch, dataset, calibration, split="test", say=say)
        results[name] = {"arch": arch.to_json(), **asdict(found)}
    meta = {
        "trained_on": {"name": dataset.name, "fingerprint": dataset.fingerprint, "images": len(dataset.train.labels)},
        "classes": list(dataset.classes),
        "mean": list(dataset.mean),
        "std": list(dataset.std),
        "config": config.model_dump(),
        **origin,
    }
    write_json(out / "training.json", {**meta, "space": space.name, "log": log, "test": results})
    path = out / "supernet.safetensors"
    save_supernet(path, supernet, meta)
    return path
