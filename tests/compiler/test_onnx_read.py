"""Bad ONNX files: each one line that names the file and what is wrong."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from natdeploy.compiler import load_onnx
from natdeploy.ground.errors import BadInput
from tests.compiler.onnx_models import node, save, small_convnet


def refused(path: Path) -> str:
    with pytest.raises(BadInput) as caught:
        load_onnx(path)
    message = str(caught.value)
    assert message.startswith(str(path)) and "\n" not in message
    return message


def add_weight(path: Path, **external: str) -> Path:
    """``y = x + w`` with ``w`` in another file."""
    save(path, [node("Add", "x w", "y")], {"x": [1, 4]}, ["y"], {"w": np.zeros(4, np.float32)})
    model = onnx.load(path)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in external.items():
        tensor.external_data.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())
    return path


def test_no_file_and_no_onnx(tmp_path: Path) -> None:
    assert "no such ONNX file" in refused(tmp_path / "nothing.onnx")
    assert "cannot be read" in refused(tmp_path)
    (tmp_path / "empty.onnx").write_bytes(b"")
    assert "no outputs" in refused(tmp_path / "empty.onnx")
    (tmp_path / "text.onnx").write_text("not a model at all")
    refused(tmp_path / "text.onnx")


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file(tmp_path: Path, kept: float) -> None:
    path = small_convnet(tmp_path / "model.onnx")
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    refused(path)


@pytest.mark.parametrize("size", ["batch", 0])
def test_dynamic_shapes(tmp_path: Path, size: str | int) -> None:
    path = save(tmp_path / "model.onnx", [node("Relu", "x", "y")], {"x": [size, 3]}, ["y"])
    message = refused(path)
    assert f"input 'x' has the dynamic shape [{size or '?'}, 3]" in message and "static shapes" in message


def test_shapes_that_only_the_data_decides(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    save(path, [node("NonZero", "x", "y")], {"x": [2, 3]}, ["y"], output_type=TensorProto.INT64)
    assert "the shape of value 'y' of operator NonZero (node 'y') is not known" in refused(path)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"location": "weights.bin"}, "external data 'weights.bin' is missing"),
        ({"location": "../weights.bin"}, "outside the model's folder"),
        ({"location": "/etc/passwd"}, "outside the model's folder"),
        ({"location": "link.bin"}, "outside the model's folder"),
        ({}, "outside the model's folder"),
        ({"location": "short.bin"}, "gives 15 bytes, the tensor's shape [4] takes 16"),
        ({"location": "short.bin", "offset": "0", "length": "16"}, "has 15 bytes, 16 are needed"),
        ({"location": "short.bin", "offset": "-1", "length": "16"}, "has 15 bytes"),
        ({"location": "short.bin", "offset": "x"}, "cannot be read"),
    ],
)
def test_external_data(tmp_path: Path, given: dict[str, str], words: str) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "weights.bin").write_bytes(bytes(16))
    (tmp_path / "models" / "link.bin").symlink_to(tmp_path / "weights.bin")
    (tmp_path / "models" / "short.bin").write_bytes(bytes(15))
    message = refused(add_weight(tmp_path / "models" / "model.onnx", **given))
    assert "tensor 'w'" in message and words in message


def test_tensors_that_are_sparse_or_too_large(tmp_path: Path) -> None:
    path = save(tmp_path / "large.onnx", [node("Relu", "x", "y")], {"x": [2**40]}, ["y"])
    assert "value 'x' has 1099511627776 elements; kernels count up to 2147483647" in refused(path)
    graph = helper.make_graph(
        [node("Add", "x w", "y")],
        "g",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in "x"],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])],
        sparse_initializer=[
            helper.make_sparse_tensor(
                helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0]),
                helper.make_tensor("at", TensorProto.INT64, [1], [2]),
                [4],
            )
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), tmp_path / "sparse.onnx")
    assert "tensor 'w' is stored sparsely" in refused(tmp_path / "sparse.onnx")


def test_external_data_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(bytes(3) + np.arange(4, dtype="<f4").tobytes())
    path = add_weight(tmp_path / "model.onnx", location="weights.bin", offset="3", length="16")
    assert load_onnx(path).constants["w"].tolist() == [0, 1, 2, 3]


def test_operators_that_cannot_be_compiled_are_named(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    custom = helper.make_node("Magic", ["x"], ["y"], "wand", domain="com.example")
    graph = helper.make_graph(
        [custom],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
    )
    onnx.save(helper.make_model(graph), path)
    assert "operator com.example.Magic (node 'wand') cannot be compiled" in refused(path)
    custom.domain = ""
    onnx.save(helper.make_model(helper.make_graph([custom], "g", graph.input, graph.output)), path)
    assert "operator Magic (node 'wand') cannot be compiled" in refused(path)
    random = helper.make_node("RandomNormalLike", ["x"], ["y"], "dice")
    onnx.save(helper.make_model(helper.make_graph([random], "g", graph.input, graph.output)), path)
    assert "operator RandomNormalLike (node 'dice') cannot be compiled: its values are random" in refused(path)
    body = helper.make_graph([helper.make_node("Relu", ["x"], ["z"])], "b", [], [graph.output[0]])
    body.output[0].name = "z"
    flag = helper.make_tensor("flag", TensorProto.BOOL, [], [True])
    branch = helper.make_node("If", ["flag"], ["y"], "fork", then_branch=body, else_branch=body)
    onnx.save(helper.make_model(helper.make_graph([branch], "g", graph.input, graph.output, [flag])), path)
    assert "operator If (node 'fork') cannot be compiled" in refused(path)


def test_element_types_that_plans_lack(tmp_path: Path) -> None:
    path = save(
        tmp_path / "model.onnx",
        [node("Relu", "x", "y")],
        {"x": [3]},
        ["y"],
        dtype="float64",
        output_type=TensorProto.DOUBLE,
    )
    assert "value 'x' is double; supported: float32, int64" in refused(path)
