"""diff names every field in which two bundles or two runs differ, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from natdeploy.cli.main import app
from natdeploy.ground.errors import BadInput, VerificationFailed
from natdeploy.ground.files import write_json
from natdeploy.runs import RunConfig, RunFolder
from natdeploy.runs.folder import write_items
from natdeploy.verbs import diff
from tests.deploy.stand_ins import archs, entry, make_bundle


def run(path: Path, *, budget_ms: float = 2.0, seed: int = 0, top1: float = 0.9) -> Path:
    folder = RunFolder.create(path, RunConfig(latency_ms=budget_ms, seed=seed), lambda file: file.write_text("{}"))
    folder.result_path.mkdir()
    write_items(folder.result_path / "front.json", [entry(archs(1)[0], top1, 1.0)])
    write_json(folder.result_path / "summary.json", {"hypervolume_last": top1 / 2})
    return path


def test_equal_bundles_have_no_differences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_bundle(tmp_path / "a")
    make_bundle(tmp_path / "b")
    result = diff(tmp_path / "a", tmp_path / "b")
    assert (result.kind, result.same_model, result.differences) == ("bundle", True, ())
    assert app(["diff", str(tmp_path / "a"), str(tmp_path / "b")], standalone_mode=False) in (None, 0)
    assert "equal" in capsys.readouterr().out


def test_another_timing_is_a_difference_of_the_same_model(tmp_path: Path) -> None:
    make_bundle(tmp_path / "a", measured_ms=1.5)
    make_bundle(tmp_path / "b", measured_ms=1.2)
    result = diff(tmp_path / "a", tmp_path / "b")
    found = {one.field: one for one in result.differences}
    assert result.same_model
    assert found["latency.measured.tvm"].note == "-20.0%"
    assert {"files.profile.json", "files.README.md"} <= set(found)
    assert not any(field.startswith(("model", "artifacts", "top1")) for field in found)


def test_another_artifact_is_another_model(tmp_path: Path) -> None:
    make_bundle(tmp_path / "a")
    make_bundle(tmp_path / "b", artifact_error=0.5)
    result = diff(tmp_path / "a", tmp_path / "b")
    assert not result.same_model
    assert "artifacts.tvm.digest" in {one.field for one in result.differences}


def test_runs_differ_in_settings_and_front(tmp_path: Path) -> None:
    a, same, other = run(tmp_path / "a"), run(tmp_path / "b"), run(tmp_path / "c", budget_ms=3, top1=0.8)
    assert diff(a, same).differences == ()
    found = {one.field: one for one in diff(a, other).differences}
    assert (found["settings.latency_ms"].a, found["settings.latency_ms"].b) == ("2", "3")
    assert found["summary.hypervolume_last"].note == "-11.1%"
    assert any(field.startswith("front.") for field in found)
    assert not diff(a, other).same_model


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    make_bundle(tmp_path / "bundle")
    with pytest.raises(BadInput, match="is a run and"):
        diff(run(tmp_path / "run"), tmp_path / "bundle")
    with pytest.raises(BadInput, match="no such folder"):
        diff(tmp_path / "bundle", tmp_path / "none")
    (tmp_path / "bundle" / "model.onnx").write_bytes(b"other")
    with pytest.raises(VerificationFailed, match=r"model\.onnx"):
        diff(tmp_path / "bundle", tmp_path / "bundle")
