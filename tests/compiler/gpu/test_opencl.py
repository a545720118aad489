"""Plans for OpenCL devices: outputs on PoCL, launch sizes, the C program's own behaviour."""

import platform
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from natdeploy.compiler import Plan, compile_layers, load_onnx, make_onnx_plan, onnx_bytes
from natdeploy.compiler.gpu.link import link_opencl
from natdeploy.compiler.onnx_verify import native_outputs, onnxruntime_outputs, random_inputs, relative_error
from natdeploy.ground.processes import call_in_child
from natdeploy.spaces import Network, get_space, random_network
from tests.compiler import reference
from tests.compiler.conftest import ODD, odd_network, tiny_layers
from tests.compiler.gpu.conftest import needs_opencl
from tests.compiler.onnx_models import node, save, small_convnet, variadic

TARGET = {"kind": "opencl", "mtriple": f"{platform.machine()}-linux-gnu"}


def network_plan(network: Network, folder: Path) -> Plan:
    path = folder / "network.onnx"
    path.write_bytes(onnx_bytes(network))
    return make_onnx_plan(load_onnx(path), target=TARGET)


@pytest.fixture(scope="module")
def compiled(home: Path) -> None:
    """The small networks' kernels, all at once: one start of TVM."""
    compile_layers([tiny_layers(), *(odd_network(kind).layers for kind in ODD)], target=TARGET)


def run(plan: Plan, arrays: list[np.ndarray], folder: Path) -> list[np.ndarray]:
    """Outputs of two runs in a row; the second must not see what the first left behind."""
    library = folder / "libmodel.so"
    library.write_bytes(link_opencl(plan, "native", TARGET["mtriple"]))
    first, second = call_in_child(native_outputs, library, [arrays, arrays], timeout_s=600, name="OpenCL")
    for one, other in zip(first, second):
        np.testing.assert_array_equal(one, other)
    return list(first)


def check(network: Network, folder: Path) -> None:
    image = np.random.default_rng(5).standard_normal(network.input_shape, dtype=np.float32)
    (found,) = run(network_plan(network, folder), [image], folder)
    assert reference.relative_error(found, reference.reference(network, image)) < 1e-4


@needs_opencl
@pytest.mark.usefixtures("compiled")
def test_every_operator_equals_the_reference(tmp_path: Path) -> None:
    check(random_network(tiny_layers(), seed=3), tmp_path)


@needs_opencl
@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("kind", ODD)
def test_odd_shapes_equal_the_reference(kind: str, tmp_path: Path) -> None:
    check(odd_network(kind), tmp_path)


@needs_opencl
@pytest.mark.slow
@pytest.mark.parametrize("name", ["mbv3-micro", "ofa-mbv3-w1.0"])
def test_subnets_equal_the_reference(name: str, tmp_path: Path) -> None:
    space = get_space(name)
    rng = np.random.default_rng(4)
    for seed in range(2 if name == "mbv3-micro" else 1):
        check(random_network(space.layers(space.sample(rng)), seed), tmp_path)


@needs_opencl
def test_an_onnx_model_equals_onnx_runtime(tmp_path: Path) -> None:
    path = small_convnet(tmp_path / "small.onnx")
    plan = make_onnx_plan(load_onnx(path), target=TARGET)
    (arrays,) = random_inputs(plan, 1, 0)
    (expected,) = onnxruntime_outputs(path, [arrays])
    for found, wanted in zip(run(plan, arrays, tmp_path), expected):
        assert relative_error(found, wanted) < 1e-4


@needs_opencl
def test_operators_of_any_number_of_images_equal_onnx_runtime(tmp_path: Path) -> None:
    """A NaN of either image stays one."""
    path = variadic(tmp_path / "model.onnx")
    plan = make_onnx_plan(load_onnx(path), target=TARGET)
    (arrays,) = random_inputs(plan, 1, 0)
    arrays[0][0, 1, 2, 3] = arrays[1][0, 2, 3, 4] = np.nan
    (expected,) = onnxruntime_outputs(path, [arrays])
    assert all(5 <= np.isnan(wanted).sum() < wanted.size for wanted in expected)
    for found, wanted in zip(run(plan, arrays, tmp_path), expected):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


@needs_opencl
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_propagate_as_in_torch(bad: float, tmp_path: Path) -> None:
    """Through rectifiers, hard sigmoids and pooling."""
    one = np.ones((4, 4, 1, 1), np.float32)
    nodes = [
        *(node("Conv", "x w", f"conv{i}", kernel_shape=[1, 1]) for i in range(3)),
        node("Relu", "conv0", "relu"),
        node("HardSigmoid", "conv1", "gate", alpha=1 / 6, beta=0.5),
        node("HardSwish", "conv2", "swish"),
        node("MaxPool", "x", "pooled", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("GlobalMaxPool", "x", "largest"),
    ]
    names = ["relu", "gate", "swish", "pooled", "largest"]
    path = save(tmp_path / "nan.onnx", nodes, {"x": [1, 4, 5, 6]}, names, {"w": one})
    plan = make_onnx_plan(load_onnx(path), target=TARGET)
    x = np.random.default_rng(0).standard_normal((1, 4, 5, 6), dtype=np.float32)
    x[0, 1, 2, 3] = bad
    found = dict(zip(names, run(plan, [x], tmp_path)))
    image = torch.from_numpy(x)
    conv = F.conv2d(image, torch.from_numpy(one))
    expected = {
        "relu": F.relu(conv),
        "gate": F.hardsigmoid(conv),
        "swish": conv * F.hardsigmoid(conv),
        "pooled": F.max_pool2d(image, 3, 1, 1),
        "largest": image.amax((2, 3), keepdim=True),
    }
    for name in names:
        np.testing.assert_allclose(found[name], expected[name].numpy(), rtol=1e-5, atol=1e-6, err_msg=name)
