import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from natdeploy.devices.opencl import need_opencl
from natdeploy.ground.errors import DeviceNotReachable


def reason_against_opencl() -> str | None:
    """Why OpenCL does not run on this machine, if it does not."""
    try:
        need_opencl()
    except DeviceNotReachable as error:
        return str(error)
    return None


needs_opencl = pytest.mark.skipif(
    reason_against_opencl() is not None, reason="needs OpenCL: apt install pocl-opencl-icd"
)


@pytest.fixture(scope="session", autouse=True)
def pocl_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """PoCL's compiled kernels: kept within the session, so that two instances of one model compile them once."""
    with pytest.MonkeyPatch.context() as patch:
        folder = Path(os.environ.get("POCL_CACHE_DIR") or tmp_path_factory.mktemp("pocl"))
        patch.setenv("POCL_CACHE_DIR", str(folder))
        yield folder


#: Stand-ins for nvcc, for NVIDIA's driver and for the runtime library above it; see each of them.
CUDA_STAND_IN = Path(__file__).parent / "cuda_stand_in"
_LIBRARIES = {
    "libcuda.so.1": ("driver.c", "-ldl"),
    "libcudart.so.13": ("runtime.c", f"-Wl,--version-script={CUDA_STAND_IN / 'runtime.map'}"),
}


@pytest.fixture(scope="session")
def cuda_libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the stand-ins' libraries, which compute on the processor."""
    if shutil.which("gcc") is None or shutil.which("g++") is None:
        pytest.skip("needs gcc and g++: they compile the stand-in for an NVIDIA graphics processor")
    folder = tmp_path_factory.mktemp("cuda")
    for name, (source, *more) in _LIBRARIES.items():
        flags = ["-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", f"-Wl,-soname,{name}"]
        subprocess.run(["gcc", *flags, "-o", folder / name, CUDA_STAND_IN / source, *more], check=True)
    return folder


@pytest.fixture
def stand_in_cuda(cuda_libraries: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An NVIDIA graphics processor that TVM's own CUDA runtime takes for one: Stand-in H100, sm_90."""
    monkeypatch.setenv("LD_LIBRARY_PATH", str(cuda_libraries))
    monkeypatch.setenv("PATH", f"{CUDA_STAND_IN}{os.pathsep}{os.environ['PATH']}")
    return monkeypatch
