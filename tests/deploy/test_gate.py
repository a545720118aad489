"""Gates pass what noise explains and name what it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from natdeploy.deploy.baseline import (
    AccuracyFigure,
    Baseline,
    LatencyFigure,
    ModelFigures,
    bundle_figures,
    read_baseline,
    renewed,
    write_baseline,
)
from natdeploy.deploy.gate import Compared, compare
from natdeploy.ground.errors import BadInput, VerificationFailed
from natdeploy.ground.files import read_json, write_json
from natdeploy.runs.pipeline import GateSettings
from tests.deploy.stand_ins import make_bundle

GATES = GateSettings()


def figures(
    top1: float = 0.9, measured: tuple[float, float] | None = (0.98, 1.02), size: int = 1000, machine: str = "aa"
) -> ModelFigures:
    accuracy = {"test": AccuracyFigure(top1=top1, standard_error=0.01, images=900)}
    timed = {}
    if measured is not None:
        timed[machine] = LatencyFigure(latency_ms=sum(measured) / 2, lower_ms=measured[0], upper_ms=measured[1])
    predicted = LatencyFigure(latency_ms=1.0, lower_ms=0.9, upper_ms=1.2)
    return ModelFigures(
        arch_id="a" * 12, runtime="tvm", bytes=size, accuracy=accuracy, predicted=predicted, measured=timed
    )


def compared(found: ModelFigures, before: ModelFigures | None = None) -> dict[str, Compared]:
    baseline = Baseline(entry="e", models={"best": before or figures()})
    return {line.metric.split(" (")[0]: line for line in compare("e", baseline, {"best": found}, GATES)}


def test_equal_figures_pass() -> None:
    lines = compared(figures())
    assert [line.verdict for line in lines.values()] == ["ok"] * 4


@pytest.mark.parametrize(
    ("found", "metric", "verdict"),
    [
        (figures(top1=0.9 - 0.028), "top1", "ok"),  # two standard errors of the difference are 2.83 points
        (figures(top1=0.9 - 0.029), "top1", "worse"),
        (figures(top1=0.99), "top1", "ok"),
        (figures(measured=(1.07, 1.2)), "measured latency", "ok"),  # 1.02 + 5 %
        (figures(measured=(1.072, 1.2)), "measured latency", "worse"),
        (figures(measured=(0.5, 0.6)), "measured latency", "ok"),
        (figures(size=1020), "size", "ok"),
        (figures(size=1021), "size", "worse"),
    ],
)
def test_only_what_is_beyond_its_tolerance_is_worse(found: ModelFigures, metric: str, verdict: str) -> None:
    lines = compared(found)
    assert lines[metric].verdict == verdict
    assert [line.metric for line in lines.values() if line.failed] == ([lines[metric].metric] * (verdict == "worse"))


def test_a_prediction_is_compared_by_its_interval() -> None:
    slower = LatencyFigure(latency_ms=1.5, lower_ms=1.3, upper_ms=1.7)
    assert compared(figures().model_copy(update={"predicted": slower}))["predicted latency"].verdict == "worse"
    assert compared(figures().model_copy(update={"predicted": None}))["predicted latency"].verdict == "not compared"


def test_machines_of_two_kinds_are_not_compared() -> None:
    lines = compare("e", Baseline(entry="e", models={"best": figures()}), {"best": figures(machine="bb")}, GATES)
    verdicts = {line.metric: line.verdict for line in lines}
    assert verdicts["measured latency (aa)"] == verdicts["measured latency (bb)"] == "not compared"


def test_what_is_missing_fails() -> None:
    (line,) = compare("e", None, {"best": figures()}, GATES)
    assert line.failed and "--update" in line.tolerance
    (line,) = compare("e", Baseline(entry="e", models={"knee": figures()}), {}, GATES)
    assert (line.verdict, line.found) == ("missing", "not built")
    lost = figures().model_copy(update={"accuracy": {}})
    assert compared(lost)["top1"].verdict == "missing"
    assert compared(figures(), lost)["top1"].verdict == "not compared"


def test_baselines_are_files(tmp_path: Path) -> None:
    baseline = Baseline(entry="digits-host", models={"best": figures()})
    path = write_baseline(tmp_path, baseline)
    assert path == tmp_path / "digits-host.json"
    assert read_baseline(tmp_path, "digits-host") == baseline
    assert read_baseline(tmp_path, "digits-pixel4") is None


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"schema_version": 2}, "field 'schema_version' is 2, this natdeploy reads 1"),
        ({"schema_version": None}, "field 'schema_version' is None"),
        ({"entry": "other"}, "field 'entry' is 'other'"),
        ({"models": {}}, "field 'models'"),
        ({"note": 1}, "unknown field 'note'"),
    ],
)
def test_a_baseline_of_another_kind_is_bad_input(tmp_path: Path, change: dict, fault: str) -> None:
    path = write_baseline(tmp_path, Baseline(entry="e", models={"best": figures()}))
    write_json(path, {**read_json(path, "baseline"), **change})
    with pytest.raises(BadInput, match=fault) as error:
        read_baseline(tmp_path, "e")
    assert str(path) in str(error.value)


def test_an_update_keeps_what_other_machines_measured_of_the_same_model() -> None:
    before = Baseline(entry="e", models={"best": figures()})
    kept = renewed(before, "e", {"best": figures(machine="bb")})
    assert sorted(kept.models["best"].measured) == ["aa", "bb"]
    anew = renewed(before, "e", {"best": figures(machine="bb", size=999)})
    assert sorted(anew.models["best"].measured) == ["bb"]


def test_a_bundles_figures_are_its_manifests(tmp_path: Path) -> None:
    manifest = make_bundle(tmp_path / "bundle", measured_ms=1.5)
    found, picks = bundle_figures(tmp_path / "bundle", 0.95)
    assert picks == ("best",)
    assert found.accuracy["test"].top1 == manifest.accuracy[0].top1
    assert found.measured["f" * 16] == LatencyFigure(latency_ms=1.5, lower_ms=1.5, upper_ms=1.5)
    assert found.bytes == sum(one.bytes for one in manifest.files if one.path.startswith("native/"))


def test_a_bundle_with_a_missing_file_is_refused(tmp_path: Path) -> None:
    make_bundle(tmp_path / "bundle")
    (tmp_path / "bundle" / "model.onnx").unlink()
    with pytest.raises(VerificationFailed, match=r"model\.onnx: missing"):
        bundle_figures(tmp_path / "bundle", 0.95)
