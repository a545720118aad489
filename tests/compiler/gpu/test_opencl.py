"""Plans for OpenCL devices: outputs on PoCL, launch sizes, the C program's own behaviour."""

import platform
from pathlib import Path

import numpy as np
import pytest

from natdeploy.compiler import Plan, load_onnx, make_onnx_plan, onnx_bytes
from natdeploy.compiler.gpu.link import link_opencl
from natdeploy.compiler.onnx_verify import onnxruntime_outputs, random_inputs, relative_error
from natdeploy.devices.native_model import NativeModel
from natdeploy.ground.processes import call_in_child
from natdeploy.spaces import Network, get_space, random_network
from tests.compiler import reference
from tests.compiler.conftest import ODD, odd_network, tiny_layers
from tests.compiler.gpu.conftest import needs_opencl
from tests.compiler.onnx_models import small_convnet

TARGET = {"kind": "opencl", "mtriple": f"{platform.machine()}-linux-gnu"}


def network_plan(network: Network, folder: Path) -> Plan:
    path = folder / "network.onnx"
    path.write_bytes(onnx_bytes(network))
    return make_onnx_plan(load_onnx(path), target=TARGET)


def outputs(library: Path, arrays: list[np.ndarray]) -> list[list[np.ndarray]]:
    """Of two runs in a row; the second must not see what the first left behind."""
    with NativeModel(library) as model:
        return [model.run(arrays), model.run(arrays)]


def run(plan: Plan, arrays: list[np.ndarray], folder: Path) -> list[np.ndarray]:
    library = folder / "libmodel.so"
    library.write_bytes(link_opencl(plan, "native", TARGET["mtriple"]))
    first, second = call_in_child(outputs, library, arrays, timeout_s=600, name="OpenCL")
    for one, other in zip(first, second):
        np.testing.assert_array_equal(one, other)
    return list(first)


def check(network: Network, folder: Path) -> None:
    image = np.random.default_rng(5).standard_normal(network.input_shape, dtype=np.float32)
    (found,) = run(network_plan(network, folder), [image], folder)
    assert reference.relative_error(found, reference.reference(network, image)) < 1e-4


@needs_opencl
def test_every_operator_equals_the_reference(tmp_path: Path) -> None:
    check(random_network(tiny_layers(), seed=3), tmp_path)


@needs_opencl
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
