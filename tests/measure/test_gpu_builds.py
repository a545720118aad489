"""Networks for a phone's graphics processor: executables that an NDK links, or advice before anything is compiled."""

import subprocess
from pathlib import Path

import pytest

from natdeploy.compiler import toolchain_versions
from natdeploy.devices import HardwareProfile, load_profile
from natdeploy.ground.errors import DeviceNotReachable
from natdeploy.ground.files import canonical_json
from natdeploy.measure.builds import ArtifactBuilder, runtime_toolchain
from natdeploy.spaces import get_space
from tests.compiler.conftest import home  # noqa: F401 - a cache of this session's own

SPACE = get_space("mbv3-micro")
pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def phone() -> HardwareProfile:
    return load_profile("pixel4-gpu")


def test_without_an_ndk_nothing_is_compiled(phone: HardwareProfile, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("ANDROID_NDK_HOME", "ANDROID_NDK_ROOT", "ANDROID_HOME", "ANDROID_SDK_ROOT"):
        monkeypatch.delenv(variable, raising=False)
    told: list[str] = []
    builder = ArtifactBuilder(SPACE, phone, "tvm")
    with pytest.raises(DeviceNotReachable, match=r"no Android NDK is found; install .* ANDROID_NDK_HOME"):
        builder.prepare([SPACE.smallest()], lambda stage, done: told.append(stage))
    assert not told


def test_what_is_source_only_is_not_profiled() -> None:
    builder = ArtifactBuilder(SPACE, load_profile("dgx-a100"), "tvm")
    with pytest.raises(DeviceNotReachable, match="cuda is source code only: natdeploy has no program that runs it"):
        builder.prepare([SPACE.smallest()])


def test_an_ndk_links_an_executable(phone: HardwareProfile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for the NDK's clang: this machine's compiler."""
    clang = tmp_path / "ndk/toolchains/llvm/prebuilt/linux-x86_64/bin/aarch64-linux-android24-clang"
    clang.parent.mkdir(parents=True)
    clang.write_text('#!/bin/sh\nexec cc "$@"\n')
    clang.chmod(0o755)
    monkeypatch.setenv("ANDROID_NDK_HOME", str(tmp_path / "ndk"))
    (built,) = ArtifactBuilder(SPACE, phone, "tvm").build_all([SPACE.smallest()], tmp_path / "out")
    assert (built.kind, Path(built.path).name) == ("executable", "model_run")
    said = subprocess.run([built.path], check=True, capture_output=True, text=True).stdout
    assert '"name": "input"' in said


def test_its_timings_stand_apart_from_the_processors(phone: HardwareProfile) -> None:
    own, other = runtime_toolchain("tvm", phone), runtime_toolchain("tvm", load_profile("pixel4"))
    assert own["llvm_target"] == canonical_json({"kind": "opencl", "mtriple": "aarch64-linux-android"})
    assert own["llvm_target"] != other["llvm_target"]
    assert own["natdeploy-gpu"] == toolchain_versions("gpu")["natdeploy-gpu"] and "natdeploy-gpu" not in other
