"""Layers of any ONNX model as latency models know them: one for each group of nodes that is computed together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from natdeploy.compiler.onnx_groups import Group, Groups, group_nodes
from natdeploy.compiler.onnx_model import OnnxModel, attributes
from natdeploy.spaces import Layer


def _named(names: str) -> frozenset[str]:
    return frozenset(names.split())


#: Operators that read their inputs and write their outputs once, whatever they compute in between.
MOVING = _named(
    """Add Sum Sub Mul Div Max Min Relu LeakyRelu PRelu Clip Sigmoid HardSigmoid HardSwish Tanh Erf Gelu Exp Log Sqrt
    Pow Abs Neg Reciprocal Elu Selu Softplus Concat Split Slice Pad Transpose Reshape Flatten Squeeze Unsqueeze
    Identity Cast Gather Expand Resize Upsample DepthToSpace SpaceToDepth BatchNormalization Where Equal Greater
    Less Tile Mean"""
)
#: Operators that read everything and write what they reduce it to.
POOLING = _named(
    """GlobalAveragePool GlobalMaxPool AveragePool MaxPool ReduceMean ReduceMax ReduceSum Softmax LogSoftmax
    LayerNormalization InstanceNormalization ArgMax LRN"""
)


@dataclass(frozen=True)
class OnnxLayer:
    """What is computed together.

    Attributes:
        name: of the last node.
        operators: types of the nodes.
        layer: the same as latency models know it; None where they cannot.
        unknown: why not; empty where they can.
        reads, writes: shapes of the values that come from outside and are no constants, and of those others get.
        window: pixels across that the first node looks at, where it is a pool of a window; else 0.
    """

    name: str
    operators: tuple[str, ...]
    layer: Layer | None
    unknown: str = ""
    reads: tuple[tuple[int, ...], ...] = ()
    writes: tuple[tuple[int, ...], ...] = ()
    window: int = 0


def onnx_layers(model: OnnxModel) -> tuple[OnnxLayer, ...]:
    """Layers in order of execution."""
    return tuple(_layer(model, group) for group in group_nodes(model).order)


def peak_activation_bytes(model: OnnxModel) -> int:
    """Largest number of bytes of values alive at once when groups run in order, none in place."""
    groups = group_nodes(model)
    last = {_memory(groups, name): index for index, group in enumerate(groups.order) for name in group.reads}
    last |= {_memory(groups, name): len(groups.order) for name in model.outputs}
    alive = {_memory(groups, name) for name in model.inputs}
    peak = 0
    for index, group in enumerate(groups.order):
        alive |= {_memory(groups, name) for name in group.writes}
        peak = max(peak, sum(_bytes(model, name) for name in alive))
        alive = {name for name in alive if last.get(name, -1) > index}
    return peak


def _memory(groups: Groups, name: str) -> str:
    return groups.memory.get(name, name)


def _bytes(model: OnnxModel, name: str) -> int:
    value = model.values[name]
    return prod(value.shape) * {"int64": 8, "uint8": 1, "bool": 1}.get(value.dtype, 4)


def _layer(model: OnnxModel, group: Group) -> OnnxLayer:
    types = tuple(node.op_type for node in group.nodes)
    heavy = next((node for node in group.nodes if node.op_type in ("Conv", "Gemm", "MatMul")), None)
    if heavy is not None:
        reason, layer = _convolution(model, heavy) if heavy.op_type == "Conv" else _product(model, heavy)
    else:
        strange = [name for name in types if name not in MOVING | POOLING]
        reason, layer = (f"operator {strange[0]}", None) if strange else ("", _moving(model, group, types))
    reads, writes = (tuple(tuple(_shape(model, name)) for name in names) for names in (group.reads, group.writes))
    return OnnxLayer(group.name, types, layer, reason, reads, writes, _window(group.nodes[0]))


def _window(node) -> int:  # type: ignore[no-untyped-def]
    sizes = attributes(node).get("kernel_shape", [0]) if node.op_type in ("AveragePool", "MaxPool") else [0]
    return round(prod(sizes) ** (1 / len(sizes)))


def _shape(model: OnnxModel, name: str) -> Sequence[int]:
    return model.values[name].shape if name in model.values else model.constants[name].shape


def _convolution(model: OnnxModel, node) -> tuple[str, Layer | None]:  # type: ignore[no-untyped-def]
    given, result, weight = (_shape(model, name) for name in (node.input[0], node.output[0], node.input[1]))
    if len(given) != 4:
        return f"convolution of rank {len(given) - 2}", None
    if weight[2] != weight[3]:
        return f"kernel of {weight[2]} x {weight[3]}", None
    strides = attributes(node).get("strides", [1, 1])
    # Images of a batch stand one below the other.
    shape = (given[1], given[0] * given[2], given[3], result[1], result[0] * result[2], result[3])
    groups = int(attributes(node).get("group", 1))
    return "", Layer(node.name, "conv", tuple(node.input[:1]), *shape, weight[2], int(strides[0]), groups)


def _product(model: OnnxModel, node) -> tuple[str, Layer | None]:  # type: ignore[no-untyped-def]
    given, result = (_shape(model, name) for name in (node.input[0], node.output[0]))
    transposed = node.op_type == "Gemm" and attributes(node).get("transA", 0)
    depth, width = given[0 if transposed else -1], result[-1]
    rows = prod(result) // width
    if rows == 1:
        return "", Layer(node.name, "linear", tuple(node.input[:1]), depth, 1, 1, width, 1, 1)
    return "", Layer(node.name, "conv", tuple(node.input[:1]), depth, rows, 1, width, rows, 1)


def _moving(model: OnnxModel, group: Group, types: Sequence[str]) -> Layer:
    read = sum(prod(_shape(model, name)) for name in group.reads)
    written = sum(prod(_shape(model, name)) for name in group.writes)
    pooled = any(name in POOLING for name in types)
    if pooled or read != written:
        return Layer(group.name, "pool", tuple(group.reads), read, 1, 1, max(written, 1), 1, 1)
    return Layer(group.name, "scale", tuple(group.reads), read, 1, 1, written, 1, 1)
