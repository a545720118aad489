"""``natdeploy search``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from natdeploy.cli import options, output, tables

if TYPE_CHECKING:
    from natdeploy.verbs.search import SearchResult


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog="Example: natdeploy search --latency-ms 2 --device host --data digits --out runs/digits")(search)


def search(
    latency_ms: Annotated[
        str,
        typer.Option(
            "--latency-ms",
            metavar="MS",
            help="Budget in milliseconds, or p40: the 40th percentile of the profiled random subnets.",
        ),
    ],
    device: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--device",
            metavar="DEVICE[=MS]",
            help="Hardware profile: a name (see natdeploy devices) or a YAML file. Given again, one search serves "
            "several devices; those after the first may have budgets of their own.  [default: host]",
        ),
    ] = None,
    data: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--data",
            help="Images: digits, a folder of class folders, an .npz file, hf:DATASET, or one of NAT's data sets by "
            "name, cifar100 or cifar100:FOLDER.  [default: digits]",
        ),
    ] = None,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--out", help="The run's folder; without it one under runs/, named after the job."),
    ] = None,
    space: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--space", help="Search space.  [default: mbv3-micro, or that of predicted accuracies]"),
    ] = None,
    runtime: Annotated[str, typer.Option("--runtime", help="Runtime whose latency counts.")] = "tvm",
    objective: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--objective",
            metavar="NAME",
            help="What is traded off; may be given again: top1, latency_ms, energy_mj, macs, params, "
            "peak_activation_bytes, file_bytes; latency_ms:pixel4 is another device's, latency_ms:host:onnxruntime "
            "another runtime's. Without it top1 and the latency on each device.",
        ),
    ] = None,
    limit: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--limit",
            metavar="NAME<=VALUE",
            help="What must hold of every model beside the budget; may be given again: 'macs<=200e6', 'top1>=0.9'.",
        ),
    ] = None,
    supernet: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--supernet",
            help="Checkpoint (natdeploy's or Once-for-All's) or its address; box is the shipped one.  [default: box]",
        ),
    ] = None,
    accuracy: Annotated[
        str,
        typer.Option(
            "--accuracy",
            metavar="HOW",
            help="measured, or predictor:ofa-imagenet: full-size networks (of space ofa-mbv3-w1.0) without weights or "
            "images, accuracies predicted, at 224 pixels only.",
        ),
    ] = "measured",
    seed: options.Seed = 0,
    ray: options.Ray = None,
    set_: options.Set = None,
    as_json: options.Json = False,
) -> None:
    """Find the accuracy/latency front under a budget.

    The device is profiled first if it has no predictor yet, and natdeploy ships none from published measurements. One
    that cannot be reached has a prior, reckoned from its hardware profile, with wide intervals.
    Started again in the same folder, a search continues from its last finished step.
    """
    from natdeploy import verbs

    output.answer(
        as_json,
        lambda progress: verbs.search(
            latency_ms,
            device=device or None,
            data=data,
            out=out,
            space=space,
            runtime=runtime,
            objectives=objective,
            limits=limit,
            supernet=supernet,
            accuracy=accuracy,
            seed=seed,
            settings=options.assignments(set_),
            ray=ray,
            progress=progress,
        ),
        show,
    )


def show(result: SearchResult) -> None:
    """Print the front."""
    from natdeploy.report import front_table
    from natdeploy.report.sharing import sharing_table
    from natdeploy.report.surrogates import surrogates_table
    from natdeploy.runs import RunFolder

    run = RunFolder(result.run)
    tables.draw(front_table(run))
    if (learned := surrogates_table(run.history()[-1:])).rows:
        tables.draw(learned)
    if result.sharing:
        tables.draw(sharing_table(result.sharing))
    tables.say(f"accuracy: {result.accuracy}")
    for where, model in result.energy.items():
        tables.say(f"energy{' on ' + where if where else ''}: {model['model']}; {model['about']}")
    tables.say(f"budget: {result.budget_ms:.4g} ms on {result.device} with {result.runtime}")
    if result.caution:
        tables.say(f"caution: {result.caution}")
    tables.say(f"run: {result.run}")
