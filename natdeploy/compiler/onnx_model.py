"""An ONNX model as the compiler takes it: static shapes, constants computed, nothing left that only renames.

One pass over the nodes: what depends on constants (or on shapes, which are fixed) alone is computed with ONNX's
reference implementation; every other value gets its shape by ONNX's own inference. Then batch normalisations become
part of the convolution before them, or a product and a sum, and zero padding becomes the convolution's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, defs, helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from natdeploy.compiler.onnx_operators import RANDOM, VARIADIC
from natdeploy.compiler.onnx_read import opset_of, read_onnx, unsupported
from natdeploy.ground.errors import BadInput

#: ONNX element types that plans have.
DTYPES = {
    TensorProto.FLOAT: "float32",
    TensorProto.INT64: "int64",
    TensorProto.INT32: "int32",
    TensorProto.UINT8: "uint8",
    TensorProto.BOOL: "bool",
}
#: Constants up to this size may decide shapes.
_SMALL = 1024
#: Kernels number elements by 32 bits.
_LARGEST = 2**31 - 1


@dataclass(frozen=True)
class Value:
    """Shape and element type of a tensor."""

    shape: tuple[int, ...]
    dtype: str = "float32"


@dataclass(frozen=True, eq=False)
class OnnxModel:
    """A model with static shapes.

    Attributes:
        path: the file, for messages.
        nodes: ``onnx.NodeProto`` in order of execution; every one has a name.
        constants: what does not depend on the inputs, by name.
        values: shape and type of everything else that nodes read or write.
        inputs, outputs: names in the file's order.
        output_names: what the file calls the outputs.
        opset: version of ONNX's operators.
    """

    path: Path
    nodes: tuple[Any, ...]
    constants: Mapping[str, np.ndarray]
    values: Mapping[str, Value]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    output_names: tuple[str, ...]
    opset: int


def load_onnx(path: Path) -> OnnxModel:
    """Read, check and simplify a model. Raises BadInput as :func:`natdeploy.compiler.onnx_read.read_onnx` does, and for
    values whose shape or type is not known, or none that can be compiled."""
    path = Path(path)
    model = read_onnx(path)
    constants = {tensor.name: _array(tensor, path) for tensor in model.graph.initializer}
    inputs = tuple(value.name for value in model.graph.input if value.name not in constants)
    types = {value.name: value.type for value in model.graph.input}
    values = {name: _value(types[name], name, path) for name in inputs}
    same: dict[str, str] = {}
    nodes: list[Any] = []
    for index, original in enumerate(model.graph.node):
        node = onnx.NodeProto()
        node.CopyFrom(original)
        node.name = node.name or f"{node.op_type}_{index}"
        node.input[:] = [same.get(name, name) for name in node.input]
        _simplify(node, model, path, constants, values, same, nodes)
    outputs = tuple(value.name for value in model.graph.output)
    for name in outputs:
        source = same.get(name, name)
        if source in constants or source in inputs:
            raise BadInput(f"{path}: output {name!r} does not depend on what is computed; remove it from the model")
    sources = tuple(same.get(name, name) for name in outputs)
    found = OnnxModel(path, tuple(nodes), constants, values, inputs, sources, outputs, opset_of(model))
    return _fold_padding(_fold_normalisation(_alive(found)))


def _simplify(
    node: Any,
    model: Any,
    path: Path,
    constants: dict[str, np.ndarray],
    values: dict[str, Value],
    same: dict[str, str],
    nodes: list[Any],
) -> None:
    """Compute a node, find that it changes nothing, or keep it with the shapes of what it writes."""
    read = [name for name in node.input if name]
    if node.op_type in RANDOM:
        raise unsupported(path, node, node.op_type, "its values are random")
    if node.op_type in ("Shape", "Size") and read[0] in values:
        shape = np.array(values[read[0]].shape, np.int64)
        zeros = np.broadcast_to(np.float32(0), tuple(shape))  # no memory, whatever the shape
        constants[node.output[0]] = _compute(node, {read[0]: zeros}, model, path)[0]
    elif all(name in constants for name in read):
        for name, array in zip(node.output, _compute(node, {name: constants[name] for name in read}, model, path)):
            if name:
                constants[name] = array
    elif node.op_type in ("Identity", "Dropout") or (node.op_type in VARIADIC and len(read) == 1):
        same[node.output[0]] = same.get(read[0], read[0])
    else:
        values.update(_infer(node, model, path, constants, values))
        if node.op_type == "Cast" and values[node.output[0]].dtype == values[read[0]].dtype:
            same[node.output[0]] = same.get(read[0], read[0])
        else:
            nodes.append(node)


def _compute(node: Any, inputs: dict[str, np.ndarray], model: Any, path: Path) -> list[np.ndarray]:
    """A node's outputs by ONNX's reference implementation."""
    infos = [helper.make_value_info(name, onnx.TypeProto()) for name in inputs]
    outputs = [helper.make_value_info(name, onnx.TypeProto()) for name in node.output if name]
    graph = helper.make_graph([node], "constant", infos, outputs)
    alone = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    try:
        return [np.asarray(array) for array in ReferenceEvaluator(alone).run(None, inputs)]
    except Exception as error:  # whatever numpy says of numbers that do not fit together
        raise unsupported(path, node, node.op_type, " ".join(str(error).split())[:120]) from None


def _infer(
    node: Any, model: Any, path: Path, constants: Mapping[str, np.ndarray], values: Mapping[str, Value]
) -> dict[str, Value]:
    """Shapes and types of what a node writes."""
    types, data = {}, {}
    codes = {name: code for code, name in DTYPES.items()}
    for name in node.input:
        if name in values:
            types[name] = helper.make_tensor_type_proto(codes[values[name].dtype], values[name].shape)
        elif name:
            array = constants[name]
            types[name] = helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
            if array.size <= _SMALL:
                data[name] = numpy_helper.from_array(array, name)
    schema = defs.get_schema(node.op_type, opset_of(model), "")
    try:
        found = shape_inference.infer_node_outputs(
            schema, node, types, data, opset_imports=list(model.opset_import), ir_version=model.ir_version
        )
    except shape_inference.InferenceError as error:
        raise unsupported(path, node, node.op_type, " ".join(str(error).split())[:120]) from None
    missing = [name for name in node.output if name and name not in found]
    if missing:
        raise unsupported(path, node, node.op_type, f"the shape of its output {missing[0]!r} is not known")
    return {name: _value(found[name], name, path, node) for name in node.output if name}


def _value(kind: Any, name: str, path: Path, node: Any = None) -> Value:
    """A value's type. Raises BadInput where it is no dense tensor of known sizes and of a type that plans have."""
    by = f" of operator {node.op_type} (node {node.name!r})" if node is not None else ""
    if not kind.HasField("tensor_type") or not kind.tensor_type.HasField("shape"):
        raise BadInput(f"{path}: the shape of value {name!r}{by} is not known before it is computed")
    if kind.tensor_type.elem_type not in DTYPES:
        found = TensorProto.DataType.Name(kind.tensor_type.elem_type).lower()
        raise BadInput(f"{path}: value {name!r}{by} is {found}; supported: {', '.join(DTYPES.values())}")
    sizes = tuple(dim.dim_value if dim.HasField("dim_value") else 0 for dim in kind.tensor_type.shape.dim)
    if any(size < 1 for size in sizes):
        raise BadInput(f"{path}: the shape of value {name!r}{by} is not known before it is computed, or it is empty")
    if prod(sizes) > _LARGEST:
        raise BadInput(f"{path}: value {name!r}{by} has {prod(sizes)} elements; kernels count up to {_LARGEST}")
    return Value(sizes, DTYPES[kind.tensor_type.elem_type])


def _array(tensor: Any, path: Path) -> np.ndarray:
    try:
        return numpy_helper.to_array(tensor)
    except (ValueError, TypeError) as error:
        raise BadInput(f"{path}: tensor {tensor.name!r} is damaged: {' '.join(str(error).split())[:120]}") from None


def _alive(model: OnnxModel) -> OnnxModel:
    """Without nodes whose outputs nobody reads, and without their constants."""
    wanted = set(model.outputs)
    kept = []
    for node in reversed(model.nodes):
        if wanted & set(node.output):
            wanted |= {name for name in node.input if name}
            kept.append(node)
    constants = {name: array for name, array in model.constants.items() if name in wanted}
    return _changed(model, kept[::-1], constants, model.values)


def _fold_normalisation(model: OnnxModel) -> OnnxModel:
    """``y = scale * (x - mean) / sqrt(variance + epsilon) + shift`` with constants, as weights or as two operators."""
    constants, values = dict(model.constants), dict(model.values)
    readers = _readers(model)
    producers = {name: node for node in model.nodes for name in node.output}
    replaced: dict[str, list[Any]] = {}
    for node in model.nodes:
        if node.op_type != "BatchNormalization" or any(name not in constants for name in node.input[1:]):
            continue
        source, name = node.input[0], node.name
        scale, shift, mean, variance = (constants[each].astype(np.float64) for each in node.input[1:])
        factor = scale / np.sqrt(variance + attributes(node).get("epsilon", 1e-5))
        offset = shift - mean * factor
        conv = producers.get(source)
        if conv is not None and conv.op_type == "Conv" and readers[source] == 1 and set(conv.input[1:]) <= {*constants}:
            weight = constants[conv.input[1]]
            bias = constants[conv.input[2]] if len(conv.input) > 2 else np.zeros(len(weight))
            constants[f"{name}.weight"] = (weight * factor.reshape(-1, *[1] * (weight.ndim - 1))).astype(np.float32)
            constants[f"{name}.bias"] = (bias * factor + offset).astype(np.float32)
            folded = onnx.NodeProto()
            folded.CopyFrom(conv)
            folded.input[:] = [conv.input[0], f"{name}.weight", f"{name}.bias"]
            folded.output[:] = node.output[:1]
            replaced[conv.name], replaced[name] = [folded], []
            continue
        shape = (-1, *[1] * (len(values[source].shape) - 2))
        constants[f"{name}.factor"] = factor.astype(np.float32).reshape(shape)
        constants[f"{name}.offset"] = offset.astype(np.float32).reshape(shape)
        values[f"{name}.product"] = values[source]
        replaced[name] = [
            helper.make_node("Mul", [source, f"{name}.factor"], [f"{name}.product"], f"{name}.scale"),
            helper.make_node("Add", [f"{name}.product", f"{name}.offset"], node.output[:1], name),
        ]
    nodes = [new for node in model.nodes for new in replaced.get(node.name, [node])]
    return _alive(_changed(model, nodes, constants, values))


def _fold_padding(model: OnnxModel) -> OnnxModel:
    """Zeros around an image that only one convolution reads are that convolution's padding."""
    readers = _readers(model)
    pads = {node.output[0]: node for node in model.nodes if node.op_type == "Pad" and readers[node.output[0]] == 1}
    folded: dict[str, Any] = {}
    for node in model.nodes:
        pad = pads.get(node.input[0])
        if node.op_type != "Conv" or pad is None or attributes(node).get("auto_pad", b"NOTSET") != b"NOTSET":
            continue
        around = _zeros_around(pad, model.constants)
        rank = len(model.values[pad.input[0]].shape)
        if around is None or len(around) != 2 * rank or any(around[:2]) or any(around[rank : rank + 2]):
            continue
        own = attributes(node).get("pads", [0] * (2 * (rank - 2)))
        extra = [*around[2:rank], *around[rank + 2 :]]
        new = onnx.NodeProto()
        new.CopyFrom(node)
        new.input[0] = pad.input[0]
        del new.attribute[:]
        new.attribute.extend(each for each in node.attribute if each.name != "pads")
        new.attribute.append(helper.make_attribute("pads", [int(a + b) for a, b in zip(own, extra)]))
        folded[node.name] = new
    return _alive(_changed(model, [folded.get(node.name, node) for node in model.nodes], model.constants, model.values))


def _zeros_around(pad: Any, constants: Mapping[str, np.ndarray]) -> list[int] | None:
    """How many zeros a Pad puts before and behind each axis, or None where it does something else."""
    said = attributes(pad)
    names = [*pad.input[1:], "", "", ""][:3]
    if said.get("mode", b"constant") != b"constant" or names[2] or (names[1] and np.any(constants.get(names[1], 1))):
        return None
    amounts = said.get("pads") if not names[0] else constants.get(names[0])
    if amounts is None or said.get("value", 0.0) != 0.0 or min(amounts) < 0:
        return None
    return [int(amount) for amount in amounts]


def attributes(node: Any) -> dict[str, Any]:
    """A node's attributes as Python values."""
    return {each.name: helper.get_attribute_value(each) for each in node.attribute}


def _readers(model: OnnxModel) -> dict[str, int]:
    """How often each value is read; whoever runs the model reads its outputs."""
    count = dict.fromkeys(model.outputs, 1)
    for node in model.nodes:
        for name in node.input:
            count[name] = count.get(name, 0) + 1
        for name in node.output:
            count.setdefault(name, 0)
    return count


def _changed(
    model: OnnxModel, nodes: list[Any], constants: Mapping[str, np.ndarray], values: Mapping[str, Value]
) -> OnnxModel:
    return replace(model, nodes=tuple(nodes), constants=constants, values=values)
