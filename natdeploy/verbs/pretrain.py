"""``pretrain``: a supernet from scratch, or trained further."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from natdeploy.verbs.result import Progress, Result


@dataclass(frozen=True)
class PretrainResult(Result):
    """A trained supernet.

    Attributes:
        checkpoint: its weights, safetensors.
        space, data: what it was trained for and on.
        test: results on the test split, touched once, after the last epoch.
        log: one entry per epoch.
    """

    checkpoint: Path
    space: str
    data: str
    test: Any
    log: tuple[Mapping[str, Any], ...]


def pretrain(
    *,
    data: str,
    out: str | Path,
    space: str = "mbv3-micro",
    epochs_largest: int | None = None,
    epochs_elastic: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    weight_decay: float | None = None,
    student_weight: float | None = None,
    teacher_epochs: int | None = None,
    parts: int | None = None,
    supernet: str | Path | None = None,
    val_fraction: float | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> PretrainResult:
    """Train a supernet; continues in ``out`` where an earlier call was interrupted.

    Args:
        data: source of labelled images, see :func:`natdeploy.data.load_dataset`.
        out: folder for the checkpoint, its log and the training state.
        space: search space.
        epochs_largest, epochs_elastic, batch_size, lr, weight_decay, student_weight, teacher_epochs, parts: see
            :class:`natdeploy.transfer.PretrainConfig`; None leaves the recipe's own.
        supernet: a checkpoint to begin with; random weights where None.
        val_fraction: share of the training images held out for the log's accuracies, where the data has no such part;
            None for what is usual with the data set, else 15 %.
        seed: of weights, order, augmentation and the subnets drawn.
        progress: told what is going on.

    Raises BadInput for unusable images or settings, or when ``out`` holds another training run.
    """
    from natdeploy.data import load_dataset
    from natdeploy.ground.files import read_json
    from natdeploy.ground.validation import validate
    from natdeploy.spaces import get_space
    from natdeploy.transfer import PretrainConfig
    from natdeploy.transfer import pretrain as train

    chosen_space = get_space(space)
    given = {
        "epochs_largest": epochs_largest,
        "epochs_elastic": epochs_elastic,
        "batch_size": batch_size,
        "lr": lr,
        "weight_decay": weight_decay,
        "student_weight": student_weight,
        "teacher_epochs": teacher_epochs,
        "parts": parts,
        "seed": seed,
    }
    chosen = {name: value for name, value in given.items() if value is not None}
    config = validate(PretrainConfig, chosen, "pretrain")
    dataset = load_dataset(data, seed=config.seed, val_fraction=val_fraction)
    start = None if supernet is None else Path(supernet)
    checkpoint = train(chosen_space, dataset, config, Path(out), start=start, progress=progress)
    training = read_json(checkpoint.parent / "training.json", "training log")
    return PretrainResult(checkpoint, space, data, training["test"], tuple(training["log"]))
