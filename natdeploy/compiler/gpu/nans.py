"""Maximum and minimum that keep a NaN, as torch does. Imported in child processes only (needs TVM).

OpenCL leaves ``max`` and ``min`` of a NaN undefined, and CUDA and Metal take the other number: a rectified NaN is 0.
"""

from __future__ import annotations

from typing import Any

from tvm import tirx
from tvm_ffi import structural_map


def keep_nans(statement: Any) -> Any:
    """A statement whose maxima and minima of floating-point numbers are comparisons that a NaN passes through."""
    return structural_map(statement, [(tirx.Max, _maximum), (tirx.Min, _minimum)])


def _maximum(node: Any) -> Any:
    return _chosen(node, tirx.LT, tirx.GE)


def _minimum(node: Any) -> Any:
    return _chosen(node, tirx.GT, tirx.LE)


def _chosen(node: Any, passes: Any, stays: Any) -> Any:
    """``b if a passes b else a`` where one of them is a constant, which is then ``b``; else a NaN of either is kept."""
    if "float" not in str(node.ty):
        return node
    a, b = (node.b, node.a) if _is_constant(node.a) else (node.a, node.b)
    if _is_constant(b):
        return tirx.Select(passes(a, b), b, a)
    return tirx.Select(tirx.Or(stays(a, b), tirx.NE(a, a)), a, b)


def _is_constant(value: Any) -> bool:
    return isinstance(value.value if isinstance(value, tirx.Broadcast) else value, tirx.FloatImm)
