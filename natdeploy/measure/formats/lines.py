"""Text and CSV whose faults are named by file, line and column."""

from __future__ import annotations

import csv
import gzip
import io
import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from natdeploy.ground.errors import BadInput

#: Published files are a few MB; more text than this in one would be a mistake, or meant to fill the memory.
MAX_CHARS = 1 << 28
#: First bytes of files that could run code when they are loaded: pickles, and PyTorch's archives of them.
_CODE = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")


@dataclass(frozen=True)
class Place:
    """Somewhere in a file."""

    path: Path
    line: int
    column: str | int | None = None

    def refuse(self, problem: str) -> NoReturn:
        """Raise BadInput that names the place."""
        column = "" if self.column is None else f", column {self.column!r}"
        raise BadInput(f"{self.path}: line {self.line}{column}: {problem}")


@dataclass(frozen=True)
class Row:
    """One line of a CSV file, its fields by column name."""

    path: Path
    line: int
    fields: dict[str, str]

    def at(self, column: str) -> Place:
        """Where a field stands."""
        return Place(self.path, self.line, column)

    def text(self, column: str) -> str:
        """A field that must not be empty."""
        value = self.fields[column].strip()
        return value or self.at(column).refuse("is empty")

    def number(self, column: str, *, least: float = -math.inf) -> float:
        """A finite number."""
        return number(self.text(column), self.at(column), least=least)

    def positive(self, column: str) -> float:
        """A finite number above 0."""
        value = self.number(column)
        return value if value > 0 else self.at(column).refuse(f"found {value:g}, expected more than 0")

    def whole(self, column: str, *, least: int = 0, empty: int | None = None) -> int:
        """A whole number; ``empty`` stands for an empty field where one is given."""
        if empty is not None and not self.fields[column].strip():
            return empty
        value = self.number(column)
        if value != int(value) or value < least:
            self.at(column).refuse(f"found {self.fields[column]!r}, expected a whole number from {least}")
        return int(value)

    def optional(self, column: str) -> float | None:
        """A finite number, or None for an empty field or a column that is not there."""
        return self.number(column) if self.fields.get(column, "").strip() else None


def number(text: str, place: Place, *, least: float = -math.inf) -> float:
    """A finite number of at least ``least``, read from text."""
    try:
        value = float(text)
    except ValueError:
        place.refuse(f"found {text!r:.40}, expected a number")
    if not math.isfinite(value) or value < least:
        place.refuse(
            f"found {text!r:.40}, expected a finite number" + (f" from {least:g}" if least > -math.inf else "")
        )
    return value


def read_text(path: Path) -> str:
    """Text of a file, unpacked where it is gzip. Raises BadInput for a missing, damaged or unsafe one."""
    try:
        data = Path(path).read_bytes()
        if data[:2] == b"\x1f\x8b":
            with gzip.open(io.BytesIO(data)) as file:
                data = file.read(MAX_CHARS + 1)
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file of measurements") from None
    except (OSError, EOFError, zlib.error) as error:
        raise BadInput(f"{path}: cannot be read: {error}") from None
    if data.startswith(_CODE):
        raise BadInput(
            f"{path}: a pickle or PyTorch archive, which natdeploy does not load since that could run code; "
            "give a CSV of its measurements"
        )
    if len(data) > MAX_CHARS:
        raise BadInput(f"{path}: more than {MAX_CHARS >> 20} MiB of text, expected published measurements")
    if data.startswith(b"version https://git-lfs"):
        raise BadInput(f"{path}: a Git LFS pointer, not the measurements; fetch the file itself")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        Place(path, line, column).refuse("not UTF-8 text")


def header(text: str) -> list[str]:
    """Names of a CSV's columns."""
    return next(csv.reader(io.StringIO(text.split("\n", 1)[0])), [])


def rows(path: Path, text: str, columns: Sequence[str]) -> Iterator[Row]:
    """Lines of a CSV with at least these columns. Raises BadInput for one that is missing and for short lines."""
    reader = csv.reader(io.StringIO(text))
    names = [name.strip() for name in next(reader, [])]
    for column in columns:
        if column not in names:
            Place(path, 1, column).refuse(f"is missing; the columns are {', '.join(names) or 'none'}")
    try:
        for fields in reader:
            if not fields:
                continue
            if len(fields) != len(names):
                Place(path, reader.line_num).refuse(f"{len(fields)} fields, expected {len(names)}")
            yield Row(path, reader.line_num, dict(zip(names, fields)))
    except csv.Error as error:
        Place(path, reader.line_num).refuse(str(error))
