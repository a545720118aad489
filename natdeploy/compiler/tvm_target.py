"""TVM's own object for a target. Imported in child processes only (needs TVM)."""

from __future__ import annotations

import difflib
from typing import Any

import tvm

from natdeploy.ground.errors import BadInput


def resolve(target: dict[str, Any]) -> Any:
    """A checked target as TVM's Target. Raises BadInput for one that TVM refuses or whose processor LLVM lacks."""
    try:
        resolved = tvm.target.Target(target)
        known = tvm.target.codegen.llvm_get_cpu_archlist(resolved)
    except Exception as error:  # TVM raises many kinds for one cause: a target it does not know
        lines = str(error).strip().splitlines()
        raise BadInput(f"target {target}: TVM refuses it: {lines[-1] if lines else error}") from None
    if target["mcpu"] not in known:
        near = difflib.get_close_matches(target["mcpu"], known, 3) or sorted(known)[:3]
        raise BadInput(f"target: field 'mcpu': LLVM knows no {target['mcpu']!r}; close: {', '.join(near)}")
    return resolved


def vector_bits(resolved: Any) -> int:
    """Width of the vectors that code for this target uses; LLVM's own figure says 512 for processors without them."""
    features = tvm.target.codegen.target_has_features
    if str(resolved.attrs["mtriple"]).startswith(("x86_64", "i686")):
        return 512 if features("avx512f", resolved) else 256 if features("avx2", resolved) else 128
    return int(tvm.target.codegen.llvm_get_vector_width(resolved))
