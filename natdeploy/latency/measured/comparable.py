"""Which stored timings one latency model may be trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from natdeploy.ground.errors import BadInput
from natdeploy.measure import Measurement
from natdeploy.spaces import Space

#: What a measurement was taken for, where a model is trained on it.
TRAINING_ROLES = ("train", "build")


def comparable(measurements: Sequence[Measurement], space: Space) -> list[Measurement]:
    """Trusted measurements of known architectures, taken with the newest toolchain among the training networks.

    Raises BadInput for what a caller must never mix: devices, runtimes, thread counts, spaces; and for a latency that
    is not positive.
    """
    known = [measurement for measurement in measurements if measurement.arch is not None]
    refuse_mixed("device", {measurement.device_fingerprint for measurement in known})
    refuse_mixed("runtime", {measurement.runtime for measurement in known})
    refuse_mixed("thread count", {str(measurement.protocol.get("threads", 1)) for measurement in known})
    refuse_mixed("space", {measurement.space for measurement in known} | {space.name})
    for measurement in known:
        if measurement.arch is not None and not (measurement.latency_ms > 0 and np.isfinite(measurement.latency_ms)):
            raise BadInput(
                f"latency model: the timing of architecture {measurement.arch.id} is {measurement.latency_ms} ms; "
                "expected a positive number"
            )
    trusted = [measurement for measurement in known if measurement.trusted]
    if not any(measurement.role in TRAINING_ROLES for measurement in trusted):
        return []
    toolchain = newest(trusted).toolchain
    return [measurement for measurement in trusted if same_toolchain(measurement, toolchain)]


def refuse_mixed(what: str, values: set[str]) -> None:
    """Raise BadInput where timings differ in something that one model is about."""
    if len(values) > 1:
        raise BadInput(f"latency model: timings of more than one {what} cannot be mixed: {', '.join(sorted(values))}")


def newest(measurements: Sequence[Measurement]) -> Measurement:
    """The training measurement taken last; a build's only where nothing else was trained on."""
    training = [measurement for measurement in measurements if measurement.role in TRAINING_ROLES]
    return max(training, key=lambda measurement: (measurement.role == "train", measurement.taken_at))


def same_toolchain(measurement: Measurement, versions: Mapping[str, str]) -> bool:
    """Whether no tool that built or ran the measurement is known in another version."""
    return all(versions.get(tool, version) == version for tool, version in measurement.toolchain.items())
