"""Energy of a run: measured where a meter can be read, else modelled from public figures, else absent with a reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from natdeploy.devices import HardwareProfile
from natdeploy.devices.meter import Meter, Metered, MeteredRun, NotMetered
from natdeploy.devices.power import power_model
from natdeploy.ground.errors import BadInput
from natdeploy.measure.measurement import Measurement


@dataclass(frozen=True)
class Energy:
    """What one run of a network takes out of the battery or the socket.

    Attributes:
        source: ``measured`` by a meter while the network ran, ``modelled`` from the profile's power figures; None where
            nothing is known.
        millijoules: of one run: power times time.
        watts: power while it runs: by a meter of all that it feeds, rest included; by a model of the busy cores.
        idle_watts: the same at rest; None where that is not known.
        meter: the meter, with how well it tells power where it is coarse, or the figures that were used.
        reason: why nothing was measured; empty where it was.
    """

    source: Literal["measured", "modelled"] | None
    millijoules: float | None
    watts: float | None
    idle_watts: float | None
    meter: str | None
    reason: str

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


@dataclass(frozen=True)
class EnergySummary:
    """Energies of the networks of one device and runtime.

    Attributes:
        source, meter, reason: as in :class:`Energy`, of the best known ones.
        networks: how many of them there are.
        least_mj, median_mj, most_mj: of a run of theirs, in millijoules; None where nothing is known.
    """

    source: str | None
    meter: str | None
    reason: str
    networks: int
    least_mj: float | None
    median_mj: float | None
    most_mj: float | None


def energy_of(run: Metered | None, meter: Meter, profile: HardwareProfile, latency_ms: float) -> Energy:
    """The energy of a network that takes so long, measured if it was, else modelled if the profile has the figures.

    Args:
        run: the network's run beside the meter; None where there is no meter.
        meter: the meter.
        profile: the device.
        latency_ms: of the network.
    """
    if isinstance(run, MeteredRun) and meter.name is not None:
        known = "" if run.resolution is None else f", known to {100 * run.resolution:.0f} %"
        return Energy("measured", run.watts * run.run_ms, run.watts, run.idle_watts, meter.name + known, "")
    reason = f"{meter.name} {run.reason}" if isinstance(run, NotMetered) and meter.name else meter.reason
    try:
        model = power_model(profile)
    except BadInput as error:
        return Energy(None, None, None, None, None, f"{reason}; {error}")
    return Energy("modelled", model.watts * latency_ms, model.watts, None, model.about, reason)


def stored_energy(measurement: Measurement, profile: HardwareProfile) -> Energy:
    """The energy that was stored with a timing; of one without, what the profile's figures make."""
    value = measurement.conditions.get("energy")
    if isinstance(value, Mapping) and set(value) == {field.name for field in fields(Energy)}:
        return Energy(**value)
    return energy_of(None, Meter(None, "it was not metered when it was timed"), profile, measurement.latency_ms)


def summarise(energies: Sequence[Energy]) -> EnergySummary | None:
    """What energies have in common; measured ones alone, if there are any. None for no energies."""
    if not energies:
        return None
    sources = [one.source for one in energies]
    best = next((source for source in ("measured", "modelled") if source in sources), None)
    chosen = [one for one in energies if one.source == best]
    values = sorted(one.millijoules for one in chosen if one.millijoules is not None)
    least, median, most = (values[0], values[len(values) // 2], values[-1]) if values else (None, None, None)
    last = chosen[-1]
    return EnergySummary(best, last.meter, last.reason, len(chosen), least, median, most)
