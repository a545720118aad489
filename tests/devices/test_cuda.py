"""Looking for an NVIDIA graphics processor: what is found, and what is missing, in one line."""

import ctypes
from pathlib import Path

import pytest

from natdeploy.devices.cuda import CudaDevice, cuda_folders, need_cuda
from natdeploy.ground.errors import DeviceNotReachable
from tests.compiler.gpu.conftest import cuda_libraries, stand_in_cuda  # noqa: F401


def has_driver() -> bool:
    """Whether NVIDIA's driver is on this machine."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


@pytest.mark.usefixtures("stand_in_cuda")
def test_what_the_driver_finds_is_named() -> None:
    found = need_cuda()
    assert found == CudaDevice("Stand-in H100", "sm_90") and found.unit == "gpu: Stand-in H100 (CUDA, sm_90)"


@pytest.mark.skipif(has_driver(), reason="NVIDIA's driver is on this machine")
def test_without_a_driver_it_says_where_to_go() -> None:
    with pytest.raises(DeviceNotReachable, match=r"no NVIDIA driver \(libcuda\.so\.1\).* run natdeploy on the machine"):
        need_cuda()


def test_a_driver_that_cannot_be_loaded_is_no_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "libcuda.so.1").write_text("not a library")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    with pytest.raises(DeviceNotReachable) as refused:
        need_cuda()
    assert "cannot be loaded on this machine" in str(refused.value) and len(str(refused.value).splitlines()) == 1


def test_the_toolkit_that_is_named_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CUDA_PATH", str(tmp_path / "path"))
    assert list(cuda_folders())[:2] == [tmp_path / "home", tmp_path / "path"]
    packages = tmp_path / "site" / "nvidia" / "cu13"
    packages.mkdir(parents=True)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert packages in cuda_folders()
