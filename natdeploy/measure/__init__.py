"""Times networks honestly and keeps every timing. Knows nothing of prediction."""

from natdeploy.measure.builds import reference_arch, runtime_toolchain
from natdeploy.measure.measurement import ROLES, Measurement, Visit
from natdeploy.measure.protocol import TimingProtocol, protocol_for
from natdeploy.measure.store import MeasurementStore
from natdeploy.measure.timing import time_archs, time_runnable

__all__ = [
    "ROLES",
    "Measurement",
    "MeasurementStore",
    "TimingProtocol",
    "Visit",
    "protocol_for",
    "reference_arch",
    "runtime_toolchain",
    "time_archs",
    "time_runnable",
]
