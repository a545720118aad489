"""What a shell sees of the ci verbs on bad input: exit statuses and last lines."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from natdeploy.ground.files import read_json, write_json
from natdeploy.verbs import ci
from tests.verbs.made_entries import built, enter_pipeline, status, write_pipeline


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return enter_pipeline(tmp_path, monkeypatch)


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit status of a command that must fail, and its last line; progress comes before."""
    capsys.readouterr()
    code = status(*arguments)
    line = capsys.readouterr().err.splitlines()[-1]
    return code, line


def test_an_unknown_device_of_the_matrix_leaves_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    write_pipeline(devices={"pixl4": {"latency_ms": 2}})
    for verb in (("ci", "plan"), ("ci", "build"), ("validate", "natdeploy.yaml")):
        code, line = said(capsys, *verb)
        where = "natdeploy.yaml: task 'digits' on device 'pixl4': "
        assert code == 2 and f"{where}unknown device 'pixl4' (did you mean pixel4?)" in line


@pytest.mark.usefixtures("without_llvm_mca")
def test_a_budget_that_no_device_can_meet_leaves_with_4(capsys: pytest.CaptureFixture[str]) -> None:
    write_pipeline(devices={"pixel4": {"latency_ms": 0.001}})
    for verb in (("ci", "build", "--device", "pixel4"), ("validate", "natdeploy.yaml")):
        code, line = said(capsys, *verb)
        assert code == 4 and "no architecture of mbv3-micro meets 0.001 ms on pixel4" in line
    assert not list(Path().rglob("manifest.json"))


def test_a_baseline_of_another_schema_leaves_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    built()
    ci.gate(update=True)
    path = Path("baselines/digits-host.json")
    write_json(path, {**read_json(path, "baseline"), "schema_version": 7})
    for verb in (("ci", "gate"), ("validate", "natdeploy.yaml")):
        code, line = said(capsys, *verb)
        assert code == 2 and "digits-host.json: field 'schema_version' is 7" in line


def test_damaged_bundles_leave_with_5(capsys: pytest.CaptureFixture[str]) -> None:
    for damage, fault in (
        (lambda bundle: (bundle / "model.onnx").unlink(), "model.onnx: missing"),
        (lambda bundle: (bundle / "secret").symlink_to("/etc/passwd"), "secret: a symbolic link"),
    ):
        bundle = built()
        damage(bundle)
        for verb in (("ci", "gate"), ("ci", "publish"), ("ci", "pack"), ("verify", str(bundle))):
            code, line = said(capsys, *verb)
            assert code == 5 and fault in line, (verb, line)


def test_an_archive_that_reaches_outside_leaves_with_5(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("digits-host/../../evil", "/evil", "digits-host/..\\evil"):
        with tarfile.open("digits-host.tar.gz", "w:gz") as tar:
            info = tarfile.TarInfo(name)
            info.size = 1
            tar.addfile(info, io.BytesIO(b"x"))
        code, line = said(capsys, "ci", "unpack", "digits-host.tar.gz")
        assert code == 5 and "would be written outside of its folder" in line
    assert not list(folder.rglob("evil")) and not Path("ci").exists()
