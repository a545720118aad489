"""What a stock-Relax kernel is compiled from: a small dictionary, and the Relax function that it stands for.

A workload is JSON: its ``kind`` and sizes, nothing of its place in a network. Equal workloads share one kernel. Inside
a network activations are channels-last (``[height, width, channels]``), so that vectors run over channels; a network's
own input is channels-first and is brought over by the kind ``channels_last``.

=================  ===================================================================================================
kind               arguments, in order, all float32 (the last is the output)
=================  ===================================================================================================
``channels_last``  ``[c, h, w]``, ``[h, w, c]``
``conv``           ``[1, in_h, in_w, in_c]``, weight ``[k, k, in_c / groups, out_c]`` (depthwise ``[k, k, c, 1]``),
                   bias ``[out_c]``, (residual like the output,) ``[1, out_h, out_w, out_c]``
``matmul``         ``[m, k]``, weight ``[k, n]``, bias ``[n]``, (residual ``[m, n]``,) ``[m, n]``
``pool``           ``[m, c]``, ``[1, c]``: mean over rows
``scale``          ``[m, c]``, ``[1, c]``, ``[m, c]``: product
``add``            ``[m, c]``, ``[m, c]``, ``[m, c]``: sum
=================  ===================================================================================================

Only :func:`relax_module` needs TVM; it is called in a child process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from natdeploy.ground.files import content_key

Workload = dict[str, Any]


def symbol(workload: Workload) -> str:
    """The kernel's name in plans and object files, unique by content."""
    return f"{workload['kind']}_{content_key(workload)[:16]}"


def argument_shapes(workload: Workload) -> tuple[tuple[int, ...], ...]:
    """Shapes of the kernel's arguments in order, the output last."""
    kind = workload["kind"]
    if kind == "channels_last":
        c, h, w = workload["c"], workload["h"], workload["w"]
        return (c, h, w), (h, w, c)
    if kind in ("pool", "scale", "add"):
        full, row = (workload["m"], workload["c"]), (1, workload["c"])
        return {"pool": (full, row), "scale": (full, row, full), "add": (full, full, full)}[kind]
    data: tuple[int, ...]
    weight: tuple[int, ...]
    out: tuple[int, ...]
    if kind == "matmul":
        m, k, n = workload["m"], workload["k"], workload["n"]
        data, weight, out = (m, k), (k, n), (m, n)
    else:
        data = (1, workload["in_h"], workload["in_w"], workload["in_c"])
        weight = conv_weight_shape(workload)
        out = (1, workload["out_h"], workload["out_w"], workload["out_c"])
    residual = (out,) if workload["residual"] else ()
    return (data, weight, out[-1:], *residual, out)


def conv_weight_shape(workload: Workload) -> tuple[int, int, int, int]:
    """``[k, k, in_c / groups, out_c]``; depthwise ``[k, k, c, 1]``, so that channels stay innermost."""
    k, in_c, out_c, groups = (workload[field] for field in ("kernel", "in_c", "out_c", "groups"))
    if is_depthwise(workload):
        return (k, k, out_c, 1)
    return (k, k, in_c // groups, out_c)


def is_depthwise(workload: Workload) -> bool:
    """Whether each channel of a ``conv`` is convolved on its own."""
    return workload["groups"] == workload["in_c"] == workload["out_c"] and workload["groups"] > 1


def relax_module(workload: Workload) -> Any:
    """An IRModule whose Relax function ``main`` computes the workload."""
    from tvm import relax

    *shapes, _ = argument_shapes(workload)
    params = [relax.Var(f"arg{i}", relax.TensorType(shape, "float32")) for i, shape in enumerate(shapes)]
    builder = relax.BlockBuilder()
    with builder.function("main", params):
        with builder.dataflow():
            value = builder.emit_output(_body(workload, params, builder.emit))
        builder.emit_func_output(value)
    return builder.get()


def _body(workload: Workload, args: list[Any], emit: Callable[[Any], Any]) -> Any:
    """The Relax expression of the workload's output."""
    from tvm.relax import op

    kind = workload["kind"]
    if kind == "channels_last":
        return emit(op.permute_dims(args[0], [1, 2, 0]))
    if kind == "pool":
        return emit(op.mean(args[0], axis=0, keepdims=True))
    if kind == "scale":
        return emit(op.multiply(args[0], args[1]))
    if kind == "add":
        return emit(op.add(args[0], args[1]))
    if kind == "matmul":
        value = emit(op.matmul(args[0], args[1]))
    else:
        value = emit(
            op.nn.conv2d(
                args[0],
                args[1],
                strides=workload["stride"],
                padding=workload["kernel"] // 2,
                groups=workload["groups"],
                data_layout="NHWC",
                kernel_layout="HWOI" if is_depthwise(workload) else "HWIO",
                out_layout="NHWC",
            )
        )
    value = _activate(emit(op.add(value, args[2])), workload["activation"], emit)
    return emit(op.add(value, args[3])) if workload["residual"] else value


def _activate(x: Any, activation: str, emit: Callable[[Any], Any]) -> Any:
    """relu, or the hard sigmoid relu6(x + 3) / 6, or x times that."""
    from tvm import relax
    from tvm.relax import op

    if activation == "none":
        return x
    if activation == "relu":
        return emit(op.nn.relu(x))
    gate = emit(op.clip(emit(op.add(x, relax.const(3.0, "float32"))), 0, 6))
    if activation == "hswish":
        gate = emit(op.multiply(x, gate))
    return emit(op.multiply(gate, relax.const(1 / 6, "float32")))
