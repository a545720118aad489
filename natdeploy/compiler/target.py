"""Targets: TVM's dictionaries, checked before anything is started, and what the linker calls the same machine."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any

from natdeploy.compiler.gpu.target import LANGUAGES, check_gpu_target, is_gpu
from natdeploy.ground.errors import BadInput

#: Processor (the first part of an LLVM triple) to its name for zig, and the oldest glibc to link for.
_ZIG_PROCESSORS = {"x86_64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64", "armv7": "arm", "armv7l": "arm"}
_GLIBC = "2.17"
_FIELDS = {"kind": str, "mtriple": str, "mcpu": str, "mattr": (list, tuple), "num-cores": int}


def check_target(target: Mapping[str, Any]) -> dict[str, Any]:
    """A complete copy of an ``llvm`` target, or of a graphics processor's. Raises BadInput naming the field at fault.

    The number of cores is dropped: object code does not depend on it.
    """
    if is_gpu(target):
        return check_gpu_target(target)
    if not isinstance(target, Mapping):
        raise BadInput(f"target: expected a dictionary such as {{'kind': 'llvm', 'mcpu': 'znver4'}}, not {target!r}")
    for field, value in target.items():
        if field not in _FIELDS:
            raise BadInput(f"target: unknown field {field!r}; known: {', '.join(_FIELDS)}")
        if not isinstance(value, _FIELDS[field]):  # type: ignore[arg-type]
            raise BadInput(f"target: field {field!r} has the wrong type: {value!r}")
    if target.get("kind") != "llvm":
        known = ", ".join(map(repr, LANGUAGES))
        raise BadInput(f"target: field 'kind' must be 'llvm', or one of {known}, not {target.get('kind')!r}")
    if not target.get("mcpu") or target["mcpu"] == "native":
        raise BadInput(f"target: field 'mcpu' must be LLVM's name of a processor, not {target.get('mcpu')!r}")
    checked: dict[str, Any] = {"kind": "llvm", "mcpu": target["mcpu"]}
    checked["mtriple"] = target.get("mtriple") or f"{platform.machine()}-linux-gnu"
    if target.get("mattr"):
        checked["mattr"] = [str(feature) for feature in target["mattr"]]
    zig_target(checked)
    return checked


def zig_target(target: Mapping[str, Any], *, static: bool = False) -> str:
    """Zig's name of a checked target's machine: with the triple's own C library, or with musl for a static executable.

    Raises BadInput for one that nothing can be linked for.
    """
    triple = str(target["mtriple"])
    processor, *rest = triple.split("-")
    zig = _ZIG_PROCESSORS.get(processor)
    if zig is None or "linux" not in rest:
        known = ", ".join(f"{name}-linux-gnu" for name in _ZIG_PROCESSORS)
        raise BadInput(f"target: field 'mtriple' {triple!r} cannot be linked; known: {known}")
    musl = static or rest[-1].startswith("musl")
    if zig == "arm":
        return f"arm-linux-{'musleabihf' if musl else f'gnueabihf.{_GLIBC}'}"
    return f"{zig}-linux-{'musl' if musl else f'gnu.{_GLIBC}'}"
