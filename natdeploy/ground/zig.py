"""The C and C++ compiler that comes from PyPI (zig), and libraries compiled once for this machine."""

from __future__ import annotations

import os
import platform
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from natdeploy.ground.errors import BadInput, ChildFailed
from natdeploy.ground.files import cache_root, content_key, readable_disk_errors, sha256_file

_TIMEOUT_S = 600.0  # the first call builds parts of a C library
_CPU_FIELDS = ("vendor_id", "model name", "cpu family", "model", "flags", "Features", "CPU part")


def run_zig(arguments: Sequence[str], folder: Path) -> None:
    """Run ``zig`` in ``folder``. Raises ChildFailed with its first error, or when it takes too long.

    What zig builds of a C library stays in the cache folder, or in ``ZIG_GLOBAL_CACHE_DIR`` where that is set.
    """
    shared = Path(os.environ.get("ZIG_GLOBAL_CACHE_DIR") or cache_root() / "zig")
    with readable_disk_errors(shared):
        shared.mkdir(parents=True, exist_ok=True)
    caches = {"ZIG_GLOBAL_CACHE_DIR": str(shared), "ZIG_LOCAL_CACHE_DIR": str(folder / ".zig-cache")}
    try:
        done = subprocess.run(
            [_zig(), *arguments],
            cwd=folder,
            env={**os.environ, **caches},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ChildFailed(f"zig {arguments[0]}: not done after {_TIMEOUT_S:g} s") from None
    if done.returncode:
        lines = [line for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
        if any("NoSpaceLeft" in line or "No space left" in line for line in lines):
            raise BadInput(f"{folder}: the disk is full; free some space and run the same command again")
        error = next((line for line in lines if "error" in line), lines[-1] if lines else "no message")
        raise ChildFailed(f"zig {arguments[0]} ended with status {done.returncode}: {error.strip()}")


@cache
def _zig() -> str:
    """The program itself: ``python -m ziglang`` starts an interpreter first, for as long as a small file takes."""
    found = find_spec("ziglang")
    if found is None or found.origin is None:
        raise ChildFailed("the package 'ziglang' is not installed; run: pip install ziglang")
    return str(Path(found.origin).parent / ("zig.exe" if os.name == "nt" else "zig"))


def host_library(source: Path, arguments: Sequence[str]) -> Path:
    """Shared library of one C or C++ source, compiled for this processor once and kept in the cache folder.

    Raises ChildFailed where it does not compile or zig is missing.
    """
    try:
        zig = metadata.version("ziglang")
    except metadata.PackageNotFoundError:
        raise ChildFailed("the package 'ziglang' is not installed; run: pip install ziglang") from None
    key = {"source": sha256_file(source), "arguments": list(arguments), "zig": zig, "cpu": _cpu()}
    library = cache_root() / "host_libraries" / f"{source.stem}-{content_key(key)[:16]}.so"
    if not library.exists():
        with readable_disk_errors(library):
            library.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".building-", dir=library.parent) as folder:
                language = "cc" if source.suffix == ".c" else "c++"
                flags = ["-O3", "-mcpu=native", "-shared", "-fPIC", *arguments]
                run_zig([language, *flags, "-o", library.name, str(source)], Path(folder))
                os.replace(Path(folder) / library.name, library)
    return library


def _cpu() -> dict[str, str]:
    """What tells processors apart whose native code differs."""
    fields = {"machine": platform.machine(), "system": platform.system()}
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        return {**fields, "processor": platform.processor()}
    pairs = (line.partition(":") for line in lines)
    return fields | {name.strip(): value.strip() for name, _, value in pairs if name.strip() in _CPU_FIELDS}
