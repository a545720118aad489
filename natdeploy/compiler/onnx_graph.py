"""A network as an ONNX file, straight from its layers: fixed names, equal networks give equal bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, checker, helper

from natdeploy.compiler.check import check_network
from natdeploy.spaces import INPUT, Layer, Network

OPSET = 17
#: The ONNX file format that came with opset 17; every runtime of that opset reads it.
IR_VERSION = 8
OUTPUT = "logits"


def onnx_bytes(network: Network) -> bytes:
    """The serialised model: input ``input`` float32 ``[1, c, h, w]``, output ``logits`` float32 ``[1, classes]``.

    Nodes and tensors are named like layers, weights ``<layer>.weight`` and ``<layer>.bias``. Checked by ONNX's own
    checker with shape inference. Raises BadInput for a network that makes no sense.
    """
    check_network(network)
    nodes: list[Any] = []
    names = {INPUT: INPUT}
    for layer in network.layers:
        last = layer is network.layers[-1]
        names[layer.name] = OUTPUT if last and layer.op == "linear" else layer.name
        nodes += _nodes(layer, [names[name] for name in layer.inputs], names[layer.name])
        if last and layer.op != "linear":
            nodes.append(helper.make_node("Flatten", [layer.name], [OUTPUT], OUTPUT))
    weights = [
        _tensor(f"{layer.name}.{part}", network.weights[f"{layer.name}.{part}"])
        for layer in network.layers
        if layer.has_weights
        for part in ("weight", "bias")
    ]
    graph = helper.make_graph(
        nodes,
        "natdeploy",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, list(network.input_shape))],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, list(network.output_shape))],
        weights,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="natdeploy"
    )
    checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def _tensor(name: str, values: np.ndarray) -> Any:
    """An initialiser with raw little-endian bytes."""
    data = np.ascontiguousarray(values, dtype="<f4")
    return onnx.TensorProto(name=name, data_type=TensorProto.FLOAT, dims=data.shape, raw_data=data.tobytes())


def _nodes(layer: Layer, inputs: list[str], output: str) -> list[Any]:
    """The nodes of one layer."""
    name = layer.name
    if layer.op == "pool":
        return [helper.make_node("GlobalAveragePool", inputs, [output], name)]
    if layer.op in ("scale", "add"):
        return [helper.make_node({"scale": "Mul", "add": "Add"}[layer.op], inputs, [output], name)]
    parameters = [f"{name}.weight", f"{name}.bias"]
    if layer.op == "linear":
        flat = f"{name}.flatten"
        return [
            helper.make_node("Flatten", inputs, [flat], flat),
            helper.make_node("Gemm", [flat, *parameters], [output], name, transB=1),
        ]
    linear = output if layer.activation == "none" else f"{name}.conv"
    conv = helper.make_node(
        "Conv",
        [*inputs, *parameters],
        [linear],
        name,
        group=layer.groups,
        kernel_shape=[layer.kernel] * 2,
        pads=[layer.kernel // 2] * 4,
        strides=[layer.stride] * 2,
    )
    activation = f"{name}.activation"
    if layer.activation == "relu":
        return [conv, helper.make_node("Relu", [linear], [output], activation)]
    if layer.activation == "hswish":
        return [conv, helper.make_node("HardSwish", [linear], [output], activation)]
    if layer.activation == "hsigmoid":
        return [conv, helper.make_node("HardSigmoid", [linear], [output], activation, alpha=1 / 6, beta=0.5)]
    return [conv]
