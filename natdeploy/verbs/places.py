"""The devices of a job: several on the command line, a latency model for each, and the budgets of all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from natdeploy.verbs.job import ensure_latency_model, new_budget, run_path
from natdeploy.verbs.result import Progress

if TYPE_CHECKING:
    from natdeploy.runs import JobConfig, Place, RunConfig


def device_fields(devices: Sequence[str]) -> dict[str, Any]:
    """A job's fields for devices as they are named on the command line: the first, and those after it.

    ``pixel4=12`` is a further device with a budget of its own, in milliseconds; without one it has the first one's.
    Raises BadInput for a device named twice and for a budget of the first one.
    """
    from natdeploy.ground.errors import BadInput

    first, *others = devices
    if "=" in first:
        raise BadInput(f"--device {first}: the first device's budget is --latency-ms")
    further: dict[str, float | str | None] = {}
    for other in others:
        name, given, budget = other.partition("=")
        if name in further or name == first:
            raise BadInput(f"--device {name}: is named twice")
        further[name] = budget if given else None
    return {"device": first, **({"further_devices": further} if further else {})}


def check_places(job: JobConfig) -> None:
    """Raise BadInput for a further device that is unknown, lacks the runtime, or the power figures of an energy."""
    from natdeploy.devices import load_profile
    from natdeploy.devices.power import power_model
    from natdeploy.ground.errors import BadInput

    for place in job.places:
        profile = load_profile(place.device, derive=False)
        if place.runtime not in profile.runtimes:
            known = ", ".join(profile.runtimes)
            raise BadInput(f"device {profile.name!r} has no runtime {place.runtime!r}; it has {known}")
    for powered in job.powered:
        power_model(load_profile(powered.device))


def settled(job: JobConfig, progress: Progress | None) -> RunConfig:
    """The search's configuration, its budgets in milliseconds; every device has a latency model then.

    A job that was started keeps the budgets of then, so that a percentile stays what it was.
    """
    from natdeploy.devices import load_profile
    from natdeploy.runs import RunFolder

    path = run_path(job)
    if RunFolder.exists(path):
        started = RunFolder(path).config()
        further = started.further_devices if job.latency_ms is None else job.further_devices
        return _with(job, started.latency_ms if job.latency_ms is None else job.latency_ms, further)
    models = {
        place: ensure_latency_model(_at(job, place), load_profile(place.device), progress) for place in job.places
    }
    further = dict(job.further_devices)
    if job.latency_ms is None:
        for place in job.places:
            if further.get(place.device, 0.0) is None and place.runtime == job.runtime:
                further[place.device] = new_budget(_at(job, place), models[place])
    return _with(job, new_budget(job, models[job.home]), further)


def _with(job: JobConfig, latency_ms: float, further: Any) -> RunConfig:
    return job.run_config(latency_ms).model_copy(update={"further_devices": dict(further)})


def _at(job: JobConfig, place: Place) -> JobConfig:
    """The job of a device alone."""
    return job.model_copy(update={"device": place.device, "runtime": place.runtime})
