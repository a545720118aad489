"""``doctor``: what of the tools around natdeploy is usable here, and how to get what is missing."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from natdeploy.verbs.result import Result

_SECONDS = 120.0


@dataclass(frozen=True)
class Check:
    """One tool.

    Attributes:
        name: the tool.
        usable: whether it works here.
        required: whether the main job on this machine needs it.
        purpose: what natdeploy uses it for.
        detail: version, or what went wrong, in one line.
        remedy: how to get it; empty when it is usable.
    """

    name: str
    usable: bool
    required: bool
    purpose: str
    detail: str
    remedy: str


@dataclass(frozen=True)
class DoctorResult(Result):
    """All checks, and whether the main job can run on this machine."""

    ready: bool
    checks: tuple[Check, ...]


def doctor() -> DoctorResult:
    """Try each tool; nothing is changed and a tool that crashes is a finding, not an error."""
    reinstall = "pip install --force-reinstall natdeploy"
    checks = (
        _check("TVM", lambda: _module("tvm"), True, "compiles models", reinstall),
        _check("ONNX Runtime", lambda: _module("onnxruntime"), True, "runs the ONNX form of models", reinstall),
        _check("PyTorch", lambda: _module("torch"), True, "trains supernets", reinstall),
        _check(
            "C compiler (ziglang)",
            lambda: _command([sys.executable, "-m", "ziglang", "version"]),
            True,
            "links compiled models, for this machine and others",
            "pip install ziglang",
        ),
        _check("cache folder", _cache, True, "keeps measurements and compiled kernels", "set NATDEPLOY_HOME"),
        _check(
            "timings of this machine",
            _timings,
            False,
            "predict latencies of networks on it",
            "if nothing else runs now: natdeploy devices retire host, then natdeploy profile",
        ),
        _check("git", lambda: _command(["git", "--version"]), False, "development only", "install the package git"),
        _check("GPU (CUDA)", _cuda, False, "trains supernets faster", "an NVIDIA GPU with its driver; not needed"),
        _check(
            "adb",
            lambda: _command(["adb", "version"]),
            False,
            "reaches Android devices",
            "install Android platform-tools (Debian: apt install adb)",
        ),
        _check(
            "aarch64 emulator (qemu)",
            _qemu,
            False,
            "checks models for ARM devices that are not here",
            "Debian: apt install qemu-user-static",
        ),
        _check(
            "OpenCL",
            _opencl,
            False,
            "checks kernels for graphics processors that are not here",
            "Debian: apt install pocl-opencl-icd ocl-icd-libopencl1",
        ),
        _check(
            "CUDA through TVM",
            _cuda_through_tvm,
            False,
            "runs and times networks on this machine's NVIDIA graphics processor",
            "an NVIDIA GPU with its driver, and NVIDIA's CUDA toolkit with nvcc on PATH",
        ),
        _check(
            "Android NDK",
            _ndk,
            False,
            "links programs for the graphics processors of phones",
            "install it and name its folder: export ANDROID_NDK_HOME=...",
        ),
    )
    return DoctorResult(all(check.usable for check in checks if check.required), checks)


class _Missing(Exception):
    """A tool is not there; the text says what was looked for."""


def _check(name: str, probe: Callable[[], str], required: bool, purpose: str, remedy: str) -> Check:
    from natdeploy.ground.errors import NatdeployError

    try:
        return Check(name, True, required, purpose, probe(), "")
    except (_Missing, NatdeployError) as error:
        return Check(name, False, required, purpose, str(error), remedy)


def _module(name: str) -> str:
    """Version of a library that can be imported; in a child process, so that a crash is a finding."""
    from natdeploy.ground.processes import call_in_child

    return call_in_child(module_version, name, timeout_s=_SECONDS, name=f"import {name}")


def module_version(name: str) -> str:
    """Import a module and say its version. The child's own errors tell of a module that cannot be imported."""
    return str(importlib.import_module(name).__version__)


def _command(command: Sequence[str]) -> str:
    """First line a tool prints when asked for its version."""
    if shutil.which(command[0]) is None:
        raise _Missing(f"{command[0]} is not on PATH")
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _Missing(f"{command[0]}: {error}") from None
    lines = (found.stdout or found.stderr).strip().splitlines()
    if found.returncode != 0:
        raise _Missing(f"{' '.join(command[-2:])} ended with {found.returncode}: {lines[-1] if lines else 'no output'}")
    return lines[0] if lines else "works"


def _cache() -> str:
    """The cache folder, proven writable and with room."""
    from natdeploy.ground.files import cache_root, write_text

    probe = cache_root() / ".doctor"
    write_text(probe, "written by natdeploy doctor\n")
    probe.unlink()
    return f"{cache_root()}, {shutil.disk_usage(cache_root()).free / 2**30:.1f} GiB free"


def _timings() -> str:
    """That timings of this machine are in terms of the speed that it has of late."""
    from natdeploy.devices import device_fingerprint, load_profile
    from natdeploy.ground.files import cache_root
    from natdeploy.measure import MeasurementStore
    from natdeploy.measure.pace import latest_paces

    if not (cache_root() / "measurements.sqlite").is_file():
        return "none yet"
    stored = MeasurementStore().query(device_fingerprint=device_fingerprint(load_profile("host")))
    for pace in latest_paces(stored):
        if pace.slow_baseline:
            raise _Missing(
                f"the reference network of {pace.space} with {pace.runtime} now takes {pace.ratio:.2f} times what it "
                f"took when this machine was first timed (median of {pace.timings}): it was busy then, and latencies "
                "are those of a busy machine"
            )
    return f"{len(stored)} stored"


def _cuda() -> str:
    from natdeploy.ground.processes import call_in_child

    return call_in_child(cuda_device, timeout_s=_SECONDS, name="look for a GPU")


def cuda_device() -> str:
    """Name of the first GPU that PyTorch can use. Raises BadInput when there is none."""
    from natdeploy.ground.errors import BadInput

    torch = importlib.import_module("torch")
    if not torch.cuda.is_available():
        raise BadInput(f"PyTorch {torch.__version__} finds no usable GPU")
    return str(torch.cuda.get_device_name(0))


def _opencl() -> str:
    from natdeploy.devices.opencl import need_opencl

    need_opencl()
    return "works"


def _cuda_through_tvm() -> str:
    try:
        from natdeploy.compiler.gpu.nvcc import find_nvcc, nvcc_version
    except ImportError as error:  # see _ndk
        raise _Missing(str(error)) from None
    from natdeploy.devices.cuda import need_cuda

    found = need_cuda()
    return f"{found.name} ({found.arch}), {nvcc_version(find_nvcc())}"


def _ndk() -> str:
    try:
        from natdeploy.compiler.gpu.ndk import find_ndk
    except ImportError as error:  # the compiler's own packages, of which other checks tell
        raise _Missing(str(error)) from None
    return str(find_ndk())


def _qemu() -> str:
    for name in ("qemu-aarch64-static", "qemu-aarch64"):
        if shutil.which(name):
            return _command([name, "--version"])
    raise _Missing("neither qemu-aarch64-static nor qemu-aarch64 is on PATH")
