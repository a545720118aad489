"""What each layer takes: the file, and the prediction by a lookup table."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from natdeploy.deploy.layers import LayerTime, LayerTimes, predict_calls, read_layer_times
from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import write_json
from natdeploy.spaces import costs
from tests.deploy.stand_ins import SPACE, archs, make_bundle, timing

NUMBERS = st.floats(0, 1e3, allow_nan=False)
TIMES = st.builds(LayerTime, st.text(max_size=20), NUMBERS, st.none() | NUMBERS)
WHOLE = st.integers(0, 1000)


@given(st.builds(LayerTimes, st.text(), st.text(), WHOLE, WHOLE, WHOLE, st.lists(TIMES, max_size=4).map(tuple)))
def test_the_file_reads_back(times: LayerTimes) -> None:
    assert LayerTimes.from_json(times.to_json()) == times


def test_a_bundle_without_the_file_is_an_older_one(tmp_path: Path) -> None:
    make_bundle(tmp_path / "bundle")
    assert read_layer_times(tmp_path / "bundle") is not None
    assert read_layer_times(tmp_path) is None


@pytest.mark.parametrize(
    "change", [{"schema_version": 2}, {"layers": None}, {"layers": [{"layer": "a"}]}, {"runs": "many"}]
)
def test_a_damaged_file_is_named(tmp_path: Path, change: dict) -> None:
    good = LayerTimes("tvm", "d", 1, 9, 0, (LayerTime("a", 1.0, None),)).to_json()
    write_json(tmp_path / "layers.json", {**good, **change})
    with pytest.raises(BadInput, match=r"layers\.json: layer times"):
        read_layer_times(tmp_path)


def test_predictions_of_the_calls_add_up_to_the_networks() -> None:
    """On a machine that takes a nanosecond per multiply-add, the parts add up to the whole, whatever is fused."""
    timed = [
        timing(arch, costs(SPACE.layers(arch, 7)).macs * 1e-6 + 0.001 * len(SPACE.layers(arch, 7)))
        for arch in archs(60)
    ]
    arch = archs(1, seed=99)[0]
    layers = SPACE.layers(arch, 7)
    fused = {layer.name for layer in layers if layer.name.endswith("point_linear")} - {
        layer.name for layer in layers if f"{layer.name.rsplit('.', 1)[0]}.shortcut" not in {one.name for one in layers}
    }
    names = ["input.channels_last", *(layer.name for layer in layers if layer.name not in fused)]
    predicted, networks = predict_calls(names, layers, timed)
    assert networks == len({one.arch for one in timed})
    assert predicted[0] is None
    assert all(ms is not None and ms > 0 for ms in predicted[1:])
    true_ms = costs(layers).macs * 1e-6 + 0.001 * len(layers)
    assert np.sum(predicted[1:]) == pytest.approx(true_ms, rel=0.05)


def test_few_or_untrusted_timings_predict_nothing() -> None:
    layers = SPACE.layers(archs(1)[0])
    names = [layer.name for layer in layers]
    few = [timing(arch, 1.0) for arch in archs(29)]
    doubtful = [dataclasses.replace(timing(arch, 1.0), trusted=False) for arch in archs(60)]
    for known in ([], few, doubtful):
        assert predict_calls(names, layers, known) == ([None] * len(names), 0)
