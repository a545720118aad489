"""Whether this machine has an NVIDIA graphics processor that TVM's CUDA runtime can use, and which."""

from __future__ import annotations

import ctypes
import os
import re
import site
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from natdeploy.devices.llvm import NOT_NEEDED_BY_TVM
from natdeploy.ground.errors import ChildFailed, DeviceNotReachable
from natdeploy.ground.processes import ChildWorker

_LIMIT_S = 120.0
#: TVM's library for CUDA, beside its other ones. TVM leaves it out without a word where it cannot be loaded.
_RUNTIME = "libtvm_runtime_cuda.so"
#: The driver, which only comes with a graphics processor.
_DRIVER = "libcuda.so.1"
_MISSING = re.compile(r"(lib[\w.+-]+\.so[.\d]*): cannot open shared object file")
#: More libraries than these it does not ask for.
_MOST_LIBRARIES = 8


@dataclass(frozen=True)
class CudaDevice:
    """A graphics processor.

    Attributes:
        name: what NVIDIA calls it, for instance NVIDIA A100-SXM4-40GB.
        arch: what code is compiled for, for instance sm_80.
    """

    name: str
    arch: str

    @property
    def unit(self) -> str:
        """How reports name it."""
        return f"gpu: {self.name} (CUDA, {self.arch})"


def need_cuda() -> CudaDevice:
    """The first graphics processor of this machine. Raises DeviceNotReachable, saying what is missing, in one line."""
    with ChildWorker("looking for CUDA", without=NOT_NEEDED_BY_TVM) as child:
        return find_cuda(child)


def find_cuda(child: ChildWorker) -> CudaDevice:
    """As :func:`need_cuda`, in a child that has loaded the drivers then."""
    try:
        return child.call(first_cuda_device, timeout_s=_LIMIT_S)
    except ChildFailed as error:
        raise DeviceNotReachable(f"CUDA does not work on this machine: {error}") from None


def first_cuda_device() -> CudaDevice:
    """As :func:`need_cuda`, in this process: it loads drivers, so call it in a child."""
    load_cuda_runtime()
    import tvm

    device = tvm.cuda(0)
    if not device.exist:
        raise DeviceNotReachable(
            "this machine has NVIDIA's driver and no graphics processor that it can use; see what nvidia-smi says (a "
            "driver that is older than TVM's CUDA runtime finds none either)"
        )
    return CudaDevice(str(device.device_name), "sm_" + str(device.compute_version).replace(".", ""))


def load_cuda_runtime() -> None:
    """Make TVM know CUDA in this process. Raises DeviceNotReachable, with advice, where a library is missing."""
    import tvm_ffi
    from tvm import libinfo

    if tvm_ffi.get_global_func("device_api.cuda", allow_missing=True) is not None:
        return
    found = (Path(folder, _RUNTIME) for folder in map(str, libinfo.package_lib_paths()))
    runtime = next((path for path in found if path.is_file()), None)
    if runtime is None:
        raise DeviceNotReachable(f"this machine's TVM has no {_RUNTIME}, so it cannot run CUDA")
    for _ in range(_MOST_LIBRARIES):
        try:
            ctypes.CDLL(str(runtime))
        except OSError as error:
            _load_missing(" ".join(str(error).split()))
            continue
        if tvm_ffi.get_global_func("device_api.cuda", allow_missing=True) is not None:
            return
        break
    raise DeviceNotReachable(f"{runtime}: was loaded, and TVM does not know CUDA; install apache-tvm again")


def _load_missing(complaint: str) -> None:
    """Load the library that a loader complains of from where pip and NVIDIA's packages put it."""
    missing = _MISSING.search(complaint)
    if missing is None:
        raise DeviceNotReachable(f"TVM's CUDA runtime cannot be loaded on this machine: {complaint[:200]}")
    name = missing.group(1)
    for folder in _library_folders():
        if (folder / name).is_file():
            try:
                ctypes.CDLL(str(folder / name), mode=ctypes.RTLD_GLOBAL)
            except OSError:
                continue
            return
    if name == _DRIVER:
        raise DeviceNotReachable(
            f"this machine has no NVIDIA driver ({_DRIVER}) to run CUDA with; run natdeploy on the machine that the "
            "graphics processor is in"
        )
    raise DeviceNotReachable(
        f"TVM's CUDA runtime needs {name}, which is not on this machine; install NVIDIA's CUDA toolkit of that "
        "version, or the part of it: pip install nvidia-cuda-runtime"
    )


def cuda_folders() -> Iterator[Path]:
    """Where CUDA toolkits may lie: named by ``CUDA_HOME`` or ``CUDA_PATH``, below ``/usr/local``, pip's packages."""
    for variable in ("CUDA_HOME", "CUDA_PATH"):
        if named := os.environ.get(variable):
            yield Path(named)
    yield Path("/usr/local/cuda")
    yield from sorted(Path("/usr/local").glob("cuda-*"), reverse=True)
    for packages in dict.fromkeys([*sys.path, *site.getsitepackages()]):
        yield from sorted(Path(packages or ".").glob("nvidia/c*"), reverse=True)


def _library_folders() -> Iterator[Path]:
    for folder in cuda_folders():
        yield from (folder / "lib64", folder / "lib")
