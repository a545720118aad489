"""NVIDIA's compiler, which makes machine code of CUDA kernels where they run."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from natdeploy.compiler.kernel_cache import KernelCache
from natdeploy.devices.cuda import cuda_folders
from natdeploy.ground.errors import BadInput, ChildFailed, DeviceNotReachable
from natdeploy.ground.files import sha256_bytes, write_bytes

_LIMIT_S = 900.0
#: No fast mathematics: it flushes denormal numbers, and its divisions are not those of the reference. TVM declares
#: more variables than it uses.
_FLAGS = ("-cubin", "-O3", "-w")


def find_nvcc() -> Path:
    """The first ``nvcc`` of PATH and of where toolkits lie. Raises DeviceNotReachable, with advice, for none."""
    if found := shutil.which("nvcc"):
        return Path(found)
    for folder in cuda_folders():
        if (folder / "bin" / "nvcc").is_file():
            return folder / "bin" / "nvcc"
    raise DeviceNotReachable(
        "this machine has no nvcc to compile CUDA kernels with; install NVIDIA's CUDA toolkit and put its bin folder "
        "on PATH (or name the toolkit: export CUDA_HOME=...)"
    )


def nvcc_version(nvcc: Path) -> str:
    """The line in which it names its release. Raises DeviceNotReachable where it does not run."""
    said = _run([str(nvcc), "--version"], Path.cwd()).stdout
    return next((line.strip() for line in said.splitlines() if "release" in line), "unknown")


def cubin(source: bytes, arch: str, cache: KernelCache | None = None) -> bytes:
    """Machine code of a file of kernels for one kind of graphics processor (``sm_80``), kept by content.

    Raises DeviceNotReachable without nvcc, BadInput for an arch that is none, ChildFailed where nvcc refuses the code
    or does not know the arch.
    """
    if not re.fullmatch(r"sm_\d+[af]?", arch):
        raise BadInput(f"target: field 'arch': expected sm_ and a number such as sm_80, not {arch!r}")
    nvcc, cache = find_nvcc(), cache or KernelCache()
    key = cache.key("cubin", sha256_bytes(source), arch, nvcc_version(nvcc), list(_FLAGS))
    if (code := cache.get(key)) is None:
        with tempfile.TemporaryDirectory(prefix="natdeploy-cuda-") as folder:
            write_bytes(Path(folder, "kernels.cu"), source)
            done = _run([str(nvcc), *_FLAGS, f"-arch={arch}", "-o", "kernels.cubin", "kernels.cu"], Path(folder))
            if done.returncode:
                raise ChildFailed(f"nvcc -arch={arch} ended with status {done.returncode}: {_complaint(done)}")
            code = Path(folder, "kernels.cubin").read_bytes()
        cache.put(key, code)
    return code


def _run(command: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_LIMIT_S, check=False
        )
    except OSError as error:
        raise DeviceNotReachable(f"{command[0]}: cannot be started: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise ChildFailed(f"{command[0]}: not done after {_LIMIT_S:g} s; it was stopped") from None


def _complaint(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()] or ["no message"]
    return next((line for line in lines if "error" in line or "fatal" in line), lines[-1])[:200]
