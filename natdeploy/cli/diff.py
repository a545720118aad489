"""``natdeploy diff``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from natdeploy.cli import options, output, tables

if TYPE_CHECKING:
    from natdeploy.verbs.diff import DiffResult


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog="Example: natdeploy diff runs/digits runs/three")(diff)


def diff(
    a: Annotated[Path, typer.Argument(metavar="A", help="Folder of a bundle or of a run.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Another of the same kind.")],
    as_json: options.Json = False,
) -> None:
    """Say in what two bundles, or two runs, differ."""
    from natdeploy import verbs

    output.answer(as_json, lambda progress: verbs.diff(a, b), _show)


def _show(result: DiffResult) -> None:
    if not result.differences:
        tables.say(f"the two {result.kind}s are equal")
        return
    columns = ("field", False), ("A", False), ("B", False), ("", False)
    rows = [(one.field, one.a, one.b, one.note) for one in result.differences]
    tables.grid(f"A: {result.a}, B: {result.b}", columns, rows)
    same = {"bundle": "model and artifacts are", "run": "settings and front are"}[result.kind]
    tables.say(f"{same} {'the same' if result.same_model else 'different'}")
