"""``report``: what one or more runs found, as one HTML file, and as a picture."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from natdeploy.verbs.result import Progress, Result

if TYPE_CHECKING:
    from natdeploy.runs import RunFolder

#: Where a page of several runs goes unless told otherwise.
COMPARISON = "comparison.html"
#: Seconds between two looks at a run that goes on, and after which its page loads itself again.
LOOK_S, REFRESH_S = 2.0, 10.0


@dataclass(frozen=True)
class ReportResult(Result):
    """Where the report is.

    Attributes:
        run: the run, the first of several.
        report: the page.
        runs: all runs of the page.
        picture: the front as a picture, where one was asked for.
    """

    run: Path
    report: Path
    runs: tuple[Path, ...]
    picture: Path | None = None


def report(
    run: str | Path, *others: str | Path, out: str | Path | None = None, picture: str | Path | None = None
) -> ReportResult:
    """Write a run's report, self-contained: front, what the budget buys, what was chosen, latency per layer, predicted
    against measured latency, progress, and where every figure comes from. Of several runs: all of them side by side.

    Args:
        run: a run's folder.
        others: further runs.
        out: the page; None writes ``report.html`` into the run, of several runs ``comparison.html`` here.
        picture: also draw the front, or fronts, into this file, ``.svg`` or ``.png``.

    Raises BadInput when one is no run or has not evaluated anything yet, and for another kind of picture.
    """
    return _write(_folders(run, others), out, picture, None)


def watch_report(
    run: str | Path,
    *others: str | Path,
    out: str | Path | None = None,
    picture: str | Path | None = None,
    look_s: float = LOOK_S,
    progress: Progress | None = None,
) -> ReportResult:
    """Write the report anew whenever a step of a run is completed, until all runs are finished.

    In between the page loads itself again every few seconds; the last one does not. A run is also waited for until its
    first step is completed.

    Args:
        run, others, out, picture: as for :func:`report`.
        look_s: seconds between two looks.
        progress: told what is waited for.

    Raises like :func:`report`.
    """
    from natdeploy.report import check_picture
    from natdeploy.runs.folder import ARCHIVE

    if picture is not None:
        check_picture(Path(picture))
    folders, seen = _folders(run, others), None
    say = progress or (lambda stage, fraction: None)
    while True:
        finished = all(folder.is_finished for folder in folders)
        if finished:
            return _write(folders, out, picture, None)
        started = all((folder.latest_path / ARCHIVE).is_file() for folder in folders)
        state = [_age(folder.latest_path) for folder in folders]
        if started and state != seen:
            written, seen = _write(folders, out, picture, REFRESH_S), state
            steps = ", ".join(f"iteration {max(0, len(folder.history()) - 1)}" for folder in folders)
            say(f"{written.report} shows {steps}; waiting for the next step", 0.5)
        elif not started:
            say("waiting for the first step", 0.0)
        time.sleep(look_s)


def _folders(run: str | Path, others: Sequence[str | Path]) -> list[RunFolder]:
    from natdeploy.runs import RunFolder

    return [RunFolder(path) for path in (run, *others)]


def _write(
    folders: list[RunFolder], out: str | Path | None, picture: str | Path | None, refresh_s: float | None
) -> ReportResult:
    from natdeploy.report import check_picture, write_comparison, write_picture, write_report

    if picture is not None:
        check_picture(Path(picture))
    if len(folders) == 1:
        page = write_report(folders[0], out=None if out is None else Path(out), refresh_s=refresh_s)
    else:
        page = write_comparison(folders, Path(out or COMPARISON), refresh_s=refresh_s)
    drawn = None if picture is None else write_picture(folders, Path(picture))
    return ReportResult(folders[0].path, page, tuple(folder.path for folder in folders), drawn)


def _age(path: Path) -> int:
    """Changes when a step is completed: its folder is replaced as a whole."""
    try:
        return path.stat().st_ino
    except OSError:
        return 0
