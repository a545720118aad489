"""``natdeploy report``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from natdeploy.cli import options, output, tables

if TYPE_CHECKING:
    from natdeploy.verbs.report import ReportResult


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog="Example: natdeploy report runs/digits --picture front.svg")(report)


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folder of a run; several: side by side.")],
    out: Annotated[
        Optional[Path],  # noqa: UP045 - evaluated at run time, by Python 3.10 too
        typer.Option("--out", help="The HTML file.  [default: RUN/report.html; of several runs comparison.html]"),
    ] = None,
    picture: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--picture", metavar="FILE", help="Also draw the front: a file that ends in .svg or .png."),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Write it anew after each step, until the search is finished.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Write a report of one run, or of several side by side, as one HTML file that needs no network.

    The front (interactive), what a larger budget buys, what was chosen and why, latency per layer, predicted against
    measured latency, search progress, and where every figure comes from.
    """
    from natdeploy import verbs

    first, *others = runs
    output.answer(
        as_json,
        lambda progress: (
            verbs.watch_report(first, *others, out=out, picture=picture, progress=progress)
            if watch
            else verbs.report(first, *others, out=out, picture=picture)
        ),
        _show,
    )


def _show(result: ReportResult) -> None:
    tables.say(f"report: {result.report}")
    if result.picture is not None:
        tables.say(f"picture: {result.picture}")
