"""The stages of a job before the search: settings from flags, a predictor for the device, the budget, the folder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from natdeploy.verbs.result import Progress

if TYPE_CHECKING:
    from natdeploy.devices import HardwareProfile
    from natdeploy.latency import LatencyModel
    from natdeploy.runs import JobConfig


def budget_fields(latency_ms: float | str | None) -> dict[str, Any]:
    """The job's field for a budget: milliseconds, or ``"p40"``, that percentile of the profiled random subnets.

    The value is not checked here: :func:`natdeploy.runs.load_job` does, and names the field.
    """
    if isinstance(latency_ms, str) and (found := re.fullmatch(r"p(\d+(?:\.\d+)?)", latency_ms.strip())):
        return {"latency_percentile": float(found[1])}
    return {} if latency_ms is None else {"latency_ms": latency_ms}


def read_job(file: Path | None, latency_ms: float | str | None, overrides: Mapping[str, Any]) -> JobConfig:
    """A job from a file, flags, or both. Raises BadInput naming file and field."""
    from natdeploy.runs import load_job

    return load_job(file, {**overrides, **budget_fields(latency_ms)})


def check_job(job: JobConfig, profile: HardwareProfile) -> None:
    """Find what would stop the job later, before minutes are spent on profiling.

    Raises BadInput for an unknown name, a runtime the device lacks, unusable images or supernet, or an output folder
    that is taken.
    """
    from natdeploy.data import load_dataset

    check_settings(job, profile)
    if job.predictor is None:
        load_dataset(job.data, seed=job.seed)
        check_weights(job)


def check_settings(job: JobConfig, profile: HardwareProfile) -> None:
    """The part of :func:`check_job` that reads neither images nor weights."""
    from natdeploy.ground.errors import BadInput
    from natdeploy.runs.folder import refuse_foreign
    from natdeploy.search import check_names
    from natdeploy.transfer import AUGMENTATIONS

    check_names(job.run_config(job.latency_ms or 1.0))  # a percentile's value is not known yet, and no name
    if job.runtime not in profile.runtimes:
        known = ", ".join(profile.runtimes)
        raise BadInput(f"field 'runtime': device {profile.name!r} has no runtime {job.runtime!r}; it has {known}")
    if job.adapt.augmentation not in AUGMENTATIONS:
        known = ", ".join(AUGMENTATIONS)
        raise BadInput(f"field 'adapt.augmentation' is {job.adapt.augmentation!r}, expected one of {known}")
    refuse_foreign(run_path(job))


def check_weights(job: JobConfig) -> None:
    """Raise BadInput where a job's supernet cannot be read or is of another space, or the space can have none."""
    from natdeploy.ground.errors import BadInput
    from natdeploy.search import ACCURACY_PREDICTORS, get_accuracy_predictor
    from natdeploy.spaces import SPACES, get_space
    from natdeploy.supernets import BOX, PUBLISHED, has_supernet, read_supernet_header

    if not has_supernet(get_space(job.space)):
        others = ", ".join(name for name in SPACES.names() if has_supernet(get_space(name)))
        raise BadInput(
            f"field 'space': {job.space} only describes networks whose latencies are published; there is no supernet "
            f"to search, as there is for {others}"
        )
    if (found := read_supernet_header(job.supernet)["space"]) != job.space:
        theirs = "" if job.supernet == BOX else f"; search that one, --space {found},"
        other = "; give" if job.supernet == BOX else " or give"
        published = f", or {PUBLISHED[job.space]}" if job.space in PUBLISHED else ""
        predictors = [name for name in ACCURACY_PREDICTORS.names() if get_accuracy_predictor(name).space == job.space]
        without = f"; or search without weights: --accuracy predictor:{predictors[0]}" if predictors else ""
        raise BadInput(
            f"field 'supernet': {job.supernet} is of space {found}, not {job.space}{theirs}{other} a checkpoint of "
            f"{job.space}: one that natdeploy pretrain made{published}{without}"
        )


def ensure_latency_model(job: JobConfig, profile: HardwareProfile, progress: Progress | None) -> LatencyModel:
    """The device's latency model for the job's space and runtime.

    A device without one of its own has one from published measurements, if the user imported or natdeploy ships them,
    and is profiled first otherwise; so is one whose timings another version of the tools has taken. For one that cannot
    be reached the few timings of a profile that was not finished do, with what other devices teach, or a prior,
    reckoned from its hardware profile.

    Raises DeviceNotReachable for a device that cannot be reached and whose profile lacks what a prior takes.
    """
    from natdeploy.ground.errors import BadInput, DeviceNotReachable
    from natdeploy.latency import (
        find_latency_model,
        published_latency_model,
        started_latency_model,
        unmeasured_latency_model,
    )
    from natdeploy.measure import runtime_toolchain
    from natdeploy.verbs.profile import profile_with

    model = find_latency_model(profile, job.space, job.runtime)
    if model is None and (published := published_latency_model(profile, job.space)) is not None:
        known = started_latency_model(profile, job.space, job.runtime) or published
        if progress is not None:
            progress(known.caution, 0.0)
        return known
    if model is not None:
        today = runtime_toolchain(job.runtime, profile)
        if all(today.get(tool) == version for tool, version in model.toolchain.items()):
            return model
    runtimes = tuple(dict.fromkeys((*(job.profile.runtimes or profile.runtimes), job.runtime)))
    settings = job.profile.model_copy(update={"runtimes": runtimes})
    try:
        models = profile_with(profile, settings, space=job.space, seed=job.seed, progress=progress)
    except DeviceNotReachable as unreachable:
        if model is not None:
            raise
        try:
            known = unmeasured_latency_model(profile, job.space, job.runtime)
        except BadInput as error:
            raise DeviceNotReachable(f"{unreachable}; nor is there a prior: {error}") from None
        if progress is not None:
            progress(f"{known.caution} (now: {unreachable})", 0.0)
        return known
    return models[job.runtime]


def started_budget(job: JobConfig) -> float | None:
    """The budget in milliseconds of a job whose run has been started: a percentile keeps its value of then."""
    from natdeploy.runs import RunFolder

    path = run_path(job)
    if not RunFolder.exists(path):
        return None
    return RunFolder(path).config().latency_ms if job.latency_ms is None else job.latency_ms


def new_budget(job: JobConfig, model: LatencyModel) -> float:
    """The budget in milliseconds of a job that starts now.

    A percentile is taken over the trusted timings of random subnets that the model can be held against, both those it
    was trained on and those it was judged by.
    """
    import numpy as np

    from natdeploy.ground.errors import BadInput
    from natdeploy.measure import MeasurementStore

    if job.latency_ms is not None:
        return job.latency_ms
    place = {"device_fingerprint": model.device_fingerprint, "runtime": model.runtime, "space": model.space}
    found: dict[str, float] = {}
    for role in ("train", "holdout"):
        for timing in MeasurementStore().query(**place, role=role):
            if timing.arch is not None and timing.trusted and model.is_about(timing):
                found.setdefault(timing.arch.id, timing.latency_ms)
    if not found or job.latency_percentile is None:
        raise BadInput(
            f"field 'latency_percentile': no subnets of {job.space} are timed on {model.device!r} with {job.runtime}; "
            "run natdeploy profile, or give latency_ms"
        )
    return float(f"{np.percentile(list(found.values()), job.latency_percentile):.4g}")


def run_path(job: JobConfig) -> Path:
    """The run's folder: the one asked for, or one named after data, device, runtime and budget under ``runs/``."""
    if job.out is not None:
        return Path(job.out)
    budget = f"p{job.latency_percentile:g}" if job.latency_ms is None else f"{job.latency_ms:g}ms"
    named = job.predictor or Path(job.data).name or job.data
    data = re.sub(r"[^A-Za-z0-9._-]+", "-", named).strip("-.") or "data"
    return Path("runs") / f"{data}-{Path(job.device).stem}-{job.runtime}-{budget}-seed{job.seed}"
