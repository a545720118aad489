"""Measurements made up for tests of the store."""

from typing import Any

from natdeploy.measure import Measurement, TimingProtocol, Visit
from natdeploy.spaces import get_space

SPACE = get_space("mbv3-micro")


def made_up(**changes: Any) -> Measurement:
    values: dict[str, Any] = {
        "arch": SPACE.smallest(),
        "space": "mbv3-micro",
        "runtime": "onnxruntime",
        "device": "host",
        "device_fingerprint": "f" * 16,
        "artifact_digest": "d" * 64,
        "toolchain": {"onnxruntime": "1"},
        "protocol": TimingProtocol().to_json(),
        "samples_ms": (0.1, 0.2, 0.3),
        "latency_ms": 0.2,
        "raw_median_ms": 0.2,
        "mad_ms": 0.01,
        "reference_ms": 0.3,
        "drift": 0.0,
        "trusted": True,
        "taken_at": "2025-01-01T00:00:00+00:00",
        "role": "train",
        "visits": (Visit((0.1, 0.2), 0.3), Visit((0.3,), 0.31)),
        "conditions": {"processors": [1]},
    }
    return Measurement(**{**values, **changes})
