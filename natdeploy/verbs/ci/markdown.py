"""Tables for job summaries and release notes, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from natdeploy.ground.files import readable_disk_errors

#: Points of a front's chart, evenly spaced in latency: that is all that such a chart can place.
CHART_POINTS = 40

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


def front_chart(entry: str, front: Sequence[tuple[float, float]]) -> str:
    """A front as a chart that GitHub and GitLab draw from text (Mermaid): the best top-1 within a latency.

    Args:
        entry: whose front.
        front: milliseconds and top-1 (0 to 1) of each model, the fastest first; fewer than two give no chart.
    """
    if len(front) < 2:
        return ""
    first, last = front[0][0], front[-1][0]
    places = [first + (last - first) * step / (CHART_POINTS - 1) for step in range(CHART_POINTS)]
    best = [100 * max(top1 for ms, top1 in front if ms <= place * (1 + 1e-9)) for place in places]
    low, high = min(best), max(best)
    room = max(0.1, 0.1 * (high - low))
    return (
        "```mermaid\n"
        "xychart-beta\n"
        f'  title "{entry}: best validation top-1 within a predicted latency"\n'
        f'  x-axis "ms" {first:.4g} --> {last:.4g}\n'
        f'  y-axis "top-1, %" {max(0.0, low - room):.4g} --> {min(100.0, high + room):.4g}\n'
        f"  line [{', '.join(f'{value:.4g}' for value in best)}]\n"
        "```\n"
    )


def add_text(path: Path, text: str) -> None:
    """Add to the end of a file, which need not exist. Raises BadInput where it cannot be written."""
    with readable_disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a", encoding="utf-8") as file:
            file.write(text)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
