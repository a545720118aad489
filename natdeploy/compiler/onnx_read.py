"""An ONNX file read and checked: what it refers to is there, every size is a number, every operator is known."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import TensorProto, checker, defs

from natdeploy.ground.errors import BadInput

#: Names of ONNX's own operator set.
STANDARD = ("", "ai.onnx")


def read_onnx(path: Path) -> Any:
    """The model with its external data in place.

    Raises BadInput for a file that is missing, truncated or no ONNX; for external data that is missing, too short or
    outside the model's folder; for inputs without fixed sizes; for operators that ONNX does not know.
    """
    path = Path(path)
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except FileNotFoundError:
        raise BadInput(f"{path}: no such ONNX file") from None
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None
    except (DecodeError, ValueError):
        raise BadInput(f"{path}: not a readable ONNX file, or only part of one; export it again") from None
    if not model.ir_version or not model.graph.output:
        raise BadInput(f"{path}: not an ONNX model, or only part of one: it has no outputs; export it again")
    for sparse in model.graph.sparse_initializer:
        raise BadInput(f"{path}: tensor {sparse.values.name!r} is stored sparsely; export it with dense tensors")
    for tensor in _tensors(model):
        if tensor.data_location == TensorProto.EXTERNAL:
            _load_external(tensor, path)
    _check_inputs(model, path)
    _check_operators(model, path)
    try:
        checker.check_model(model)
    except (checker.ValidationError, ValueError) as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise BadInput(f"{path}: not a valid ONNX model: {lines[0] if lines else error}") from None
    return model


def opset_of(model: Any) -> int:
    """Version of ONNX's own operators that the model uses."""
    return next((int(each.version) for each in model.opset_import if each.domain in STANDARD), 1)


def _tensors(model: Any) -> Iterator[Any]:
    """Every stored tensor of the main graph."""
    yield from model.graph.initializer
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                yield attribute.t


def _load_external(tensor: Any, path: Path) -> None:
    """Replace a reference to another file by that file's bytes."""
    said = {entry.key: entry.value for entry in tensor.external_data}
    name = said.get("location", "")
    where = f"{path}: tensor {tensor.name!r}: external data {name!r}"
    folder = path.resolve().parent
    source = (folder / name).resolve()
    if not name or Path(name).is_absolute() or not source.is_relative_to(folder):
        raise BadInput(f"{where} is outside the model's folder; put it beside {path.name} and export it again")
    try:
        offset = int(said.get("offset") or 0)
        with open(source, "rb") as file:
            size = file.seek(0, 2)
            length = int(said.get("length") or size - offset)
            if offset < 0 or length < 0 or offset + length > size:
                raise BadInput(f"{where} has {size} bytes, {offset + length} are needed; the file is not complete")
            file.seek(offset)
            data = file.read(length)
    except FileNotFoundError:
        raise BadInput(f"{where} is missing; copy it to {folder}") from None
    except (OSError, ValueError) as error:
        raise BadInput(f"{where} cannot be read: {error}") from None
    item_size = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    if len(data) != (needed := prod(tensor.dims) * item_size):
        raise BadInput(f"{where} gives {len(data)} bytes, the tensor's shape {list(tensor.dims)} takes {needed}")
    tensor.raw_data = data
    tensor.data_location = TensorProto.DEFAULT
    del tensor.external_data[:]


def _check_inputs(model: Any, path: Path) -> None:
    """Every input is a tensor whose sizes are numbers."""
    stored = {tensor.name for tensor in model.graph.initializer}
    for value in model.graph.input:
        if value.name in stored:
            continue
        if not value.type.HasField("tensor_type") or not value.type.tensor_type.HasField("shape"):
            raise BadInput(f"{path}: input {value.name!r} is not a tensor with a shape; export it with static shapes")
        sizes = [dim.dim_value or dim.dim_param or "?" for dim in value.type.tensor_type.shape.dim]
        if any(not isinstance(size, int) or size < 1 for size in sizes):
            shape = ", ".join(map(str, sizes))
            raise BadInput(
                f"{path}: input {value.name!r} has the dynamic shape [{shape}]; export it with static shapes, "
                "every size a number"
            )


def _check_operators(model: Any, path: Path) -> None:
    """Every operator is one of ONNX's own, and not one that only decides at run time what is computed."""
    version = opset_of(model)
    for node in model.graph.node:
        if node.domain not in STANDARD or not defs.has(node.op_type, max_inclusive_version=version, domain=""):
            operator = f"{node.domain}.{node.op_type}" if node.domain not in STANDARD else node.op_type
            raise unsupported(path, node, operator)
        if any(each.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) for each in node.attribute):
            raise unsupported(path, node, node.op_type)


def unsupported(path: Path, node: Any, operator: str, why: str = "") -> BadInput:
    """The error that names an operator and its node."""
    name = node.name or (node.output[0] if node.output else "")
    return BadInput(f"{path}: operator {operator} (node {name!r}) cannot be compiled{f': {why}' if why else ''}")
