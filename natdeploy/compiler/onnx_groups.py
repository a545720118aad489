"""Nodes of an ONNX model in groups, each to become one kernel: an operator, and the elementwise ones that follow it.

A group grows over elementwise nodes of its own output's shape as long as nobody else reads what lies between, so that
``x * sigmoid(x)`` joins a convolution whose result it reads twice. Reshapes become names of the memory they read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from natdeploy.compiler.onnx_model import OnnxModel, attributes
from natdeploy.compiler.onnx_operators import CONTRACTIONS, ELEMENTWISE, KEEPING, RESHAPES, SPATIAL
from natdeploy.compiler.plan import Port, View

#: The longest group, in nodes, and the most tensors that it reads.
_MAX_NODES, _MAX_READS = 16, 12


@dataclass(frozen=True)
class Group:
    """Nodes that one kernel computes.

    Attributes:
        name: of its last node.
        nodes: in order of execution.
        reads: names of the values that come from outside and are no constants.
        writes: names of the values that it gives to others.
        macs: multiply-accumulates.
    """

    name: str
    nodes: tuple[Any, ...]
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    macs: int


@dataclass(frozen=True)
class Groups:
    """A model in groups.

    Attributes:
        order: groups in order of execution.
        memory: the value whose memory a reshaped value is, by name.
        images: names of the values that are stored as images are, not in ONNX's own order of axes.
        lanes: 0 where images are stored ``[n, h, w, c]``; else a single image is stored in blocks of so many channels,
            ``[blocks, h * w, lanes]``, as natdeploy's own kernels take it.
    """

    order: tuple[Group, ...]
    memory: Mapping[str, str]
    images: frozenset[str]
    lanes: int = 0


def ports(model: OnnxModel, groups: Groups) -> tuple[list[Port], list[Port]]:
    """Inputs and outputs of a model's plan, by the names that the model gives them."""

    def port(name: str, given: str) -> Port:
        value = model.values[name]
        return Port(given, groups.memory.get(name, name), View(value.shape, value.dtype))

    outputs = [port(name, given) for name, given in zip(model.outputs, model.output_names)]
    return [port(name, name) for name in model.inputs], outputs


def group_nodes(model: OnnxModel, lanes: int = 0) -> Groups:
    """Put every node into a group, or find that it computes nothing. Convolutions and products choose first.

    ``lanes`` says how images are stored, see :class:`Groups`.
    """
    images = _images(model)
    memory: dict[str, str] = {}
    readers: dict[str, list[int]] = {}
    for index, node in enumerate(model.nodes):
        for name in node.input:
            readers.setdefault(name, []).append(index)
    taken: set[int] = set()
    for index, node in enumerate(model.nodes):
        if node.op_type in RESHAPES and _is_same_memory(model, node.input[0], node.output[0], images, lanes):
            memory[node.output[0]] = memory.get(node.input[0], node.input[0])
            taken.add(index)
    placed: list[tuple[int, Group]] = []
    for index in sorted(range(len(model.nodes)), key=lambda index: model.nodes[index].op_type not in CONTRACTIONS):
        if index not in taken:
            members = _grow(model, index, readers, taken)
            taken |= set(members)
            placed.append((members[-1], make_group(model, [model.nodes[member] for member in members])))
    return Groups(tuple(group for _, group in sorted(placed, key=lambda pair: pair[0])), memory, images, lanes)


def _grow(model: OnnxModel, index: int, readers: Mapping[str, Sequence[int]], taken: Collection[int]) -> list[int]:
    """The longest run of nodes from this one on that can be one group.

    A group runs when its last node does. Nothing outside may read a value within, so that nothing it waits for can
    wait for it.
    """
    first = model.nodes[index]
    best = members = [index]
    if first.op_type not in ELEMENTWISE | CONTRACTIONS or len(first.output) != 1:
        return best
    shape = model.values[first.output[0]].shape
    within = {first.output[0]}
    waiting = set(readers.get(first.output[0], ()))
    while waiting and len(members) < _MAX_NODES and not within & set(model.outputs):
        following = min(waiting)
        node = model.nodes[following]
        if following in taken or node.op_type not in ELEMENTWISE or model.values[node.output[0]].shape != shape:
            break
        members = [*members, following]
        within.add(node.output[0])
        waiting = (waiting | set(readers.get(node.output[0], ()))) - {following}
        inner = within - {node.output[0]}
        closed = all(reader in members for name in inner for reader in readers.get(name, ()))
        if closed and len(_reads(model, [model.nodes[member] for member in members], constants=True)) <= _MAX_READS:
            best = members
    return best


def _reads(model: OnnxModel, nodes: Sequence[Any], *, constants: bool) -> tuple[str, ...]:
    """Names that come from outside, each once, in order; tensors among the constants too if wanted."""
    own = {name for node in nodes for name in node.output}
    names = [name for node in nodes for name in node.input if name and name not in own]
    kept = [name for name in names if name in model.values or (constants and model.constants[name].size > 1)]
    return tuple(dict.fromkeys(kept))


def make_group(model: OnnxModel, nodes: Sequence[Any]) -> Group:
    """A group of these nodes, the last of which writes what others read."""
    writes = tuple(name for name in nodes[-1].output if name)
    return Group(
        nodes[-1].name, tuple(nodes), _reads(model, nodes, constants=False), writes, sum(_macs(model, n) for n in nodes)
    )


def _macs(model: OnnxModel, node: Any) -> int:
    """Multiply-accumulates of one node."""

    def shape(name: str) -> tuple[int, ...]:
        return model.values[name].shape if name in model.values else model.constants[name].shape

    if node.op_type == "Conv":
        return prod(shape(node.output[0])) * prod(shape(node.input[1])[1:])
    if node.op_type == "ConvTranspose":
        return prod(shape(node.input[0])) * prod(shape(node.input[1])[1:])
    if node.op_type == "MatMul":
        return prod(shape(node.output[0])) * shape(node.input[0])[-1]
    if node.op_type == "Gemm":
        deep = shape(node.input[0])[0 if attributes(node).get("transA", 0) else 1]
        return prod(shape(node.output[0])) * deep
    return 0


def _images(model: OnnxModel) -> frozenset[str]:
    """Images that operators on images write, and what elementwise operators make of them.

    What the caller gives and takes, and 2-D convolutions' likes in other dimensions, keep ONNX's own order.
    """
    found: set[str] = set()
    for node in model.nodes:
        for name in node.output:
            if not name or name in model.outputs or len(model.values[name].shape) != 4:
                continue
            same = [source for source in node.input if source in found]
            follows = bool(same) and node.op_type in KEEPING
            if node.op_type in ELEMENTWISE:
                follows = any(model.values[source].shape == model.values[name].shape for source in same)
            if follows or (node.op_type in SPATIAL and model.values[name].dtype == "float32"):
                found.add(name)
    return frozenset(found)


def _is_same_memory(model: OnnxModel, source: str, result: str, images: Collection[str], lanes: int) -> bool:
    """Whether a reshape leaves every number where it is."""

    def is_row_major(name: str) -> bool:
        shape = model.values[name].shape
        return name not in images or prod(shape[2:]) == 1 or (shape[1] == 1 and not lanes)

    return is_row_major(source) and is_row_major(result)


def as_number(array: np.ndarray, rank: int) -> np.ndarray:
    """A constant of one element without axes, where that changes no shape: kernels take it as an immediate."""
    return array.reshape(()) if array.size == 1 and array.ndim <= rank else array
