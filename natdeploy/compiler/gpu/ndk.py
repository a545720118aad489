"""Android's NDK, where one is installed: only its compiler links programs that may load a phone's own libraries."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from natdeploy.ground.errors import ChildFailed, DeviceNotReachable

#: Android 7: the oldest that the programs run on.
API_LEVEL = 24
_TIMEOUT_S = 600.0
_ADVICE = (
    "install Android's NDK and name its folder: export ANDROID_NDK_HOME=... (a static program, which needs none, "
    "cannot load a phone's OpenCL library)"
)


def find_ndk() -> Path:
    """The folder named by ``ANDROID_NDK_HOME`` or ``ANDROID_NDK_ROOT``, or the newest below ``ANDROID_HOME``.

    Raises DeviceNotReachable, with advice, where there is none.
    """
    for variable in ("ANDROID_NDK_HOME", "ANDROID_NDK_ROOT"):
        if named := os.environ.get(variable):
            if not (Path(named) / "toolchains").is_dir():
                raise DeviceNotReachable(f"{variable}={named}: no NDK is there; {_ADVICE}")
            return Path(named)
    home = os.environ.get("ANDROID_HOME") or os.environ.get("ANDROID_SDK_ROOT")
    found = sorted(Path(home, "ndk").glob("*/toolchains"), key=_version) if home else []
    if not found:
        raise DeviceNotReachable(f"no Android NDK is found; {_ADVICE}")
    return found[-1].parent


def run_ndk_clang(mtriple: str, arguments: Sequence[str], folder: Path) -> None:
    """Run the NDK's clang for a triple in ``folder``. Raises DeviceNotReachable without an NDK, ChildFailed."""
    ndk, machine = find_ndk(), mtriple.split("-")[0].replace("arm64", "aarch64")
    system = "linux-androideabi" if machine.startswith("arm") else "linux-android"
    name = f"{machine.replace('armv7l', 'armv7').replace('armv7', 'armv7a')}-{system}{API_LEVEL}-clang"
    compilers = sorted(ndk.glob(f"toolchains/llvm/prebuilt/*/bin/{name}"))
    if not compilers:
        raise DeviceNotReachable(f"{ndk}: holds no toolchains/llvm/prebuilt/*/bin/{name}; {_ADVICE}")
    try:
        done = subprocess.run(
            [str(compilers[0]), *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ChildFailed(f"{compilers[0]}: {error}") from None
    if done.returncode:
        lines = [line for line in done.stderr.decode(errors="replace").splitlines() if line.strip()] or ["no message"]
        error_line = next((line for line in lines if "error" in line), lines[-1])
        raise ChildFailed(f"{name} ended with status {done.returncode}: {error_line.strip()}")


def _version(toolchains: Path) -> list[int]:
    return [int(part) for part in toolchains.parent.name.split(".") if part.isdigit()]
