"""Timings for tests: made from layers with noise, and the published ones that lie beside the checkout."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from natdeploy.latency.inputs.features import layer_kind
from natdeploy.latency.library import SHIPPED
from natdeploy.measure import Measurement
from natdeploy.spaces import Arch, Layer, Space, get_space
from natdeploy.spaces.mobilenetv3 import MobileNetV3Space

HELP_OFA = Path(__file__).parents[2].parent / "shared" / "data" / "latency" / "help_ofa.csv.gz"
#: GMACs per second of a made-up processor, by kind of layer.
RATES = {
    "dense": 90.0,
    "spatial": 50.0,
    "vector": 12.0,
    "depthwise_k3": 20.0,
    "depthwise_k5": 26.0,
    "depthwise_k7": 30.0,
}


def true_ms(layers: Sequence[Layer]) -> float:
    """Latency on a made-up processor: a rate per kind, a cost per layer and per byte, and a kink at narrow layers."""
    total = 0.005
    for layer in layers:
        total += 0.0004 + layer.out_elements * 4 / 20e6
        if layer.macs:
            narrow = 1.4 if layer.out_c % 16 else 1.0
            total += narrow * layer.macs / (RATES[layer_kind(layer)] * 1e6)
    return total


def measurement(arch: Arch, latency_ms: float, role: str = "train", **changes: object) -> Measurement:
    fields: dict[str, object] = {
        "arch": arch,
        "space": arch.space,
        "runtime": "onnxruntime",
        "device": "made-up",
        "device_fingerprint": "0123456789abcdef",
        "artifact_digest": arch.id,
        "toolchain": {"onnxruntime": "1.0"},
        "protocol": {"threads": 1},
        "samples_ms": (float(latency_ms),),
        "latency_ms": float(latency_ms),
        "raw_median_ms": float(latency_ms),
        "mad_ms": 0.0,
        "reference_ms": 1.0,
        "drift": 0.0,
        "trusted": True,
        "taken_at": "2026-01-01T00:00:00",
        "role": role,
    }
    return Measurement(**(fields | changes))  # type: ignore[arg-type]


def made_up(
    count: int,
    *,
    seed: int = 0,
    noise: float = 0.02,
    role: str = "train",
    space: Space | None = None,
    truth: Callable[[Sequence[Layer]], float] = true_ms,
) -> list[Measurement]:
    """Timings of random networks, with noise that is heavier in the tail and for small networks."""
    space = get_space("mbv3-micro") if space is None else space
    rng = np.random.default_rng(seed)
    archs = list(dict.fromkeys(space.sample(rng) for _ in range(count + 20)))[:count]
    found = []
    for arch in archs:
        ms = truth(space.layers(arch))
        spread = noise * (1 + 0.05 / ms)
        found.append(measurement(arch, ms * np.exp(spread * rng.standard_t(4) / np.sqrt(2)), role))
    return found


@lru_cache(maxsize=1)
def help_space() -> MobileNetV3Space:
    """OFA-MobileNetV3 of width 1.0 at the resolutions that were published: 128 to 224."""
    return MobileNetV3Space(
        name="ofa-mbv3-w1.0-help",
        resolutions=tuple(range(128, 225, 4)),
        width=1.0,
        stem_c=16,
        stage_c=(24, 40, 80, 112, 160),
        final_c=960,
        feature_c=1280,
        num_classes=1000,
    )


def published(device: str, batch: int, count: int) -> list[Measurement]:
    """The first ``count`` published timings of OFA subnets on a GPU, in ms of a batch."""
    if not HELP_OFA.exists():
        pytest.skip(f"{HELP_OFA} is not there: published timings are needed")
    table = _table()
    rows = table[(table.device == device) & (table.batch == batch)].head(count)
    found = []
    for row in rows.itertuples():
        ks, e, d = ([int(part) for part in text.split("-")] for text in (row.kernels, row.expands, row.depths))
        value = {"ks": ks, "e": e, "d": d, "r": row.image_size, "w": 1.0}
        found.append(measurement(Arch.from_json(value, space=help_space().name), row.latency_ms))
    return found


@lru_cache(maxsize=1)
def _table() -> pd.DataFrame:
    return pd.read_csv(HELP_OFA)


def shipped_for_others(folder: Path, monkeypatch: pytest.MonkeyPatch, space: str = "mbv3-micro") -> None:
    """Ship no predictor of a space: what is known of other devices in it is what a test says, however many ship."""
    for path in SHIPPED.glob("*/*.json"):
        if path.stem != space:
            (folder / path.parent.name).mkdir(parents=True, exist_ok=True)
            (folder / path.parent.name / path.name).symlink_to(path)
    monkeypatch.setattr("natdeploy.latency.transferred.other_devices.SHIPPED", folder)
