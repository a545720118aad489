"""The doctor finds, and never fails."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path

import pytest

from natdeploy.ground.errors import DeviceNotReachable
from natdeploy.verbs.doctor import Check, DoctorResult, doctor
from tests.compiler.gpu.conftest import cuda_libraries, stand_in_cuda  # noqa: F401

MODULE = importlib.import_module("natdeploy.verbs.doctor")  # the package's own attribute is the function


@pytest.fixture(autouse=True)
def own_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path / "home"))


def by_name(result: DoctorResult) -> dict[str, Check]:
    return {check.name: check for check in result.checks}


def test_what_is_installed_is_found_and_what_is_not_has_a_remedy(monkeypatch) -> None:
    which, real = shutil.which, MODULE._module
    monkeypatch.setattr(shutil, "which", lambda name: None if name in ("adb", "git") else which(name))
    # Importing TVM and torch for real takes long; json stands for them, through a child all the same.
    monkeypatch.setattr(MODULE, "_module", lambda name: real("numpy" if name == "tvm" else "json"))
    monkeypatch.setattr(MODULE, "_cuda", lambda: "a GPU")
    monkeypatch.setattr(MODULE, "_cuda_through_tvm", lambda: "a GPU")
    monkeypatch.setenv("ANDROID_NDK_HOME", "/nowhere")
    result = doctor()
    checks = by_name(result)
    assert result.ready
    assert all(checks[name].usable for name in ("TVM", "ONNX Runtime", "PyTorch", "C compiler (ziglang)", "GPU (CUDA)"))
    assert checks["TVM"].detail[0].isdigit()
    assert not checks["adb"].usable
    assert not checks["git"].usable
    assert not checks["Android NDK"].usable and "ANDROID_NDK_HOME" in checks["Android NDK"].remedy
    assert all(bool(check.remedy) != check.usable for check in result.checks)
    assert all("\n" not in check.detail for check in result.checks)


def test_required_tools_that_fail_are_findings(monkeypatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path / "file"))
    real = MODULE._module
    monkeypatch.setattr(MODULE, "_module", lambda name: real("no_such_module"))
    monkeypatch.setattr(MODULE, "_cuda", lambda: "a GPU")
    monkeypatch.setattr(MODULE, "_cuda_through_tvm", lambda: "a GPU")
    monkeypatch.setattr(MODULE, "_command", lambda command: "works")
    result = doctor()
    checks = by_name(result)
    assert not result.ready
    assert "cannot write here" in checks["cache folder"].detail
    assert "no_such_module" in checks["TVM"].detail
    assert checks["TVM"].remedy


@pytest.mark.usefixtures("stand_in_cuda")
def test_cuda_takes_a_graphics_processor_and_nvcc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert MODULE._cuda_through_tvm() == "Stand-in H100 (sm_90), Cuda compilation tools, release 13.0, stand-in"
    monkeypatch.setenv("STAND_IN_CUDA", "none")
    with pytest.raises(DeviceNotReachable, match="no graphics processor that it can use"):
        MODULE._cuda_through_tvm()


@pytest.mark.slow
def test_the_tools_of_this_machine() -> None:
    checks = by_name(doctor())
    assert all(checks[name].usable for name in ("TVM", "ONNX Runtime", "PyTorch", "C compiler (ziglang)"))
