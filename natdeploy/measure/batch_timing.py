"""Who times batches: this machine, or units of another device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from natdeploy.devices import HardwareProfile, Runnable, timing_processors
from natdeploy.devices.units import Access, open_units, timekeeper
from natdeploy.measure.batch import Batch, TimedBatch
from natdeploy.measure.pool import time_on_units
from natdeploy.measure.protocol import TimingProtocol
from natdeploy.measure.timer import Timer


def time_batches(
    batches: Sequence[Batch],
    *,
    profile: HardwareProfile,
    runtime: str,
    protocol: TimingProtocol,
    reference: Callable[[], Runnable],
    access: Access,
    tell: Callable[[str], None],
) -> Iterator[TimedBatch]:
    """Build and time batches, each as soon as there is somebody to time it.

    Raises BadInput and VerificationFailed for artifacts that fail, DeviceNotReachable once no unit is left.
    """
    if not profile.is_this_machine:
        # Devices that are not there are said before anything is compiled for them.
        with open_units(profile, access) as held:
            units = [timekeeper(unit, runtime, profile) for unit in held]
            yield from time_on_units(batches, units, reference(), protocol, profile, access, tell)
        return
    with Timer(runtime, reference(), protocol, timing_processors(profile, protocol.threads)) as timer:
        for batch in batches:
            tell("building")
            runnables = batch.build()
            tell("timing")
            yield TimedBatch(batch, runnables, timer.time_batch(runnables), timer.conditions)
