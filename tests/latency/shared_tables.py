"""Parts of the published tables that are kept beside the checkout, where they are."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "latency"


def rows_with(table: str, *texts: str, folder: Path) -> Path:
    """A CSV of a table's rows that contain all texts: reading a whole table takes long. Skips the test without it."""
    if not (SHARED / table).is_file():
        pytest.skip("the published tables are not here")
    with gzip.open(SHARED / table, "rt") as file:
        header, *lines = file.readlines()
    path = folder / table.removesuffix(".gz")
    path.write_text("".join([header, *(line for line in lines if all(text in line for text in texts))]))
    return path
