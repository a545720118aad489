"""Tables for people, on stdout."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from natdeploy.verbs.bundle_info import BundleInfo


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, numbers: bool = True) -> None:
    """Print a table; the first column is text, the others stand to the right where they are ``numbers``."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    drawn = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        drawn.add_column(column, justify="right" if number and numbers else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(escape(str(cell)) for cell in row))
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, 140)
    console.print(drawn)


def say(text: str) -> None:
    """Print a line."""
    typer.echo(text)


def share(value: float | None) -> str:
    """A share as per cent."""
    return "-" if value is None else f"{100 * value:.2f} %"


def interval(mean: float, lower: float, upper: float) -> str:
    """A prediction with its interval, in milliseconds."""
    return f"{mean:.4g} [{lower:.4g}, {upper:.4g}]"


def millions(value: int) -> str:
    """A count in millions."""
    return f"{value / 1e6:.2f} M"


def size(value: int) -> str:
    """Bytes for people."""
    return f"{value / 2**20:.2f} MiB"


def bundles_table(bundles: Sequence[BundleInfo]) -> None:
    """The result of a build: one row per model."""
    rows = [
        (
            f"{bundle.arch_id} ({', '.join(bundle.picked_as)})",
            share(bundle.test_top1),
            interval(bundle.predicted_ms, bundle.predicted_lower_ms, bundle.predicted_upper_ms),
            "-" if bundle.measured_ms is None else f"{bundle.measured_ms:.4g}",
            f"{bundle.budget_ms:.4g}",
            millions(bundle.macs),
            size(bundle.bytes),
        )
        for bundle in bundles
    ]
    columns = ("model", "test top-1", "predicted ms [interval]", "measured ms", "budget ms", "MACs", "size")
    where = f"{bundles[0].device}, {bundles[0].runtime}" if bundles else ""
    table(f"Models for {where}", columns, rows)


def flat(value: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    """Nested figures as dotted names and texts."""
    for name, item in value.items():
        if isinstance(item, Mapping):
            yield from flat(item, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", f"{item:.4g}" if isinstance(item, float) else str(item)
