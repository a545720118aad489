"""Tables for people, on stdout."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from natdeploy.report import Table


def draw(table: Table) -> None:
    """Print one of the report's tables."""
    grid(table.title, [(column.name, column.numeric) for column in table.columns], table.rows)


def grid(title: str, columns: Sequence[tuple[str, bool]], rows: Iterable[Sequence[object]]) -> None:
    """Print a table of named columns; numeric ones stand to the right."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table as Grid

    drawn = Grid(title=title, title_justify="left")
    for name, numeric in columns:
        drawn.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(escape(str(cell)) for cell in row))
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, 160)
    console.print(drawn)


def figures(title: str, value: Mapping[str, Any]) -> None:
    """Print nested figures as a table of dotted names."""
    grid(title, (("figure", False), ("value", True)), flat(value))


def say(text: str) -> None:
    """Print a line."""
    typer.echo(text)


def flat(value: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    """Nested figures as dotted names and texts."""
    for name, item in value.items():
        if isinstance(item, Mapping):
            yield from flat(item, f"{prefix}{name}.")
        elif isinstance(item, (list, tuple)) and any(isinstance(part, Mapping) for part in item):
            for number, part in enumerate(item):
                yield from flat(part, f"{prefix}{name}.{number}.")
        else:
            yield f"{prefix}{name}", _text(item)


def _text(item: Any) -> str:
    if isinstance(item, float):
        return f"{item:.4g}"
    return ", ".join(map(str, item)) if isinstance(item, (list, tuple)) else str(item)
