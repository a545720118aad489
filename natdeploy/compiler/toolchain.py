"""What compiles and links: versions for provenance and cache keys."""

from __future__ import annotations

from functools import cache
from importlib import metadata
from pathlib import Path

from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import sha256_bytes

#: By kind of artifact: distributions and own sources that decide what it contains.
_COMPILERS = ("apache-tvm", "apache-tvm-ffi", "ziglang")
_DISTRIBUTIONS = {"onnx": ("onnx",), "native": _COMPILERS, "gpu": _COMPILERS}
#: Under which name a plan's tuning record stands among the tools.
TUNING = "natdeploy-tuning"
_SOURCES = {
    "onnx": ("onnx_graph.py",),
    "native": ("*.py", "kernels/*.py", "runtime/*"),
    "gpu": ("*.py", "gpu/*.py", "gpu/host/*", "runtime/*"),
}


def toolchain_versions(kind: str | None = None) -> dict[str, str]:
    """Version of each tool that an artifact of this kind depends on (all tools without one).

    ``natdeploy-<kind>`` is a digest of this package's own generators. Raises BadInput naming a tool that is missing.
    """
    versions: dict[str, str] = {}
    for each in _DISTRIBUTIONS if kind is None else (kind,):
        versions |= {name: _version(name) for name in _DISTRIBUTIONS[each]}
        versions[f"natdeploy-{each}"] = sources_digest(*_SOURCES[each])
    return versions


@cache
def sources_digest(*patterns: str) -> str:
    """Sixteen hex digits over the source files of this room that match the patterns, read once a process."""
    root = Path(__file__).parent
    files = sorted({path for pattern in patterns for path in root.glob(pattern) if path.suffix in (".py", ".c", ".h")})
    return sha256_bytes(b"".join(path.name.encode() + b"\0" + path.read_bytes() for path in files))[:16]


@cache
def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        raise BadInput(f"the package {distribution!r} is not installed; run: pip install {distribution}") from None
