"""What is known of a device that was not profiled to the end: the best of few timings, published ones, and a prior."""

from __future__ import annotations

from natdeploy.devices import HardwareProfile, device_fingerprint
from natdeploy.ground.files import cache_root
from natdeploy.latency.imported.models import imported_latency_model
from natdeploy.latency.library import prior_latency_model, shipped_latency_model
from natdeploy.latency.measured.device_fit import fit_device_model
from natdeploy.latency.model import LatencyModel
from natdeploy.latency.transferred.other_devices import Place, other_knowledge
from natdeploy.latency.transferred.predictor import MIN_MEASURED
from natdeploy.measure import MeasurementStore, protocol_for, runtime_toolchain
from natdeploy.spaces import Space, get_space


def unmeasured_latency_model(
    profile: HardwareProfile, space: Space | str, runtime: str, *, but: str | None = None
) -> LatencyModel:
    """The best that can be said without timing: ``transferred``, ``table`` or ``prior``, in this order.

    ``but``: why a prior shall not look into machine code, where the caller knows that.

    Raises BadInput naming the field of the profile without which there is no prior.
    """
    return (
        started_latency_model(profile, space, runtime)
        or published_latency_model(profile, space)
        or prior_latency_model(profile, space, runtime, but=but)
    )


def published_latency_model(profile: HardwareProfile, space: Space | str) -> LatencyModel | None:
    """From measurements that others published: the user's own imports before what natdeploy ships; None without."""
    return imported_latency_model(profile, space) or shipped_latency_model(profile, space)


def started_latency_model(
    profile: HardwareProfile, space: Space | str, runtime: str, store: MeasurementStore | None = None
) -> LatencyModel | None:
    """From timings of a profile that was not finished, where they and other devices suffice; else None.

    The model is not kept: the profile may go on.
    """
    space = get_space(space) if isinstance(space, str) else space
    if store is None and not (cache_root() / "measurements.sqlite").is_file():
        return None
    store = MeasurementStore() if store is None else store
    place = Place(device_fingerprint(profile), runtime, runtime_toolchain(runtime, profile))
    threads = protocol_for(profile).threads
    timings = [
        timing
        for timing in store.query(device_fingerprint=place.fingerprint, runtime=runtime, space=space.name)
        if place.has(timing) and timing.trusted and timing.protocol.get("threads", 1) == threads
    ]
    distinct = {timing.arch for timing in timings if timing.role == "train"}
    knowledge = other_knowledge(space, store, place) if len(distinct) >= MIN_MEASURED else None
    return None if knowledge is None else fit_device_model(timings, space, knowledge)
