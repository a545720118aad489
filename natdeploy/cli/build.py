"""``natdeploy build``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from natdeploy.cli import options, output, tables

if TYPE_CHECKING:
    from natdeploy.verbs.build import BuildResult


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog="Example: natdeploy build runs/digits --pick best --pick knee")(build)


def build(
    run: options.Run,
    pick: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--pick", help="best, knee, fastest, front or an architecture's id; may be given again.  [default: best]"
        ),
    ] = None,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--out", help="Folder for the bundles; without it bundles/ in the run."),
    ] = None,
    device: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--device",
            help="Another device than the search's: cross-compiled, verified under emulation. One that the search was "
            "for, by a predictor measured on it, is measured on where it is attached.",
        ),
    ] = None,
    task: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--task",
            metavar="NAME",
            help="Of a run of several data sets, the further one to build for, or all; may be given again. Without it, "
            "the run's own.",
        ),
    ] = None,
    supernet: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--supernet", help="Weights for a run of predicted accuracies: a checkpoint or its address."),
    ] = None,
    data: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--data", help="Images that calibrate these weights, and measure the accuracy if the classes fit."
        ),
    ] = None,
    finetune_epochs: Annotated[
        int,
        typer.Option(
            "--finetune-epochs",
            min=0,
            metavar="N",
            help="Train each model on its own before it is built: its classifier for a quarter of N epochs, then "
            "all of it for N.  [default: 0]",
            show_default=False,
        ),
    ] = 0,
    via: options.Via = None,
    unit: options.Unit = None,
    ray: options.Ray = None,
    as_json: options.Json = False,
) -> None:
    """Extract, export to ONNX, compile, verify, measure and bundle."""
    from natdeploy import verbs

    picks = pick or "best"
    way: Any = via  # any text: the profile says which ways there are
    output.answer(
        as_json,
        lambda progress: verbs.build(
            run,
            pick=picks,
            out=out,
            device=device,
            task=task,
            supernet=supernet,
            data=data,
            finetune_epochs=finetune_epochs,
            via=way,
            unit=unit,
            ray=ray,
            progress=progress,
        ),
        show,
    )


def show(result: BuildResult) -> None:
    """Print the models and where their bundles are."""
    from natdeploy.report import result_table

    tables.draw(result_table([bundle.path for bundle in result.bundles]))
    for bundle in result.bundles:
        tables.say(f"bundle: {bundle.path}")
    if result.further_tasks:
        names = ", ".join(result.further_tasks)
        tables.say(f"built for {_data_sets(result)}; the run's other data sets, each by --task NAME: {names}")
    for bundle in result.bundles:
        if bundle.measured_ms is None:
            tables.say(
                f"not measured, no budget held; on the device: natdeploy bench {bundle.path} --device {bundle.device}"
            )


def _data_sets(result: BuildResult) -> str:
    """What was built for, in the run's words."""
    return ", ".join(dict.fromkeys(bundle.task or f"{bundle.data}, the run's own" for bundle in result.bundles))
