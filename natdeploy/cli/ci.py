"""``natdeploy ci``: one file, many devices."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from natdeploy.cli import options, output, tables
from natdeploy.ground.errors import GateFailed

if TYPE_CHECKING:
    from natdeploy.verbs.ci.build import CiBuildResult
    from natdeploy.verbs.ci.gate import GateResult
    from natdeploy.verbs.ci.pack import PackResult
    from natdeploy.verbs.ci.plan import PlanResult
    from natdeploy.verbs.ci.publish import PublishResult

File = Annotated[Path, typer.Option("--file", metavar="FILE.yaml", help="The pipeline.")]
PIPELINE = Path("natdeploy.yaml")
Device = Annotated[
    Optional[str],  # noqa: UP045 - evaluated at run time, by Python 3.10 too
    typer.Option("--device", help="Only this device of the pipeline."),
]
Task = Annotated[Optional[str], typer.Option("--task", help="Only this task of the pipeline.")]  # noqa: UP045


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(name="ci", rich_markup_mode=None, add_completion=False, no_args_is_help=True)
    group.callback(epilog="Example: natdeploy ci plan; natdeploy ci build --device pixel4; natdeploy ci gate")(_ci)
    group.command(epilog="Example: natdeploy ci plan --file examples/ci/natdeploy.yaml")(plan)
    group.command(epilog="Example: natdeploy ci build --device pixel4 --task digits")(build)
    group.command(epilog="Example: natdeploy ci gate; natdeploy ci gate --device host --remeasure")(gate)
    group.command(epilog="Example: natdeploy ci pack --device pixel4")(pack)
    group.command(epilog="Example: natdeploy ci unpack downloads")(unpack)
    group.command(epilog="Example: natdeploy ci publish --out site")(publish)
    app.add_typer(group)


def _ci() -> None:
    """Bundles for several devices from one file, held against committed baselines."""


def plan(file: File = PIPELINE, device: Device = None, task: Task = None, as_json: options.Json = False) -> None:
    """Print the job matrix as one line of JSON, the form that fromJSON of GitHub Actions takes."""
    from natdeploy import verbs

    output.answer(as_json, lambda progress: verbs.ci.plan(file, device=device, task=task, progress=progress), _matrix)


def _matrix(result: PlanResult) -> None:
    tables.say(json.dumps(result.to_json(), separators=(",", ":"), sort_keys=True))


def build(file: File = PIPELINE, device: Device = None, task: Task = None, as_json: options.Json = False) -> None:
    """Profile, search and build each entry; what is unchanged is reused, and said to be."""
    from natdeploy import verbs

    output.answer(as_json, lambda progress: verbs.ci.build(file, device=device, task=task, progress=progress), _built)


def _built(result: CiBuildResult) -> None:
    from natdeploy.report import result_table

    for entry in result.entries:
        stages = ", ".join(f"{stage} {what} ({entry.seconds[stage]:.1f} s)" for stage, what in entry.stages.items())
        tables.say(f"{entry.name}: {stages}")
    tables.draw(result_table([bundle.path for entry in result.entries for bundle in entry.bundles]))
    for entry in result.entries:
        for bundle in entry.bundles:
            tables.say(f"bundle: {bundle.path}")


def gate(
    file: File = PIPELINE,
    device: Device = None,
    task: Task = None,
    update: Annotated[bool, typer.Option("--update", help="Write what was built as the new baselines.")] = False,
    remeasure: Annotated[
        bool, typer.Option("--remeasure", help="Time the models of this machine again, now, and compare that.")
    ] = False,
    summary: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--summary", help="Add the comparison to this file as a Markdown table."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Compare the bundles with the committed baselines: accuracy, latency by its interval, size.

    Leaves with exit status 6 where one is worse than its tolerance allows.
    """
    from natdeploy import verbs

    result = output.answer(
        as_json,
        lambda progress: verbs.ci.gate(
            file, device=device, task=task, update=update, remeasure=remeasure, summary=summary, progress=progress
        ),
        _gated,
    )
    if not result.passed:  # stdout has said it in full, as a table or as the one JSON object
        typer.echo(f"natdeploy: {result.complaint}", err=True)
        raise typer.Exit(GateFailed.exit_code)


def _gated(result: GateResult) -> None:
    if result.updated:
        for path in result.updated:
            tables.say(f"baseline: {path}")
        return
    columns = ("entry", False), ("pick", False), ("metric", False), ("baseline", True), ("found", True)
    rows = [
        (line.entry, line.pick, line.metric, line.baseline, line.found, line.tolerance, line.verdict)
        for line in result.compared
    ]
    title = "Gate: passed" if result.passed else "Gate: FAILED"
    tables.grid(title, (*columns, ("tolerance", False), ("verdict", False)), rows)


def pack(file: File = PIPELINE, device: Device = None, task: Task = None, as_json: options.Json = False) -> None:
    """Write each built entry as one archive, to be handed to the job that compares and publishes."""
    from natdeploy import verbs

    output.answer(as_json, lambda progress: verbs.ci.pack(file, device=device, task=task), _paths)


def unpack(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="An archive, or a folder with archives.")],
    file: File = PIPELINE,
    as_json: options.Json = False,
) -> None:
    """Unpack entries that other jobs have packed, as if they had been built here."""
    from natdeploy import verbs

    output.answer(as_json, lambda progress: verbs.ci.unpack(source, file), _paths)


def _paths(result: PackResult) -> None:
    for path in result.paths:
        tables.say(str(path))


def publish(
    file: File = PIPELINE,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--out", help="Folder, replaced as a whole; without it published/ in the pipeline's own."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Write all bundles as archives, an index (JSON), a summary (Markdown) and their digests."""
    from natdeploy import verbs

    output.answer(as_json, lambda progress: verbs.ci.publish(file, out=out), _published)


def _published(result: PublishResult) -> None:
    tables.say(result.summary.read_text(encoding="utf-8").rstrip())
    for path in (result.index, *result.archives):
        tables.say(str(path))
