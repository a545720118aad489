"""``natdeploy run``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from natdeploy.cli import build, options, output, search, tables

if TYPE_CHECKING:
    from natdeploy.verbs.run import RunResult


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog="Example: natdeploy run examples/digits.yaml --set search.iterations=3")(run)


def run(
    file: Annotated[Path, typer.Argument(metavar="FILE.yaml", help="The job; example:digits is one that comes along.")],
    latency_ms: options.LatencyMs = None,
    device: Annotated[Optional[str], typer.Option("--device", help="Replaces the file's device.")] = None,  # noqa: UP045
    data: Annotated[Optional[str], typer.Option("--data", help="Replaces the file's images.")] = None,  # noqa: UP045
    out: Annotated[Optional[Path], typer.Option("--out", help="Replaces the file's run folder.")] = None,  # noqa: UP045
    seed: Annotated[Optional[int], typer.Option("--seed", help="Replaces the file's seed.")] = None,  # noqa: UP045
    pick: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--pick", metavar="PICK", help="Replaces the file's picks; may be given again."),
    ] = None,
    ray: options.Ray = None,
    set_: options.Set = None,
    as_json: options.Json = False,
) -> None:
    """Profile, search, build and report from one file.

    Flags override the file's fields; unknown fields are errors.
    """
    from natdeploy import verbs

    overrides = {
        "device": device,
        "data": data,
        "out": None if out is None else str(out),
        "seed": seed,
        "build.pick": pick or None,
        **options.assignments(set_),
    }
    output.answer(
        as_json,
        lambda progress: verbs.run(file, latency_ms=latency_ms, overrides=overrides, ray=ray, progress=progress),
        _show,
    )


def _show(result: RunResult) -> None:
    search.show(result.search)
    build.show(result.build)
    tables.say(f"report: {result.report}")
    tables.say("seconds: " + ", ".join(f"{stage} {seconds:.0f}" for stage, seconds in result.seconds.items()))
