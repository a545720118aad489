"""Tables for job summaries and release notes, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from natdeploy.ground.files import readable_disk_errors

if TYPE_CHECKING:
    from natdeploy.deploy import Manifest
    from natdeploy.deploy.gate import Compared


def markdown_table(columns: Sequence[tuple[str, bool]], rows: Iterable[Sequence[str]]) -> str:
    """A table of named columns; numeric ones stand to the right."""
    rules = ["---:" if numeric else "---" for _, numeric in columns]
    return "\n".join(_row(cells) for cells in ([name for name, _ in columns], rules, *rows)) + "\n"


def bundles_summary(bundles: Sequence[tuple[str, Manifest]]) -> str:
    """What was built: a row per bundle, given with its entry."""
    from natdeploy.report import result_table

    table = result_table([manifest for _, manifest in bundles])
    columns = [("entry", False), *((one.name, one.numeric) for one in table.columns), ("verified", False)]
    verified = [manifest.verification.verified for _, manifest in bundles]
    rows = [[entry, *row, place] for (entry, _), row, place in zip(bundles, table.rows, verified)]
    return markdown_table(columns, rows)


def gate_summary(compared: Sequence[Compared], passed: bool) -> str:
    """What a gate compared, failures first."""
    columns = [("entry", False), ("pick", False), ("metric", False), ("baseline", True), ("found", True)]
    rows = [
        [line.entry, line.pick, line.metric, line.baseline, line.found, line.tolerance, line.verdict]
        for line in sorted(compared, key=lambda line: not line.failed)
    ]
    title = "### Gate passed" if passed else "### Gate failed"
    return f"{title}\n\n" + markdown_table([*columns, ("tolerance", False), ("verdict", False)], rows) + "\n"


def add_text(path: Path, text: str) -> None:
    """Add to the end of a file, which need not exist. Raises BadInput where it cannot be written."""
    with readable_disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a", encoding="utf-8") as file:
            file.write(text)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
