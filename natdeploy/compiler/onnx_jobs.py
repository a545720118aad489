"""A group of ONNX nodes as a job for the compiler: a small ONNX model of its own, equal for equal work.

Names are replaced by places (``a0``, ``a1``), so that groups that compute the same share one kernel, wherever they
stand. Large constants are arguments; numbers that decide shapes or stand alone are part of the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from natdeploy.compiler.kernels.kind import Kernel
from natdeploy.compiler.onnx_groups import Group, Groups, as_number
from natdeploy.compiler.onnx_model import DTYPES, OnnxModel, Value, attributes
from natdeploy.compiler.onnx_operators import CONFIGURED, IMMEDIATE
from natdeploy.compiler.onnx_read import unsupported
from natdeploy.compiler.plan import View
from natdeploy.ground.files import content_key, sha256_bytes

_CODES = {name: code for code, name in DTYPES.items()}
#: How an argument is stored, compared with ONNX's order of axes: the same; images channels-last; filters with output
#: channels innermost; filters of depthwise convolutions likewise; matrices column by column.
PLAIN, LAST, FILTER, DEPTHWISE, COLUMNS = "plain", "last", "filter", "depthwise", "columns"
#: In blocks of channels; the number of lanes follows.
BLOCKED = "blocked"
AXES = {LAST: (0, 2, 3, 1), FILTER: (2, 3, 1, 0), DEPTHWISE: (2, 3, 0, 1), COLUMNS: (1, 0)}


@dataclass(frozen=True)
class Job:
    """One kernel to be compiled.

    Attributes:
        model: serialised ONNX model; its inputs and then its outputs are the kernel's arguments.
        layouts: how each argument is stored.
        label: the model, operator and node, for messages; not part of what is compiled.
    """

    model: bytes
    layouts: tuple[str, ...]
    label: str

    @property
    def symbol(self) -> str:
        """The kernel's name, unique by content."""
        nodes = onnx.load_model_from_string(self.model).graph.node
        key = content_key([sha256_bytes(self.model), list(self.layouts)])
        return f"{'_'.join(node.op_type.lower() for node in nodes[:3])}_{key[:16]}"


@dataclass(frozen=True)
class Bound:
    """A kernel in its place: what it reads and writes there.

    Attributes:
        kernel: what is compiled.
        arguments: names of the values and constants behind the arguments, in order, outputs last.
        views: how the kernel sees them.
        packed: constants in the order in which the kernel reads them, by name in the plan.
        parts: pieces of its work that threads may share.
    """

    kernel: Job | Kernel
    arguments: tuple[str, ...]
    views: tuple[View, ...]
    packed: dict[str, np.ndarray]
    parts: int = 1


def layout_of(model: OnnxModel, groups: Groups, name: str) -> str:
    """How a value is stored."""
    if name not in groups.images:
        return PLAIN
    return f"{BLOCKED}{groups.lanes}" if groups.lanes and model.values[name].shape[0] == 1 else LAST


def stored_shape(shape: tuple[int, ...], layout: str) -> tuple[int, ...]:
    """The shape in memory of a tensor of ONNX's ``shape``."""
    if layout.startswith(BLOCKED):
        _, c, h, w = shape
        lanes = int(layout.removeprefix(BLOCKED))
        return (-(-c // lanes), h * w, lanes)
    return tuple(shape[axis] for axis in AXES[layout]) if layout != PLAIN else shape


def bind(model: OnnxModel, groups: Groups, group: Group) -> Bound:
    """The job of a group."""
    places: dict[str, str] = {}
    constant_places: dict[str, str] = {}
    infos: list[Any] = []
    settings: list[Any] = []
    arguments: list[str] = []
    layouts: list[str] = []
    views: list[View] = []
    packed: dict[str, np.ndarray] = {}
    nodes = []

    def argue(name: str, value: Value, layout: str) -> str:
        place = f"a{len(infos)}"
        infos.append(helper.make_tensor_value_info(place, _CODES[value.dtype], value.shape))
        arguments.append(name)
        layouts.append(layout)
        views.append(View(stored_shape(value.shape, layout), value.dtype))
        return place

    def place(node: Any, slot: int, name: str) -> str:
        """Where a node finds what it reads."""
        if name not in places and name in model.values:
            places[name] = argue(name, model.values[name], layout_of(model, groups, name))
        if name in places:
            return places[name]
        array = model.constants[name]
        rank = len(model.values[node.output[0]].shape)
        if node.op_type in IMMEDIATE:
            array = as_number(array, rank)
        if (array.ndim == 0 and node.op_type in IMMEDIATE) or (slot > 0 and node.op_type in CONFIGURED):
            setting = f"s{len(settings)}"
            settings.append(numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), setting))
            return setting
        if array.dtype.name not in _CODES:
            raise unsupported(model.path, node, node.op_type, f"its constant {name!r} is {array.dtype}")
        layout = _layout(model, groups, node, slot, array)
        stored = f"{name}.{layout}" if layout != PLAIN else name
        if stored not in packed:
            packed[stored] = array.transpose(AXES[layout]) if layout != PLAIN else array
            constant_places[stored] = argue(stored, Value(array.shape, array.dtype.name), layout)
        return constant_places[stored]

    for index, node in enumerate(group.nodes):
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.name, copy.doc_string = f"n{index}", ""
        copy.input[:] = [name and place(node, slot, name) for slot, name in enumerate(node.input)]
        for position, name in enumerate(node.output):
            places[name] = f"v{index}_{position}" if name else ""
        copy.output[:] = [places[name] for name in node.output]
        nodes.append(copy)
    inputs = list(infos)
    outputs = []
    for name in group.writes:
        written = argue(name, model.values[name], layout_of(model, groups, name))
        for node in nodes:
            node.output[:] = [written if each == places[name] else each for each in node.output]
        outputs.append(infos[-1])
    graph = helper.make_graph(nodes, "group", inputs, outputs, settings)
    alone = helper.make_model(graph, opset_imports=[helper.make_opsetid("", model.opset)], ir_version=8)
    operators = " + ".join(node.op_type for node in group.nodes)
    label = f"{model.path}: operator {operators} (node {group.nodes[0].name!r})"
    job = Job(alone.SerializeToString(deterministic=True), tuple(layouts), label)
    return Bound(job, tuple(arguments), tuple(views), packed)


def _layout(model: OnnxModel, groups: Groups, node: Any, slot: int, array: np.ndarray) -> str:
    """How a constant is stored for the node that reads it."""
    if node.op_type == "Conv" and slot == 1 and array.ndim == 4:
        count = attributes(node).get("group", 1)
        return DEPTHWISE if count > 1 and array.shape[0] == count and array.shape[1] == 1 else FILTER
    if node.op_type == "Gemm" and slot == 1 and attributes(node).get("transB", 0):
        return COLUMNS
    if array.ndim == 4 and node.output[0] in groups.images and array.dtype == np.float32:
        return LAST
    return PLAIN
