"""Small ONNX models, built node by node."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference

CODES = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64, "float64": TensorProto.DOUBLE}


def save(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[int | str]],
    outputs: Sequence[str],
    constants: Mapping[str, np.ndarray] | None = None,
    *,
    opset: int = 17,
    dtype: str = "float32",
    output_type: int = TensorProto.FLOAT,
) -> Path:
    graph = helper.make_graph(
        list(nodes),
        "small",
        [helper.make_tensor_value_info(name, CODES[dtype], shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, output_type, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.save(shape_inference.infer_shapes(model, strict_mode=True), path)
    return path


def node(kind: str, inputs: str, output: str, **attributes: object) -> onnx.NodeProto:
    """``inputs`` and ``output`` are names with spaces between; ``-`` leaves one out."""
    names = ["" if name == "-" else name for name in inputs.split()]
    return helper.make_node(kind, names, output.split(), output.split()[0], **attributes)


def small_convnet(path: Path) -> Path:
    """Padding of its own, batch normalisation, SiLU, a residual, pooling, squeeze-excite, a linear layer, softmax."""
    rng = np.random.default_rng(0)

    def random(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, dtype=np.float32) / np.float32(np.sqrt(np.prod(shape[1:])))

    constants = {
        "pads": np.array([0, 0, 0, 0, 0, 0, 1, 1]),
        "w0": random(8, 3, 3, 3),
        **{name: random(8) for name in ("scale", "shift", "mean")},
        "variance": np.abs(random(8)) + np.float32(0.5),
        "w1": random(8, 1, 5, 5),
        "b1": random(8),
        "w2": random(8, 8, 1, 1),
        "b2": random(8),
        "w3": random(7, 8),
        "b3": random(7),
    }
    nodes = [
        node("Pad", "image pads", "padded"),
        node("Conv", "padded w0", "c0", kernel_shape=[3, 3], strides=[2, 2]),
        node("BatchNormalization", "c0 scale shift mean variance", "n0"),
        node("Sigmoid", "n0", "s0"),
        node("Mul", "n0 s0", "x0"),
        node("Conv", "x0 w1 b1", "c1", kernel_shape=[5, 5], pads=[2, 2, 2, 2], group=8),
        node("Relu", "c1", "x1"),
        node("GlobalAveragePool", "x1", "p1"),
        node("Conv", "p1 w2 b2", "c2", kernel_shape=[1, 1]),
        node("HardSigmoid", "c2", "g2", alpha=1 / 6, beta=0.5),
        node("Mul", "x1 g2", "x2"),
        node("Conv", "x2 w2 b2", "c3", kernel_shape=[1, 1]),
        node("Add", "x0 c3", "x3"),
        node("MaxPool", "x3", "p3", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        node("ReduceMean", "p3", "m3", axes=[2, 3], keepdims=0),
        node("Gemm", "m3 w3 b3", "logits", transB=1),
        node("Softmax", "logits", "probabilities", axis=1),
    ]
    return save(path, nodes, {"image": [1, 3, 10, 12]}, ["probabilities", "logits"], constants)


def variadic(path: Path) -> Path:
    """Maximum, minimum, sum and mean of images: behind a convolution and a pool, of one, with numbers and channels."""
    rng = np.random.default_rng(0)
    weight, channels = (rng.standard_normal(shape, dtype=np.float32) for shape in ((4, 4, 1, 1), (1, 4, 1, 1)))
    nodes = [node("MaxPool", "y", "pool", kernel_shape=[1, 1])]
    for kind in ("Max", "Min", "Sum", "Mean"):
        nodes += [
            node("Conv", "x w", f"{kind}.conv"),
            node(kind, f"{kind}.conv pool", f"{kind}.one"),
            node(kind, f"{kind}.one", f"{kind}.same"),
            node(kind, f"{kind}.same number channels x", f"{kind}.y"),
        ]
    outputs = [f"{kind}.y" for kind in ("Max", "Min", "Sum", "Mean")]
    constants = {"w": weight, "channels": channels, "number": np.full(1, 0.25, np.float32)}
    return save(path, nodes, {"x": [1, 4, 5, 6], "y": [1, 4, 5, 6]}, outputs, constants)
