"""Any ONNX model's latency on a device, from its layers."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from natdeploy import verbs
from natdeploy.cli.app import app
from natdeploy.compiler import onnx_bytes
from natdeploy.compiler.onnx_layers import onnx_layers
from natdeploy.compiler.onnx_model import load_onnx
from natdeploy.devices import load_profile
from natdeploy.ground.errors import BadInput
from natdeploy.latency import prior_latency_model
from natdeploy.spaces import get_space, random_network

SPACE = get_space("mbv3-micro")


@pytest.fixture
def subnet(tmp_path: Path) -> Path:
    path = tmp_path / "subnet.onnx"
    path.write_bytes(onnx_bytes(random_network(SPACE.layers(SPACE.largest()))))
    return path


def strange_model(path: Path) -> None:
    """A convolution, an operator that nobody knows, and one with a kernel that is not square."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], name="square", pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["a", "v"], ["b"], name="flat", pads=[0, 1, 0, 1]),
        helper.make_node("Sin", ["b"], ["y"], name="sine"),
    ]
    weights = {"w": np.ones((4, 3, 3, 3), np.float32), "v": np.ones((4, 4, 1, 3), np.float32)}
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, c, 8, 8]) for name, c in (("x", 3), ("y", 4))]
    constants = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "strange", ends[:1], ends[1:], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)


def test_a_subnets_layers_are_those_of_its_space(subnet: Path) -> None:
    layers = onnx_layers(load_onnx(subnet))
    listed = SPACE.layers(SPACE.largest())
    assert not [layer.unknown for layer in layers if layer.unknown]
    assert sum(layer.layer.macs for layer in layers if layer.layer) == sum(layer.macs for layer in listed)


def test_an_estimate_is_near_the_prior_of_its_architecture_and_says_its_source(subnet: Path) -> None:
    found = verbs.estimate(subnet, device="rpi5", top=3)
    prior = prior_latency_model(load_profile("rpi5"), SPACE, "tvm").predict([SPACE.largest()])
    assert found.latency_ms == pytest.approx(prior.mean_ms[0], rel=0.15)
    assert found.lower_ms < found.latency_ms < found.upper_ms
    assert (found.source, found.unknown) == ("prior", ())
    assert "prior" in found.caution
    assert len(found.costliest) == 3
    assert found.costliest[0].latency_ms >= found.costliest[1].latency_ms >= found.costliest[2].latency_ms
    assert found.weight_bytes >= 4 * sum(np.prod(layer.weight_shape) for layer in SPACE.layers(SPACE.largest()))
    assert found.peak_activation_bytes > 0
    published = verbs.estimate(subnet, device="pixel4", top=0)
    assert (published.source, published.costliest) == ("table", ())
    assert "TFLite" in published.runtime


def test_a_phones_graphics_processor_is_known_by_its_published_kernels(subnet: Path, tmp_path: Path) -> None:
    found = verbs.estimate(subnet, device="pixel4-gpu", top=3)
    assert (found.source, found.runtime, found.unknown) == ("table", "TFLite's GPU delegate, float16", ())
    assert "published kernels of pixel4" in found.caution
    assert found.costliest[0].latency_ms >= found.costliest[1].latency_ms >= found.costliest[2].latency_ms > 0
    macs = sum(layer.macs for layer in SPACE.layers(SPACE.largest()))
    assert found.macs == macs
    strange_model(tmp_path / "strange.onnx")
    with pytest.raises(BadInput, match=r"'sine' \(kernel of 1 x 3\), and no layer takes 0 ms; time the device's own"):
        verbs.estimate(tmp_path / "strange.onnx", device="pixel4-gpu")


def test_layers_that_cannot_be_known_are_named(tmp_path: Path) -> None:
    strange_model(tmp_path / "strange.onnx")
    found = verbs.estimate(tmp_path / "strange.onnx", device="rpi5")
    assert [layer.operators[0] for layer in found.costliest] == ["Conv"]
    assert "kernel of 1 x 3" in found.unknown[0]


def test_what_cannot_be_estimated_is_refused(subnet: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"jetson-xavier.*fmas_per_cycle"):
        verbs.estimate(subnet, device="jetson-xavier")
    with pytest.raises(BadInput, match=r"nothing\.onnx"):
        verbs.estimate(tmp_path / "nothing.onnx", device="rpi5")
    with pytest.raises(BadInput, match="'top'"):
        verbs.estimate(subnet, device="rpi5", top=-1)


def test_the_command_prints_milliseconds_layers_memory_and_source(subnet: Path) -> None:
    import natdeploy.cli.main  # noqa: F401 - registers the verbs

    answer = CliRunner().invoke(app, ["estimate", str(subnet), "--device", "rpi5", "--top", "2"])
    assert answer.exit_code == 0
    for text in ("subnet.onnx on rpi5", "ms", "M MACs", "MiB", "source: prior"):
        assert text in answer.output
