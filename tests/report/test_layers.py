"""Latency per layer in the report."""

import shutil

import pytest

from natdeploy.deploy.layers import LAYERS, LayerTime, LayerTimes
from natdeploy.ground.files import write_json
from natdeploy.report import write_report
from tests.report.made_run import SPACE, make_run
from tests.report.page import Page


@pytest.fixture(scope="module")
def timed(tmp_path_factory):
    made = make_run(tmp_path_factory.mktemp("layers") / "run", count=40, bundles=2)
    layers = SPACE.layers(made.front[-1].arch)
    calls = tuple(LayerTime(layer.name, 0.001 * (index + 1), 0.002) for index, layer in enumerate(layers))
    times = LayerTimes("tvm", "b" * 64, 1, 50, 120, calls)
    write_json(made.bundles[0] / LAYERS, times.to_json())
    return made, times


def test_every_call_stands_in_a_bar_once(timed, tmp_path):
    made, times = timed
    page = Page(write_report(made.run, out=tmp_path / "r.html"))
    traces = page.figure("layers")["data"]
    bars = [trace for trace in traces if trace["type"] == "bar"]
    assert {trace["name"] for trace in bars} >= {"expand (1 x 1)", "depthwise", "project (1 x 1)", "outside the blocks"}
    assert sum(sum(trace["y"]) for trace in bars) == pytest.approx(times.measured_ms, abs=1e-4)
    predicted = page.trace("layers", "predicted")
    assert sum(predicted["y"]) == pytest.approx(0.002 * len(times.layers), abs=1e-4)
    blocks = sum(made.front[-1].arch.d) + 1  # the first block has no choices and is always there
    assert sum(place.startswith("block ") for place in predicted["x"]) == blocks
    assert page.figure("layers")["layout"]["xaxis"]["categoryarray"] == predicted["x"]


def test_the_table_and_the_provenance_tell_of_them(timed, tmp_path):
    made, times = timed
    page = Page(write_report(made.run, out=tmp_path / "r.html"))
    named = {row[0] for row in page.rows if row}
    assert {one.layer for one in times.layers} <= named
    sources = {row[0]: row[1] for row in page.rows if len(row) == 2}
    source = next(text for figure, text in sources.items() if figure.startswith("layers of"))
    assert "median of 50 runs" in source and "lookup table of 120 timed networks" in source


def test_without_predictions_none_are_drawn(timed, tmp_path):
    made, times = timed
    run = shutil.copytree(made.run.path, tmp_path / "run")
    calls = tuple(LayerTime(one.layer, one.measured_ms, None) for one in times.layers)
    plain = LayerTimes("tvm", "b" * 64, 1, 50, 0, calls)
    write_json(run / "bundles" / made.bundles[0].name / LAYERS, plain.to_json())
    page = Page(write_report(type(made.run)(run), out=tmp_path / "r.html"))
    assert "predicted" not in [trace["name"] for trace in page.figure("layers")["data"]]
    assert "Nothing is predicted per layer" in page.text


def test_a_run_without_them_says_so(made, tmp_path):
    page = Page(write_report(made.run, out=tmp_path / "r.html"))
    assert "no bundle of this run was timed layer by layer" in page.text
    assert "layers" not in [figure["id"] for figure in page.data["figures"]]
