"""``search``: Neural Architecture Transfer under a latency budget."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from natdeploy.verbs.job import check_job, read_job, run_path
from natdeploy.verbs.places import check_places, device_fields, settled
from natdeploy.verbs.result import Progress, Result

if TYPE_CHECKING:
    from natdeploy.runs import ArchiveEntry, JobConfig


@dataclass(frozen=True)
class SearchResult(Result):
    """A finished search.

    Attributes:
        run: the run's folder.
        device, runtime, budget_ms: what the budget is for; of several devices the first.
        front: the models found, by ascending predicted latency.
        hypervolume: of the feasible archive after each iteration, the initial archive first.
        surrogates: what learned the accuracies in each iteration after that, and how well, as the run's history has it.
        summary: the search's own figures.
        seconds: wall-clock seconds of the stages ``profile`` and ``search`` in this call.
        caution: what to know of latencies that were not timed on this device; empty where they were.
        accuracy: what the front's accuracies are: measured with which weights, or predicted by what.
        sharing: of several devices: the most accurate model within all budgets beside the most accurate one for each
            device, and what the shared one has less; empty for one device.
        energy: of each device whose energy was asked for, where the model of it comes from.
    """

    run: Path
    device: str
    runtime: str
    budget_ms: float
    front: tuple[ArchiveEntry, ...]
    hypervolume: tuple[float, ...]
    surrogates: tuple[Mapping[str, Any], ...]
    summary: Mapping[str, Any]
    seconds: Mapping[str, float]
    caution: str = ""
    accuracy: str = ""
    sharing: Mapping[str, Any] = field(default_factory=dict)
    energy: Mapping[str, Any] = field(default_factory=dict)


def search(
    latency_ms: float | str,
    *,
    device: str | Sequence[str] | None = None,
    data: str | None = None,
    out: str | Path | None = None,
    space: str | None = None,
    runtime: str | None = None,
    objectives: Sequence[str] | None = None,
    limits: Sequence[str] | None = None,
    supernet: str | None = None,
    accuracy: str | None = None,
    seed: int | None = None,
    settings: Mapping[str, Any] | None = None,
    ray: str | None = None,
    progress: Progress | None = None,
) -> SearchResult:
    """Find the accuracy/latency front of a budget.

    A device without a latency model of its own has one from published measurements, or is profiled first; one that
    cannot be reached has a prior, reckoned from its hardware profile.

    Started again with the same arguments, a search continues from its last finished step, and a finished one is read.

    Args:
        latency_ms: the budget in milliseconds, or ``"p40"``: that percentile of the profiled random subnets.
        device: a hardware profile, or several that one search serves, the first of which the budget is for;
            ``"pixel4=12"`` is a further one with a budget of its own.
        data, out, space, runtime, objectives, limits, supernet, accuracy, seed: fields of
            :class:`natdeploy.runs.JobConfig`; None leaves a field's default.
        settings: further fields by dotted name, for instance ``{"search.iterations": 3}``.
        ray: address of a Ray cluster on which subnets are evaluated; ``"local"`` for one of its own on this machine.
        progress: told what is going on.

    Raises:
        BadInput: naming the field.
        DeviceNotReachable: the device is not here.
        BudgetNotMet: no architecture is predicted within the budget; names the fastest one's latency. Or none keeps
            the limits.
    """
    fields = {
        **({} if device is None else device_fields([device] if isinstance(device, str) else device)),
        "data": data,
        "out": None if out is None else str(out),
        "space": space,
        "runtime": runtime,
        "objectives": None if objectives is None else tuple(objectives),
        "limits": None if limits is None else tuple(limits),
        "supernet": supernet,
        "accuracy": accuracy,
        "seed": seed,
        **(settings or {}),
    }
    return search_job(read_job(None, latency_ms, fields), progress, ray)


def search_job(job: JobConfig, progress: Progress | None, ray: str | None = None) -> SearchResult:
    """The search of a job whose settings were read."""
    from natdeploy.devices import load_profile
    from natdeploy.ground.cluster import check_cluster, connected
    from natdeploy.latency import LatencyModel
    from natdeploy.search import LocalSurroundings
    from natdeploy.search import search as find

    started = time.monotonic()
    check_job(job, load_profile(job.device, derive=False))
    check_places(job)
    check_cluster(ray)
    accuracy = about_accuracy(job)
    if progress is not None:
        progress(accuracy, 0.0)
    profile = load_profile(job.device)
    config = settled(job, progress)
    profiled = time.monotonic()
    with connected(ray) as cluster:
        here = LocalSurroundings(cluster, progress)
        run = find(config, run_path(job), progress=progress, surroundings=here)
    seconds = {"profile": profiled - started, "search": time.monotonic() - profiled}
    front = tuple(run.front())
    history = run.history()
    hypervolume = tuple(step.hypervolume for step in history)
    surrogates = tuple(step.surrogate for step in history[1:])
    models = [LatencyModel.load(run.latency_model_of(place), job.space) for place in config.places]
    caution = "; ".join(dict.fromkeys(model.caution for model in models if model.caution))
    summary = run.summary()
    return SearchResult(
        run.path,
        profile.name,
        job.runtime,
        config.latency_ms,
        front,
        hypervolume,
        surrogates,
        summary,
        seconds,
        caution,
        accuracy,
        summary.get("sharing") or {},
        summary.get("energy") or {},
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
    each = f" and, each with weights of its own, of {', '.join(job.further_data)}" if job.further_data else ""
    return f"top-1 measured on validation images of {job.data}{each}, with weights from {weights}"
