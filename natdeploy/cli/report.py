"""``natdeploy report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from natdeploy.cli import options, output, tables


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog="Example: natdeploy report runs/digits --out digits.html")(report)


def report(
    run: options.Run,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--out", help="The HTML file; without it report.html in the run."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Write a run's HTML report.

    The front (interactive), predicted against measured latency, search progress, what was chosen and why.
    """
    from natdeploy import verbs

    output.answer(
        as_json, lambda progress: verbs.report(run, out=out), lambda result: tables.say(f"report: {result.report}")
    )
