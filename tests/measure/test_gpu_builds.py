"""Networks for a phone's graphics processor: executables that an NDK links, or advice before anything is compiled."""

import subprocess
from pathlib import Path

import pytest

from natdeploy.compiler import toolchain_versions
from natdeploy.devices import (
    HardwareProfile,
    device_fingerprint,
    load_profile,
    shipped_profiles_dir,
    timing_processors,
)
from natdeploy.ground.errors import DeviceNotReachable, TimingNotPossible
from natdeploy.ground.files import canonical_json
from natdeploy.measure.builds import ArtifactBuilder, runtime_toolchain
from natdeploy.measure.protocol import TimingProtocol
from natdeploy.measure.timer import Timer
from natdeploy.spaces import get_space, random_network
from tests.compiler.conftest import home, tiny_layers  # noqa: F401 - a cache of this session's own
from tests.compiler.gpu.conftest import cuda_libraries, stand_in_cuda  # noqa: F401
from tests.compiler.gpu.ndk_stand_in import without_ndk

SPACE = get_space("mbv3-micro")
QUICK = TimingProtocol(
    visit_ms=1,
    reference_visit_ms=1,
    warmup_ms=0,
    min_sample_ms=0.01,
    min_repeats=2,
    max_repeats=3,
    min_visits=2,
    max_visits=2,
)
pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def phone() -> HardwareProfile:
    return load_profile("pixel4-gpu")


def test_without_an_ndk_nothing_is_compiled(phone: HardwareProfile, monkeypatch: pytest.MonkeyPatch) -> None:
    without_ndk(monkeypatch)
    told: list[str] = []
    builder = ArtifactBuilder(SPACE, phone, "tvm")
    with pytest.raises(DeviceNotReachable, match=r"no Android NDK is found; install .* ANDROID_NDK_HOME"):
        builder.prepare([SPACE.smallest()], lambda stage, done: told.append(stage))
    assert not told


def test_cuda_is_profiled_on_its_own_machine_only() -> None:
    builder = ArtifactBuilder(SPACE, load_profile("dgx-a100"), "tvm")
    with pytest.raises(
        DeviceNotReachable, match=r"runs CUDA on the machine that the graphics processor is in: .*host-"
    ):
        builder.prepare([SPACE.smallest()])


@pytest.mark.usefixtures("stand_in_cuda")
def test_this_machine_s_graphics_processor_is_timed(tmp_path: Path) -> None:
    """Through TVM's runtime, as the CPU's networks are: in turn with a reference, which here is the network itself."""
    profile = load_profile("host-cuda")
    assert profile.gpu is not None and (profile.gpu.name, profile.gpu.arch) == ("Stand-in H100", "sm_90")
    assert device_fingerprint(profile) != device_fingerprint(load_profile("host"))
    assert "stand-in" in runtime_toolchain("tvm", profile)["nvcc"]
    built = ArtifactBuilder(SPACE, profile, "tvm")._built(random_network(tiny_layers(), 0), tmp_path)
    assert (built.kind, Path(built.path).name) == ("source", "kernels.cu")
    with Timer("tvm", built, QUICK, timing_processors(profile, 1)) as timer:
        timing = timer.time_batch([built])
    assert timing.meter.name is None and "no meter of a graphics processor" in timing.meter.reason


@pytest.mark.usefixtures("stand_in_cuda")
def test_another_kind_of_graphics_processor_is_not_timed(tmp_path: Path) -> None:
    text = Path(shipped_profiles_dir(), "dgx-a100.yaml").read_text().replace("via: [ssh, tvm-rpc]", "via: [local]")
    (tmp_path / "dgx-a100.yaml").write_text(text)
    builder = ArtifactBuilder(SPACE, load_profile(tmp_path / "dgx-a100.yaml"), "tvm")
    with pytest.raises(TimingNotPossible, match=r"is Stand-in H100 \(sm_90\), the hardware profile's is one of sm_80"):
        builder.prepare([SPACE.smallest()])


@pytest.mark.usefixtures("stand_in_cuda")
def test_without_a_graphics_processor_there_is_no_such_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAND_IN_CUDA", "none")
    with pytest.raises(DeviceNotReachable, match="no graphics processor that it can use"):
        load_profile("host-cuda")
    assert load_profile("host-cuda", derive=False).derived


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
