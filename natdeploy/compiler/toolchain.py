"""What compiles and links: versions for provenance and cache keys, and the C compiler from PyPI."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from natdeploy.ground.errors import BadInput, ChildFailed
from natdeploy.ground.files import cache_root, readable_disk_errors, sha256_bytes

#: By kind of artifact: distributions and own sources that decide what it contains.
_DISTRIBUTIONS = {"onnx": ("onnx",), "native": ("apache-tvm", "apache-tvm-ffi", "ziglang")}
_SOURCES = {"onnx": ("onnx_graph.py",), "native": ("[!o]*.py", "runtime/*")}
_ZIG_TIMEOUT_S = 600.0  # the first call builds parts of a C library


def toolchain_versions(kind: str | None = None) -> dict[str, str]:
    """Version of each tool that an artifact of this kind depends on (all tools without one).

    ``natdeploy-<kind>`` is a digest of this package's own generators. Raises BadInput naming a tool that is missing.
    """
    versions: dict[str, str] = {}
    for each in _DISTRIBUTIONS if kind is None else (kind,):
        versions |= {name: _version(name) for name in _DISTRIBUTIONS[each]}
        versions[f"natdeploy-{each}"] = sources_digest(*_SOURCES[each])
    return versions


def sources_digest(*patterns: str) -> str:
    """Sixteen hex digits over the source files of this room that match the patterns."""
    root = Path(__file__).parent
    files = sorted({path for pattern in patterns for path in root.glob(pattern) if path.suffix in (".py", ".c", ".h")})
    return sha256_bytes(b"".join(path.name.encode() + b"\0" + path.read_bytes() for path in files))[:16]


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
            [sys.executable, "-m", "ziglang", *arguments],
            cwd=folder,
            env={**os.environ, **caches},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ZIG_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ChildFailed(f"zig {arguments[0]}: not done after {_ZIG_TIMEOUT_S:g} s") from None
    if done.returncode:
        lines = [line for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
        if any("NoSpaceLeft" in line or "No space left" in line for line in lines):
            raise BadInput(f"{folder}: the disk is full; free some space and run the same command again")
        error = next((line for line in lines if "error" in line), lines[-1] if lines else "no message")
        raise ChildFailed(f"zig {arguments[0]} ended with status {done.returncode}: {error.strip()}")


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        raise BadInput(f"the package {distribution!r} is not installed; run: pip install {distribution}") from None
