"""A bundle of CUDA kernels on this machine's graphics processor: a stand-in for the driver, TVM's own runtime above."""

import importlib
from collections.abc import Callable
from pathlib import Path

import pytest

from natdeploy.deploy import verify_bundle
from natdeploy.devices import load_profile, shipped_profiles_dir
from natdeploy.ground.errors import DeviceNotReachable, VerificationFailed
from natdeploy.verbs import bench
from tests.compiler.gpu.conftest import cuda_libraries, stand_in_cuda  # noqa: F401
from tests.deploy.kernels_bundle import write_kernels_bundle

BENCH = importlib.import_module("natdeploy.deploy.bench")
pytestmark = pytest.mark.usefixtures("home", "stand_in_cuda")


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """Writes a bundle of kernels, as ``build --device`` would."""

    def bundle(device: str, *, error: float = 0.0) -> Path:
        return write_kernels_bundle(tmp_path, load_profile(device), verified="on this machine", error=error)

    return bundle


def test_it_runs_and_is_timed_on_this_machine(make: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BENCH, "SERIES", 2)
    monkeypatch.setattr(BENCH, "REPEATS", 2)
    path = make("host-cuda")
    result = bench(path, device="host-cuda")
    assert result.latency_ms > 0 and result.via == "local" and result.energy.source != "measured"
    manifest = verify_bundle(path).manifest
    assert manifest.verification.verified.startswith("on the device (local ")
    assert [artifact.kind for artifact in manifest.artifacts] == ["source"]


def test_other_outputs_are_refused(make: Callable[..., Path]) -> None:
    path = make("host-cuda", error=0.5)
    with pytest.raises(VerificationFailed, match=r"native/kernels\.cu on the device: outputs differ"):
        bench(path, device="host-cuda")


def test_another_machine_s_is_benched_there(make: Callable[..., Path]) -> None:
    path = make(str(shipped_profiles_dir() / "dgx-a100.yaml"))
    with pytest.raises(
        DeviceNotReachable, match="natdeploy runs CUDA on the machine that the graphics processor is in"
    ):
        bench(path, device="dgx-a100")
