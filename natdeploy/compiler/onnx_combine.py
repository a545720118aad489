"""Maxima, minima, sums and means of several tensors as operators of two. Imported in child processes only (needs TVM).

TVM's importer lays the tensors into one of a further axis and reduces that, which its change of layouts does not
understand where they are images.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial, reduce
from typing import Any

from tvm import relax
from tvm.relax.dpl import is_op, rewrite_call, wildcard

_PAIRWISE = {"max": relax.op.maximum, "min": relax.op.minimum, "sum": relax.op.add, "mean": relax.op.add}


def pairwise(function: Any) -> Any:
    """A Relax function with each reduction of stacked tensors as operators of two, one after another."""
    for name in _PAIRWISE:
        stacked = is_op("relax.stack")(wildcard())
        bound = relax.analysis.get_var2val(function)
        function = rewrite_call(is_op(f"relax.{name}")(stacked), partial(_combined, name, stacked, bound), function)
    return function


def _combined(name: str, stacked: Any, bound: Mapping[Any, Any], call: Any, found: Mapping[Any, Any]) -> Any:
    stack = found[stacked]
    if int(stack.attrs.axis) != 0 or [int(axis) for axis in call.attrs.axis or ()] != [0] or call.attrs.keepdims:
        return call
    parts = [_before_broadcast(part, bound) for part in stack.args[0].fields]
    whole = reduce(_PAIRWISE[name], parts)
    return relax.op.divide(whole, relax.const(len(parts), parts[0].ty.dtype)) if name == "mean" else whole


def _before_broadcast(part: Any, bound: Mapping[Any, Any]) -> Any:
    """Operators of two broadcast on their own, and a number alone stays one."""
    value = bound.get(part)
    return value.args[0] if isinstance(value, relax.Call) and value.op.name == "relax.broadcast_to" else part
