"""``report``: what a run found, as one HTML file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from natdeploy.verbs.result import Result


@dataclass(frozen=True)
class ReportResult(Result):
    """Where the report is."""

    run: Path
    report: Path


def report(run: str | Path, *, out: str | Path | None = None) -> ReportResult:
    """Write a run's report, self-contained: front, predicted against measured latency, progress, what was chosen.

    Args:
        run: the run's folder.
        out: the file; None writes ``report.html`` into the run.

    Raises BadInput when it is no run, or one that has not evaluated anything yet.
    """
    from natdeploy.report import write_report
    from natdeploy.runs import RunFolder

    folder = RunFolder(run)
    return ReportResult(folder.path, write_report(folder, out=None if out is None else Path(out)))
