"""What is left of a model before it is compiled: constants computed, nodes in groups."""

from pathlib import Path

import numpy as np
import pytest

from natdeploy.compiler import load_onnx
from natdeploy.compiler.onnx_groups import group_nodes
from natdeploy.compiler.onnx_jobs import bind
from natdeploy.compiler.onnx_layers import onnx_layers
from natdeploy.compiler.onnx_model import attributes
from tests.compiler.onnx_models import node, save, small_convnet, variadic


def names(path: Path) -> list[str]:
    return ["+".join(each.op_type for each in group.nodes) for group in group_nodes(load_onnx(path)).order]


def test_a_convnet_becomes_one_group_for_each_convolution(tmp_path: Path) -> None:
    path = small_convnet(tmp_path / "model.onnx")
    assert names(path) == [
        "Conv+Sigmoid+Mul",
        "Conv+Relu",
        "GlobalAveragePool",
        "Conv+HardSigmoid",
        "Mul",
        "Conv+Add",
        "MaxPool",
        "ReduceMean",
        "Gemm",
        "Softmax",
    ]
    conv = load_onnx(path).nodes[0]
    assert list(attributes(conv)["pads"]) == [0, 0, 1, 1]  # the model's own Pad


def test_operators_of_any_number_of_tensors_join_a_convolution(tmp_path: Path) -> None:
    found = names(variadic(tmp_path / "model.onnx"))
    assert found == ["MaxPool", *(f"Conv+{kind}+{kind}" for kind in ("Max", "Min", "Sum", "Mean"))]


@pytest.mark.parametrize("kind", ["Max", "Min", "Sum", "Mean"])
def test_alone_they_only_move_data(kind: str, tmp_path: Path) -> None:
    path = save(tmp_path / "model.onnx", [node(kind, "x y z", "out")], {name: [1, 4] for name in "xyz"}, ["out"])
    (found,) = onnx_layers(load_onnx(path))
    assert found.layer is not None and not found.unknown


def test_batch_normalisation_becomes_weights(tmp_path: Path) -> None:
    model = load_onnx(small_convnet(tmp_path / "model.onnx"))
    given = load_onnx(tmp_path / "model.onnx").constants
    weight = model.constants[model.nodes[0].input[1]]
    import onnx

    stored = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(tmp_path / "model.onnx").graph.initializer}
    factor = stored["scale"] / np.sqrt(stored["variance"] + 1e-5)
    assert np.allclose(weight, stored["w0"] * factor[:, None, None, None], rtol=1e-6)
    assert "mean" not in given


def test_alone_it_becomes_a_product_and_a_sum(tmp_path: Path) -> None:
    constants = {name: np.full(3, 0.5, np.float32) for name in ("scale", "shift", "mean", "variance")}
    nodes = [node("Relu", "x", "r"), node("BatchNormalization", "r scale shift mean variance", "y")]
    path = save(tmp_path / "model.onnx", nodes, {"x": [1, 3, 2, 2]}, ["y"], constants)
    assert names(path) == ["Relu+Mul+Add"]


def test_shapes_are_computed_and_reshapes_cost_nothing(tmp_path: Path) -> None:
    nodes = [
        node("Relu", "x", "r"),
        node("Shape", "r", "shape"),
        node("Gather", "shape zero", "first", axis=0),
        node("Unsqueeze", "first axis", "rows"),
        node("Concat", "rows rest", "wanted", axis=0),
        node("Reshape", "r wanted", "flat"),
        node("Tanh", "flat", "y"),
    ]
    constants = {"zero": np.array(0), "axis": np.array([0]), "rest": np.array([-1])}
    path = save(tmp_path / "model.onnx", nodes, {"x": [2, 3, 4]}, ["y"], constants)
    model = load_onnx(path)
    groups = group_nodes(model)
    assert [group.name for group in groups.order] == ["r", "y"]
    assert groups.memory == {"flat": "r"} and model.values["y"].shape == (2, 12)


def test_what_others_read_ends_a_group(tmp_path: Path) -> None:
    nodes = [node("Relu", "x", "a"), node("Tanh", "a", "b"), node("MatMul", "a w", "c"), node("Add", "b c", "y")]
    path = save(tmp_path / "model.onnx", nodes, {"x": [4, 4]}, ["y"], {"w": np.eye(4, dtype=np.float32)})
    assert names(path) == ["Relu", "Tanh", "MatMul+Add"]


@pytest.mark.parametrize("change", ["names", "weights"])
def test_equal_work_is_one_job_wherever_it_stands(tmp_path: Path, change: str) -> None:
    def job(x: str, w: str, value: float) -> str:
        nodes = [node("MatMul", f"{x} {w}", "c"), node("Relu", "c", "y")]
        path = save(tmp_path / f"{x}{w}.onnx", nodes, {x: [2, 3]}, ["y"], {w: np.full((3, 5), value, np.float32)})
        model = load_onnx(path)
        groups = group_nodes(model)
        return bind(model, groups, groups.order[0]).kernel.symbol

    assert job("x", "w", 1) == (job("a", "b", 1) if change == "names" else job("x", "w", 2))
