"""``validate``: everything about a job or a pipeline that can be checked without running it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from natdeploy.ground.errors import BadInput, NatdeployError
from natdeploy.verbs.result import Result

if TYPE_CHECKING:
    from natdeploy.devices import HardwareProfile
    from natdeploy.runs import JobConfig


@dataclass(frozen=True)
class ValidJob(Result):
    """A job in which no fault was found.

    Attributes:
        name: the pipeline's entry; of a single job its device.
        device: hardware profile.
        checked: what was looked at.
        not_checked: what could not be, and why.
    """

    name: str
    device: str
    checked: tuple[str, ...]
    not_checked: tuple[str, ...]


@dataclass(frozen=True)
class ValidateResult(Result):
    """A file in which no fault was found.

    Attributes:
        file: which.
        kind: ``job`` for ``natdeploy run``, ``pipeline`` for ``natdeploy ci``.
        jobs: each job of it.
    """

    file: Path
    kind: Literal["job", "pipeline"]
    jobs: tuple[ValidJob, ...]


def validate(file: str | Path) -> ValidateResult:
    """Check a job's or a pipeline's YAML file: names, devices, images, weights, budgets, baselines.

    ``example:NAME`` stands for a job's file that comes with natdeploy.

    A budget is checked where something is known of the device's latencies: its own timings, published ones, or a prior
    from its profile. Nothing is timed, trained, downloaded or written.

    Raises BadInput naming file, entry and field; BudgetNotMet for a budget that no architecture can meet.
    """
    from natdeploy.ground.validation import read_yaml
    from natdeploy.runs import load_job
    from natdeploy.runs.examples import job_path
    from natdeploy.runs.pipeline import is_pipeline, load_pipeline

    file = job_path(Path(file))
    if not is_pipeline(read_yaml(file, "job or pipeline")):
        job = load_job(file)
        return ValidateResult(file, "job", (_valid(job.device, job, f"{file}"),))
    pipeline = load_pipeline(file)
    where = (f"{file}: task {entry.task!r} on device {entry.device!r}" for entry in pipeline.entries)
    jobs = [_valid(entry.name, entry.job, place) for entry, place in zip(pipeline.entries, where)]
    _check_baselines(Path(pipeline.config.baselines), [entry.name for entry in pipeline.entries])
    return ValidateResult(file, "pipeline", tuple(jobs))


def _valid(name: str, job: JobConfig, where: str) -> ValidJob:
    from natdeploy.devices import load_profile

    checked: list[str] = []
    not_checked: list[str] = []
    try:
        profile = load_profile(job.device, derive=False)
        for what, reason in _checks(job, profile):
            (not_checked if reason else checked).append(f"{what}: {reason}" if reason else what)
    except NatdeployError as error:
        raise type(error)(f"{where}: {error}") from None
    return ValidJob(name, profile.name, tuple(checked), tuple(not_checked))


def _checks(job: JobConfig, profile: HardwareProfile) -> Iterator[tuple[str, str]]:
    """What was looked at, and for what was not the reason."""
    from natdeploy.supernets.download import is_address
    from natdeploy.verbs.job import check_settings, check_weights
    from natdeploy.verbs.places import check_places

    check_settings(job, profile)
    check_places(job)
    yield "settings", ""
    classes = None
    if job.predictor is not None:
        yield "images", "accuracies are predicted"
        yield "supernet", "accuracies are predicted"
    else:
        classes, reason = _classes(job)
        yield "images", reason
        if is_address(job.supernet):
            yield "supernet", "it is fetched when the search starts"
        else:
            check_weights(job)
            yield "supernet", ""
    yield "budget", _check_budget(job, profile, classes)


def _classes(job: JobConfig) -> tuple[int | None, str]:
    """Number of classes that a search of a job's images counts, as far as they were read, and which were not."""
    from natdeploy.data import is_downloaded, load_dataset

    sources = {job.data, *job.further_data.values()}
    later = sorted(filter(is_downloaded, sources))
    classes = [len(load_dataset(source, seed=job.seed).classes) for source in sorted(sources - {*later})]
    reason = f"{', '.join(later)}: downloaded when the search starts" if later else ""
    return max(classes, default=None), reason


def _check_budget(job: JobConfig, profile: HardwareProfile, classes: int | None) -> str:
    """Why the budget was not checked; nothing where it was. Raises BudgetNotMet."""
    from natdeploy.latency import find_latency_model, unmeasured_latency_model
    from natdeploy.runs import Requirements
    from natdeploy.runs.quantities import STATIC
    from natdeploy.search.estimates import Estimator
    from natdeploy.search.initial import check_budget
    from natdeploy.spaces import get_space

    if job.latency_ms is None:
        return "a percentile is of the timings"
    space = get_space(job.space).at_resolutions(job.resolutions)
    model = find_latency_model(profile, space, job.runtime)
    if model is None and profile.derived:
        return "this machine was not profiled"
    try:
        model = model or unmeasured_latency_model(profile, space, job.runtime, but="nothing is compiled for a check")
    except BadInput as error:
        return f"nothing is known of the device's latencies: {error}"
    of_the_network = tuple(limit for limit in job.requested if limit.name in STATIC)
    wanted = Requirements({"latency_ms": job.latency_ms}, of_the_network)
    where = f"{profile.name}, by {model.origin['method']}" if model.source == "prior" else profile.name
    check_budget(Estimator(space, model, job.latency_ms, classes or space.num_classes, requirements=wanted), where)
    return ""


def _check_baselines(folder: Path, entries: list[str]) -> None:
    """Raise BadInput for a baseline that cannot be read, and for one of no entry: a renamed device leaves it behind."""
    from natdeploy.deploy.baseline import read_baseline

    for entry in entries:
        read_baseline(folder, entry)
    for path in sorted(folder.glob("*.json")):
        if path.stem not in entries:
            raise BadInput(f"{path}: a baseline of no entry; entries are {', '.join(entries)}; rename or remove it")
