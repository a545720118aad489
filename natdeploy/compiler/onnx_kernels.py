"""Convolutions of ONNX models on natdeploy's own kernels, where these match."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from natdeploy.compiler.kernels.isa import Isa
from natdeploy.compiler.kernels.kind import Kernel, Schedule, Workload
from natdeploy.compiler.kernels.layout import pad_channels
from natdeploy.compiler.onnx_groups import Group, Groups, make_group
from natdeploy.compiler.onnx_jobs import BLOCKED, Bound, layout_of
from natdeploy.compiler.onnx_model import OnnxModel, attributes
from natdeploy.compiler.plan import View

_ACTIVATIONS = {"Relu": "relu", "HardSwish": "hswish"}


@dataclass(frozen=True)
class OwnKernels:
    """natdeploy's own kernels as a plan uses them: for which vectors, and what chooses their tiles."""

    isa: Isa
    choose: Callable[[Workload, Isa], Schedule]

    def kernel(self, workload: Workload) -> Kernel:
        """The kernel of a workload."""
        return Kernel(workload, self.choose(workload, self.isa), self.isa)


def bind_own(model: OnnxModel, groups: Groups, group: Group, own: OwnKernels) -> tuple[Group, Bound] | None:
    """The first nodes of a group that one own kernel computes, and that kernel in its place; None where none matches.

    What a kernel takes: one image, weights known now, an odd square filter centred on its pixel (padding on all sides
    alike), no dilation; then an activation, then a sum with another image.
    """
    conv = group.nodes[0]
    window = _window(model, conv) if conv.op_type == "Conv" else None
    if window is None:
        return None
    source, result = conv.input[0], conv.output[0]
    weight = model.constants[conv.input[1]]
    bias = model.constants[conv.input[2]] if len(conv.input) > 2 else np.zeros(len(weight), np.float32)
    depthwise = weight.shape[1] == 1 and attributes(conv).get("group", 1) == window["in_c"] == len(weight) > 1
    activation, residual, count = _followers(model, groups, group, sums=not depthwise)
    blocked = layout_of(model, groups, source).startswith(BLOCKED)
    if not layout_of(model, groups, group.nodes[count - 1].output[0]).startswith(BLOCKED):
        return None
    workload = _workload(window, len(weight), blocked, depthwise, attributes(conv).get("group", 1))
    workload["activation"] = activation
    if workload["kind"] != "depthwise":
        workload["residual"] = residual is not None
    kernel = own.kernel(workload)
    first = make_group(model, group.nodes[:count])
    packed = {
        f"{result}.{kernel.symbol}.weight": kernel.pack(weight.astype(np.float32)),
        f"{result}.{kernel.symbol}.bias": pad_channels(bias.astype(np.float32), own.isa.lanes),
    }
    arguments = (source, *packed, *([residual] if residual else []), *first.writes)
    return first, Bound(kernel, arguments, tuple(map(View, kernel.shapes)), packed, kernel.parts)


def _window(model: OnnxModel, conv: Any) -> dict[str, int] | None:
    """Sizes of a convolution of one image by a centred odd square filter; None for any other."""
    said = attributes(conv)
    value, result = model.values.get(conv.input[0]), model.values[conv.output[0]]
    if value is None or len(value.shape) != 4 or value.shape[0] != 1:
        return None
    if any(name not in model.constants for name in conv.input[1:]):
        return None
    _, in_c, in_h, in_w = value.shape
    *_, size, width = model.constants[conv.input[1]].shape
    strides = list(said.get("strides", [1, 1]))
    centred = size == width and size % 2 == 1 and list(said.get("pads", [0] * 4)) == [size // 2] * 4
    plain = set(said.get("dilations", [1])) == {1} and said.get("auto_pad", b"NOTSET") == b"NOTSET"
    if not centred or not plain or strides[0] != strides[1]:
        return None
    _, _, out_h, out_w = result.shape
    return {
        **{"in_c": in_c, "in_h": in_h, "in_w": in_w, "out_h": out_h, "out_w": out_w},
        **{"kernel": size, "stride": strides[0]},
    }


def _workload(window: dict[str, int], out_c: int, blocked: bool, depthwise: bool, groups: int) -> Workload:
    """What an own kernel is asked for, besides what follows."""
    sizes = {field: size for field, size in window.items() if field != "in_c"}
    in_c, pixels = window["in_c"], window["in_h"] * window["in_w"]
    if depthwise and blocked:
        return {"kind": "depthwise", "c": in_c, **sizes}
    if groups != 1:
        size = {"in_c": in_c, "out_c": out_c, "groups": groups, "planar": not blocked}
        return {"kind": "grouped", **size, **sizes}
    if window["kernel"] == window["stride"] == 1 and blocked:
        return {"kind": "gemv" if pixels == 1 else "gemm", "m": pixels, "k": in_c, "n": out_c}
    return {"kind": "conv", "in_c": in_c, "out_c": out_c, "planar": not blocked, **sizes}


def _followers(model: OnnxModel, groups: Groups, group: Group, *, sums: bool) -> tuple[str, str | None, int]:
    """The activation and the residual that follow the convolution, and how many nodes that makes, itself included."""
    activation, residual, count = "none", None, 1
    nodes = group.nodes
    if len(nodes) > count and (found := _activation(nodes[count])) and _only_reader(nodes, count):
        activation, count = found, count + 1
    if sums and len(nodes) > count and nodes[count].op_type == "Add" and _only_reader(nodes, count):
        own, shape = nodes[count - 1].output[0], model.values[nodes[count].output[0]].shape
        others = [name for name in nodes[count].input if name != own]
        if len(others) == 1 and others[0] in model.values and model.values[others[0]].shape == shape:
            layout = layout_of(model, groups, others[0])
            if layout.startswith(BLOCKED):
                residual, count = others[0], count + 1
    return activation, residual, count


def _activation(node: Any) -> str | None:
    """What kernels call an activation, or None for one that they lack."""
    if node.op_type == "HardSigmoid":
        said = attributes(node)
        usual = abs(said.get("alpha", 0.2) - 1 / 6) < 1e-6 and said.get("beta", 0.5) == 0.5
        return "hsigmoid" if usual else None
    return _ACTIVATIONS.get(node.op_type)


def _only_reader(nodes: Sequence[Any], index: int) -> bool:
    """Whether no node of the group but this one reads what the node before it writes."""
    written = nodes[index - 1].output[0]
    return written in nodes[index].input and all(written not in node.input for node in nodes[index + 1 :])
