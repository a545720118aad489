import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from natdeploy.ground.errors import BadInput
from natdeploy.runs import ArchiveEntry, HistoryStep
from natdeploy.spaces import get_space

SPACE = get_space("mbv3-micro")


def entry(seed: int = 0, **changes: object) -> ArchiveEntry:
    arch = SPACE.sample(np.random.default_rng(seed))
    values = {
        "top1": 0.9,
        "loss": 0.3,
        "val_images": 270,
        "latency_ms": 1.0,
        "latency_lower_ms": 0.9,
        "latency_upper_ms": 1.2,
    }
    counts = {"macs": 10, "params": 20, "peak_activation_bytes": 30, "generation": 1, "feasible": True}
    return ArchiveEntry(arch, **{**values, **counts, **changes})


finite = st.floats(allow_nan=False, allow_infinity=False)


@given(st.integers(0, 2**32 - 1), finite, finite, st.booleans())
def test_json_round_trip(seed: int, top1: float, latency: float, feasible: bool) -> None:
    before = entry(seed, top1=top1, latency_ms=latency, feasible=feasible)
    assert ArchiveEntry.from_json(json.loads(json.dumps(before.to_json()))) == before


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(ArchiveEntry) if field.name != "arch"])
@pytest.mark.parametrize("value", ["x", None, float("nan")])
def test_a_wrong_field_is_named(field: str, value: object) -> None:
    with pytest.raises(BadInput, match=f"'{field}'"):
        ArchiveEntry.from_json({**entry().to_json(), field: value})


def test_a_missing_arch_is_named() -> None:
    with pytest.raises(BadInput, match="architecture"):
        ArchiveEntry.from_json({})
    with pytest.raises(BadInput, match="expected a JSON object"):
        ArchiveEntry.from_json([1])


def test_nan_is_never_an_entry() -> None:
    with pytest.raises(ValueError, match="top1"):
        entry(top1=float("nan"))


def test_history_round_trip_and_missing_field() -> None:
    step = HistoryStep(1, 1, 0.5, 10, 8, 4, 20, 1, 0.9, {"name": "gp", "kendall": None}, {"adapt": 1.5})
    value = json.loads(json.dumps(step.to_json()))
    assert HistoryStep.from_json(value) == step
    del value["hypervolume"]
    with pytest.raises(BadInput, match="'hypervolume'"):
        HistoryStep.from_json(value)
