"""Convolutions of ONNX models on natdeploy's own kernels: where they match, and right wherever they do."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from natdeploy.compiler import KernelCache, build_artifacts, load_onnx, make_onnx_plan
from natdeploy.compiler.kernels.isa import Isa
from natdeploy.compiler.kernels.kind import default_schedule
from natdeploy.compiler.onnx_groups import group_nodes
from natdeploy.compiler.onnx_kernels import OwnKernels, bind_own
from natdeploy.compiler.onnx_verify import verify_onnx
from natdeploy.ground.errors import BadInput
from natdeploy.ground.processes import call_in_child
from tests.compiler.conftest import TARGET
from tests.compiler.onnx_models import node, save, small_convnet, variadic

ISA = Isa(8, 16)
OWN = OwnKernels(ISA, default_schedule)


def own(path: Path) -> tuple[str, int] | None:
    """Kind of the kernel that the model's first group gets, and how many of its nodes that computes."""
    model = load_onnx(path)
    groups = group_nodes(model, ISA.lanes)
    found = bind_own(model, groups, groups.order[0], OWN)
    return None if found is None else (found[1].kernel.symbol.split("_")[0], len(found[0].nodes))


def conv_model(
    path: Path, shape: tuple[int, ...], weight: tuple[int, ...], *then: onnx.NodeProto, **said: object
) -> Path:
    """A ReLU (so that images are stored in blocks), a convolution ``c``, what follows, and a copy to the caller."""
    relu = [node("MaxPool", "x", "r", kernel_shape=[1, 1])]
    nodes = [*relu, node("Conv", "r w", "c", **said), *then, node("Tanh", then[-1].output[0] if then else "c", "y")]
    constants = {"w": np.ones(weight, np.float32), "b": np.ones((1, weight[0], 1, 1), np.float32)}
    used = {name for each in nodes for name in each.input}
    return save(path, nodes, {"x": shape}, ["y"], {name: constants[name] for name in constants if name in used})


PADS = {"pads": [1, 1, 1, 1]}


@pytest.mark.parametrize(
    ("shape", "weight", "said", "kind"),
    [
        ((1, 5, 6, 7), (9, 5, 3, 3), PADS, "conv"),
        ((1, 5, 6, 7), (9, 5, 3, 3), {"pads": [1, 1, 1, 1], "strides": [2, 2]}, "conv"),
        ((1, 5, 6, 7), (9, 5, 1, 1), {}, "gemm"),
        ((1, 5, 1, 1), (9, 5, 1, 1), {}, "gemv"),
        ((1, 5, 6, 7), (5, 1, 3, 3), {**PADS, "group": 5}, "depthwise"),
        ((1, 6, 6, 7), (9, 2, 3, 3), {**PADS, "group": 3}, "grouped"),
        ((1, 5, 6, 7), (10, 1, 3, 3), {**PADS, "group": 5}, "grouped"),
        ((1, 5, 6, 7), (9, 5, 3, 3), {}, None),
        ((1, 5, 6, 7), (9, 5, 3, 3), {"pads": [0, 0, 1, 1]}, None),
        ((1, 5, 6, 7), (9, 5, 3, 3), {"pads": [2, 2, 2, 2], "dilations": [2, 2]}, None),
        ((1, 5, 6, 7), (9, 5, 3, 3), {"pads": [1, 1, 1, 1], "strides": [2, 1]}, None),
        ((1, 5, 6, 7), (9, 5, 3, 3), {"auto_pad": "SAME_UPPER"}, None),
        ((1, 5, 6, 7), (9, 5, 2, 2), {}, None),
        ((1, 5, 6, 7), (9, 5, 1, 3), {"pads": [0, 1, 0, 1]}, None),
        ((2, 5, 6, 7), (9, 5, 1, 1), {}, None),
    ],
)
def test_what_kernels_take(
    tmp_path: Path, shape: tuple[int, ...], weight: tuple[int, ...], said: dict, kind: str | None
) -> None:
    path = conv_model(tmp_path / "m.onnx", shape, weight, **said)
    model = load_onnx(path)
    groups = group_nodes(model, ISA.lanes)
    group = next(each for each in groups.order if each.nodes[0].op_type == "Conv")
    found = bind_own(model, groups, group, OWN)
    assert (None if found is None else found[1].kernel.symbol.split("_")[0]) == kind


def test_weights_that_are_computed_are_not_packed(tmp_path: Path) -> None:
    nodes = [node("MaxPool", "x", "r", kernel_shape=[1, 1]), node("Conv", "r w", "c"), node("Relu", "c", "y")]
    path = save(tmp_path / "m.onnx", nodes, {"x": [1, 5, 6, 7], "w": [9, 5, 1, 1]}, ["y"])
    assert own(path) is None


@pytest.fixture(scope="module")
def branches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Odd widths, a pixel, strides and every epilogue, side by side; all of them start from one stem."""
    rng = np.random.default_rng(0)
    constants: dict[str, np.ndarray] = {}

    def weights(name: str, *shape: int) -> str:
        constants[f"{name}.w"] = rng.standard_normal(shape, dtype=np.float32) / np.float32(np.sqrt(np.prod(shape[1:])))
        constants[f"{name}.b"] = rng.standard_normal(shape[0], dtype=np.float32)
        return f"{name}.w {name}.b"

    three = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    nodes = [
        node("Conv", f"x {weights('stem', 13, 3, 3, 3)}", "stem", strides=[2, 2], **three),
        node("HardSwish", "stem", "s"),
        node("Conv", f"s {weights('wide', 21, 13, 1, 1)}", "wide"),
        node("Relu", "wide", "w"),
        node("Conv", f"w {weights('depth', 21, 1, 5, 5)}", "depth", group=21, pads=[2] * 4, strides=[2, 2]),
        node("Sigmoid", "depth", "gate"),
        node("Mul", "depth gate", "d"),  # SiLU: not one of the kernels' own activations
        node("GlobalAveragePool", "w", "p"),
        node("Conv", f"p {weights('squeeze', 21, 21, 1, 1)}", "squeeze"),
        node("HardSigmoid", "squeeze", "q", alpha=1 / 6, beta=0.5),
        node("Mul", "w q", "scaled"),
        node("Conv", f"scaled {weights('back', 13, 21, 1, 1)}", "back"),
        node("Add", "back s", "sum"),
        node("Conv", f"sum {weights('again', 13, 13, 3, 3)}", "again", **three),
        node("Add", "sum again", "added"),
        node("Relu", "added", "rest"),  # a ReLU behind the sum, as in residual networks
        node("Conv", f"rest {weights('odd', 6, 13, 3, 3)}", "odd", pads=[0, 0, 1, 1], strides=[2, 2]),
        node("Flatten", "odd", "y0"),
        node("Flatten", "d", "y1"),
        node("Tanh", "rest", "y2"),
    ]
    path = tmp_path_factory.mktemp("branches") / "branches.onnx"
    return save(path, nodes, {"x": [1, 3, 15, 11]}, ["y0", "y1", "y2"], constants)


def test_own_kernels_compute_what_onnx_runtime_computes(branches: Path, tmp_path: Path) -> None:
    plan = make_onnx_plan(load_onnx(branches), target=TARGET, producer="kernels", cache=KernelCache())
    kinds = {call.layer: call.kernel.split("_")[0] for call in plan.calls}
    assert {name: kinds[name] for name in ("s", "w", "depth", "q", "sum", "added")} == {
        "s": "conv",
        "w": "gemm",
        "depth": "depthwise",
        "q": "gemv",
        "sum": "gemm",
        "added": "conv",
    }
    assert plan.producer == "onnx-kernels" and plan.max_threads >= 1
    artifacts = build_artifacts(plan, tmp_path, kinds=("native",))
    assert verify_onnx(branches, plan, artifacts).max_rel_error < 1e-5


@pytest.mark.parametrize("producer", ["kernels", "relax"])
def test_operators_of_any_number_of_images_compute_what_onnx_runtime_computes(producer: str, tmp_path: Path) -> None:
    path = variadic(tmp_path / "model.onnx")
    plan = make_onnx_plan(load_onnx(path), target=TARGET, producer=producer)
    artifacts = build_artifacts(plan, tmp_path / "out", kinds=("native",))
    assert verify_onnx(path, plan, artifacts).max_rel_error < 1e-5


def test_an_unknown_producer_is_refused(branches: Path) -> None:
    with pytest.raises(BadInput, match="unknown plan producer 'magic'; known: relax, kernels"):
        make_onnx_plan(load_onnx(branches), target=TARGET, producer="magic")


def build_digests(folder: Path) -> dict[str, str]:
    folder.mkdir()
    plan = make_onnx_plan(load_onnx(small_convnet(folder / "model.onnx")), target=TARGET)
    return {kind: artifact.digest for kind, artifact in build_artifacts(plan, folder / "out").items()}


def test_two_builds_of_a_model_give_equal_bytes(tmp_path: Path) -> None:
    """The second in another process, folder and cache: every kernel is compiled again."""
    elsewhere = {"NATDEPLOY_HOME": str(tmp_path / "other home")}
    first = build_digests(tmp_path / "one")
    again = call_in_child(build_digests, tmp_path / "another place", timeout_s=600, environment=elsewhere)
    assert first == again and set(first) == {"native", "archive", "executable"}
