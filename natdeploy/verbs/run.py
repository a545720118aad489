"""``run``: profile, search, build and report from one file."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from natdeploy.verbs.build import BuildResult, build
from natdeploy.verbs.job import read_job
from natdeploy.verbs.report import report
from natdeploy.verbs.result import Progress, Result
from natdeploy.verbs.search import SearchResult, search_job


@dataclass(frozen=True)
class RunResult(Result):
    """A finished job.

    Attributes:
        search: what was found.
        build: what was built.
        report: the HTML report.
        seconds: wall-clock seconds of the stages ``profile``, ``search``, ``build``, ``report``.
    """

    search: SearchResult
    build: BuildResult
    report: Path
    seconds: Mapping[str, float]


def run(
    file: str | Path,
    *,
    latency_ms: float | str | None = None,
    overrides: Mapping[str, Any] | None = None,
    ray: str | None = None,
    progress: Progress | None = None,
) -> RunResult:
    """Do a whole job; started again it continues where it was.

    Args:
        file: the job as YAML, see :class:`natdeploy.runs.JobConfig`.
        latency_ms: replaces the file's budget; milliseconds, or ``"p40"`` for a percentile.
        overrides: dotted field name (``"search.iterations"``) to value; None values are left out.
        ray: as of :func:`natdeploy.verbs.search` and :func:`natdeploy.verbs.build`.
        progress: told what is going on.

    Raises what :func:`natdeploy.verbs.search` and :func:`natdeploy.verbs.build` raise; BadInput for an unknown field.
    """
    job = read_job(Path(file), latency_ms, overrides or {})
    found = search_job(job, progress, ray)
    started = time.monotonic()
    built = build(
        found.run,
        pick=job.build.pick,
        task=job.build.task,
        attempts=job.build.attempts,
        finetune_epochs=job.build.finetune_epochs,
        ray=ray,
        progress=progress,
    )
    bundled = time.monotonic()
    path = report(found.run).report
    seconds = {**found.seconds, "build": bundled - started, "report": time.monotonic() - bundled}
    return RunResult(found, built, path, seconds)
