"""A bundle of OpenCL kernels on its phone: a stand-in for adb, a stand-in for the NDK's clang, PoCL for the GPU."""

import platform
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from natdeploy.deploy import verify_bundle
from natdeploy.devices import load_profile
from natdeploy.devices.model_run import ModelRun, refuse_other_opencl
from natdeploy.ground.errors import DeviceNotReachable, TimingNotPossible, VerificationFailed
from natdeploy.verbs import bench
from tests.compiler.gpu.conftest import needs_opencl
from tests.compiler.gpu.ndk_stand_in import stand_in_ndk, without_ndk
from tests.deploy.kernels_bundle import write_kernels_bundle
from tests.devices.phones import Phone, make_phone, wait_until
from tests.devices.rpc_farm import HOST, start_farm
from tests.measure.phones import use_stand_in

MACHINE = platform.machine()
PROFILE = f"""
name: stand-in-gpu
title: Stand-in for a phone's graphics processor
llvm_triple: {MACHINE}-linux-android
clusters: [{{name: big, core: X, cores: 1, processors: [0], vector_bits: 128, llvm_cpu: x86-64}}]
gpu: {{name: Stand-in 640, api: opencl}}
compute: gpu
runtimes: [tvm]
reach: {{via: [adb], models: ["Stand-in 4"]}}
"""
pytestmark = [
    needs_opencl,
    pytest.mark.skipif(MACHINE != "x86_64", reason="the stand-in phone is an x86-64 one"),
    pytest.mark.usefixtures("home"),
]


@pytest.fixture
def device(tmp_path: Path) -> str:
    (tmp_path / "stand-in-gpu.yaml").write_text(PROFILE)
    return str(tmp_path / "stand-in-gpu.yaml")


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Phone:
    root = use_stand_in(tmp_path / "phones", monkeypatch, qemu="env")  # its executables are this machine's
    phone = make_phone(root, "R58M123")
    phone.change("getprop", "arm64-v8a,armeabi-v7a,armeabi", "x86_64")
    phone.change("uname", "aarch64", MACHINE)
    return phone


@pytest.fixture
def ndk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return stand_in_ndk(tmp_path / "ndk", MACHINE, monkeypatch)


@pytest.fixture
def make(device: str, tmp_path: Path) -> Callable[..., Path]:
    """Writes a bundle of kernels, as ``build --device`` would."""

    def bundle(*, error: float = 0.0) -> Path:
        return write_kernels_bundle(tmp_path, load_profile(device), verified="emulated (pocl)", error=error)

    return bundle


def test_linked_with_the_ndk_it_runs_on_the_phone(
    make: Callable[..., Path], phone: Phone, device: str, ndk: Path
) -> None:
    path = make()
    result = bench(path, device=device, test_only_clock=lambda repeats: [7.5] * repeats)
    assert (result.latency_ms, result.unit, result.via) == (7.5, "R58M123", "adb")
    manifest = verify_bundle(path).manifest
    assert manifest.verification.verified == "on the device (adb R58M123)" and not phone.left()
    assert [artifact.kind for artifact in manifest.artifacts] == ["source"]


def test_a_server_of_tvms_rpc_with_opencl_runs_it_too(
    make: Callable[..., Path], device: str, ndk: Path, tmp_path: Path
) -> None:
    pytest.importorskip("tornado", reason="TVM's tracker and server need tornado")
    (tmp_path / "farm").mkdir()
    farm = start_farm(tmp_path / "farm")
    try:
        farm.server("stand-in-gpu")
        reach = f"reach: {{via: [tvm-rpc], tvm_rpc: {{host: {HOST}, port: {farm.port}}}}}"
        Path(device).write_text(re.sub("reach: .*", reach, PROFILE))
        path = make()
        with pytest.raises(TimingNotPossible, match="OpenCL finds no graphics processor there"):  # but PoCL's
            bench(path, device=device)
        result = bench(path, device=device, test_only_clock=lambda repeats: [7.5] * repeats)
        assert (result.latency_ms, result.via) == (7.5, "tvm-rpc") and result.unit.startswith("stand-in-gpu@")
        assert verify_bundle(path).manifest.verification.verified.startswith("on the device (tvm-rpc stand-in-gpu@")
        wait_until(lambda: not farm.scratch())
    finally:
        farm.close()


def test_times_of_something_else_than_a_gpu_are_refused(
    make: Callable[..., Path], phone: Phone, device: str, ndk: Path
) -> None:
    """PoCL stands in for the GPU, and says so itself."""
    path = make()
    before = (path / "manifest.json").read_bytes()
    with pytest.raises(TimingNotPossible, match="OpenCL finds no graphics processor there"):
        bench(path, device=device)
    assert (path / "manifest.json").read_bytes() == before and not phone.left()


def test_other_outputs_are_refused(make: Callable[..., Path], phone: Phone, device: str, ndk: Path) -> None:
    with pytest.raises(VerificationFailed, match=r"native/kernels\.cl on the device: outputs differ"):
        bench(make(error=0.5), device=device, test_only_clock=lambda repeats: [7.5] * repeats)


def test_without_an_ndk_nothing_is_started(
    make: Callable[..., Path], phone: Phone, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_ndk(monkeypatch)
    with pytest.raises(DeviceNotReachable, match=r"no Android NDK is found; install .* ANDROID_NDK_HOME"):
        bench(make(), device=device)
    assert not (phone.folder / "pids").exists()


def test_only_a_graphics_processor_may_time() -> None:
    run = ModelRun(np.zeros(1, np.float32), (1.0,), (0,))
    for device in (None, "gpu: Adreno 640 (QUALCOMM)"):
        refuse_other_opencl(replace(run, device=device), "adb R58M123")
    with pytest.raises(TimingNotPossible, match=r"no graphics processor there, only pthread-x \(PoCL\), whose times"):
        refuse_other_opencl(replace(run, device="other: pthread-x (PoCL)"), "adb R58M123")
