"""What a bundle's ``profile.json`` holds in full and its manifest in short: the same timings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from natdeploy.deploy.manifest import MeasuredLatency, RunEnergy
from natdeploy.ground.errors import BadInput

if TYPE_CHECKING:
    from natdeploy.measure import Measurement


def profile_json(measurements: Sequence[Measurement]) -> dict[str, Any]:
    """The content of ``profile.json``, raw samples included."""
    return {"measurements": [measurement.to_json() for measurement in measurements]}


def measured_latencies(profile: Any) -> list[MeasuredLatency]:
    """What a manifest says of a ``profile.json``. Raises BadInput naming a field that does not fit."""
    from natdeploy.measure import Measurement  # a bundle is checked without the rooms that time

    measurements = profile.get("measurements") if isinstance(profile, dict) else None
    if not isinstance(measurements, list):
        raise BadInput("field 'measurements' is not a list")
    return [measured_latency(Measurement.from_json(measurement)) for measurement in measurements]


def measured_latency(measurement: Measurement) -> MeasuredLatency:
    """A timing as the manifest gives it."""
    return MeasuredLatency(
        runtime=measurement.runtime,
        artifact_digest=measurement.artifact_digest,
        latency_ms=measurement.latency_ms,
        raw_median_ms=measurement.raw_median_ms,
        mad_ms=measurement.mad_ms,
        samples=len(measurement.samples_ms),
        threads=int(measurement.protocol["threads"]),
        trusted=measurement.trusted,
        taken_at=measurement.taken_at,
        energy=_energy(measurement),
    )


def _energy(measurement: Measurement) -> RunEnergy | None:
    value = measurement.conditions.get("energy")
    try:
        return None if value is None else RunEnergy.model_validate(dict(value))
    except (ValidationError, TypeError, ValueError):
        raise BadInput("field 'conditions.energy' is no energy") from None
