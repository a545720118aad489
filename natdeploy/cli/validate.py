"""``natdeploy validate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from natdeploy.cli import options, output, tables

if TYPE_CHECKING:
    from natdeploy.verbs.validate import ValidateResult


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog="Example: natdeploy validate natdeploy.yaml; natdeploy validate examples/digits.yaml")(validate)


def validate(
    file: Annotated[Path, typer.Argument(metavar="FILE.yaml", help="A job, or a pipeline of natdeploy ci.")],
    as_json: options.Json = False,
) -> None:
    """Check a job or a pipeline without running it: names, devices, images, weights, budgets, baselines."""
    from natdeploy import verbs

    output.answer(as_json, lambda progress: verbs.validate(file), _show)


def _show(result: ValidateResult) -> None:
    columns = ("job", False), ("device", False), ("checked", False), ("not checked", False)
    rows = [(job.name, job.device, ", ".join(job.checked), "; ".join(job.not_checked) or "-") for job in result.jobs]
    tables.grid(f"{result.file}: a valid {result.kind}", columns, rows)
