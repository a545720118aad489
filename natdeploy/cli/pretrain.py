"""``natdeploy pretrain``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from natdeploy.cli import options, output, tables

if TYPE_CHECKING:
    from natdeploy.verbs.pretrain import PretrainResult


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog="Example: natdeploy pretrain --data cifar10.npz --out supernets/cifar10")(pretrain)


def pretrain(
    data: Annotated[
        str,
        typer.Option(
            "--data",
            help="Images: a folder of class folders, an .npz file, hf:DATASET, or a set by name: cifar10:FOLDER.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for checkpoint, log and training state.")],
    space: options.Space = "mbv3-micro",
    epochs_largest: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--epochs-largest", help="Epochs of the largest network alone."),
    ] = None,
    epochs_elastic: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--epochs-elastic", help="Epochs of all subnets."),
    ] = None,
    batch_size: Annotated[Optional[int], typer.Option("--batch-size", help="Images a step.")] = None,  # noqa: UP045
    lr: Annotated[Optional[float], typer.Option("--lr", help="Peak learning rate.")] = None,  # noqa: UP045
    weight_decay: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option("--weight-decay", help="Of the weights of layers."),
    ] = None,
    student_weight: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option("--student-weight", help="Weight of each smaller subnet's loss beside the largest one's."),
    ] = None,
    teacher_epochs: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--teacher-epochs", help="Epochs of a wide network that is trained first and guides the others."),
    ] = None,
    parts: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--parts", help="Parts of a batch that are trained side by side; at least one for each process."),
    ] = None,
    supernet: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--supernet", help="A checkpoint to begin with, in place of random weights."),
    ] = None,
    val_fraction: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(
            "--val-fraction",
            help="Share of the training images held out for the log's accuracies; 0.15, or a known data set's own.",
        ),
    ] = None,
    seed: options.Seed = 0,
    as_json: options.Json = False,
) -> None:
    """Train a supernet on a data set, from scratch or further.

    Started again with the same arguments it continues after the last whole epoch.
    """
    from natdeploy import verbs

    output.answer(
        as_json,
        lambda progress: verbs.pretrain(
            data=data,
            out=out,
            space=space,
            epochs_largest=epochs_largest,
            epochs_elastic=epochs_elastic,
            batch_size=batch_size,
            lr=lr,
            weight_decay=weight_decay,
            student_weight=student_weight,
            teacher_epochs=teacher_epochs,
            parts=parts,
            supernet=supernet,
            val_fraction=val_fraction,
            seed=seed,
            progress=progress,
        ),
        _show,
    )


def _show(result: PretrainResult) -> None:
    if isinstance(result.test, dict):
        tables.figures(f"{result.space} on {result.data}: test split", result.test)
    tables.say(f"checkpoint: {result.checkpoint}")
