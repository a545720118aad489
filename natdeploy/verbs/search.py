"""``search``: Neural Architecture Transfer under a latency budget."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from natdeploy.verbs.job import check_job, ensure_latency_model, new_budget, read_job, run_path, started_budget
from natdeploy.verbs.result import Progress, Result

if TYPE_CHECKING:
    from natdeploy.runs import ArchiveEntry, JobConfig


@dataclass(frozen=True)
class SearchResult(Result):
    """A finished search.

    Attributes:
        run: the run's folder.
        device, runtime, budget_ms: what the budget is for.
        front: the models found, by ascending predicted latency.
        hypervolume: of the feasible archive after each iteration, the initial archive first.
        summary: the search's own figures.
        seconds: wall-clock seconds of the stages ``profile`` and ``search`` in this call.
        caution: what to know of latencies that were not timed on this device; empty where they were.
        accuracy: what the front's accuracies are: measured with which weights, or predicted by what.
    """

    run: Path
    device: str
    runtime: str
    budget_ms: float
    front: tuple[ArchiveEntry, ...]
    hypervolume: tuple[float, ...]
    summary: Mapping[str, Any]
    seconds: Mapping[str, float]
    caution: str = ""
    accuracy: str = ""


def search(
    latency_ms: float | str,
    *,
    device: str | None = None,
    data: str | None = None,
    out: str | Path | None = None,
    space: str | None = None,
    runtime: str | None = None,
    objectives: Sequence[str] | None = None,
    supernet: str | None = None,
    accuracy: str | None = None,
    seed: int | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> SearchResult:
    """Find the accuracy/latency front of a budget.

    A device without a latency model of its own has one from published measurements, or is profiled first; one that
    cannot be reached has a prior, reckoned from its hardware profile.

    Started again with the same arguments, a search continues from its last finished step, and a finished one is read.

    Args:
        latency_ms: the budget in milliseconds, or ``"p40"``: that percentile of the profiled random subnets.
        device, data, out, space, runtime, objectives, supernet, accuracy, seed: fields of
            :class:`natdeploy.runs.JobConfig`; None leaves a field's default.
        settings: further fields by dotted name, for instance ``{"search.iterations": 3}``.
        progress: told what is going on.

    Raises:
        BadInput: naming the field.
        DeviceNotReachable: the device is not here.
        BudgetNotMet: no architecture is predicted within the budget; names the fastest one's latency.
    """
    fields = {
        "device": device,
        "data": data,
        "out": None if out is None else str(out),
        "space": space,
        "runtime": runtime,
        "objectives": None if objectives is None else tuple(objectives),
        "supernet": supernet,
        "accuracy": accuracy,
        "seed": seed,
        **(settings or {}),
    }
    return search_job(read_job(None, latency_ms, fields), progress)


def search_job(job: JobConfig, progress: Progress | None) -> SearchResult:
    """The search of a job whose settings were read."""
    from natdeploy.devices import load_profile
    from natdeploy.latency import LatencyModel
    from natdeploy.search import search as find

    started = time.monotonic()
    check_job(job, load_profile(job.device, derive=False))
    accuracy = about_accuracy(job)
    if progress is not None:
        progress(accuracy, 0.0)
    profile = load_profile(job.device)
    budget_ms = started_budget(job)  # a run that was started has a latency model of its own
    if budget_ms is None:
        budget_ms = new_budget(job, ensure_latency_model(job, profile, progress))
    profiled = time.monotonic()
    run = find(job.run_config(budget_ms), run_path(job), progress=progress)
    seconds = {"profile": profiled - started, "search": time.monotonic() - profiled}
    front = tuple(run.front())
    hypervolume = tuple(step.hypervolume for step in run.history())
    caution = LatencyModel.load(run.latency_model_path, job.space).caution
    summary = run.summary()
    return SearchResult(
        run.path,
        profile.name,
        job.runtime,
        budget_ms,
        front,
        hypervolume,
        summary,
        seconds,
        caution,
        accuracy,
    )


def about_accuracy(job: JobConfig) -> str:
    """What a job's accuracies are, in a sentence."""
    from natdeploy.search import get_accuracy_predictor
    from natdeploy.supernets import BOX

    if job.predictor is not None:
        return get_accuracy_predictor(job.predictor).description
    weights = f"the supernet {job.supernet}"
    if job.supernet == BOX:
        weights = "the supernet shipped with natdeploy (mbv3-micro, CIFAR-10)"
    return f"top-1 measured on validation images of {job.data}, with weights from {weights}"
