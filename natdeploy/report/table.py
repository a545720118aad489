"""A table as plain data: the command line draws it with Rich, the report as HTML."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class Column:
    """A column's heading; numbers are set right."""

    name: str
    numeric: bool = False


@dataclass(frozen=True)
class Table:
    """A title, columns and rows of text."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"table {self.title!r}: a row has {len(row)} cells for {len(self.columns)} columns")

    def to_json(self) -> dict[str, Any]:
        """Title, column names and rows."""
        return {
            "title": self.title,
            "columns": [column.name for column in self.columns],
            "rows": [list(row) for row in self.rows],
        }


@dataclass(frozen=True)
class Cells(Generic[Item]):
    """A column, and how its cell is written for an item."""

    column: Column
    of: Callable[[Item], str]


def text(name: str, of: Callable[[Item], str]) -> Cells[Item]:
    """A column of words."""
    return Cells(Column(name), of)


def number(name: str, of: Callable[[Item], str]) -> Cells[Item]:
    """A column of figures."""
    return Cells(Column(name, numeric=True), of)


def table_of(title: str, items: Iterable[Item], cells: Sequence[Cells[Item]]) -> Table:
    """A row per item."""
    rows = tuple(tuple(each.of(item) for each in cells) for item in items)
    return Table(title, tuple(each.column for each in cells), rows)
