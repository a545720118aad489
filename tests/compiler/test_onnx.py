from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from natdeploy.compiler import build_onnx, onnx_bytes
from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import sha256_file
from natdeploy.spaces import Network, get_space, random_network
from tests.compiler.reference import reference, relative_error


def run(data: bytes, image: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"input": image})[0]


@pytest.mark.parametrize("pick", ["smallest", "largest", 24, 28, 32])
def test_outputs_equal_the_reference(pick: str | int) -> None:
    space = get_space("mbv3-micro")
    rng = np.random.default_rng(0)
    if isinstance(pick, str):
        arch = getattr(space, pick)()
    else:
        arch = next(arch for arch in iter(lambda: space.sample(rng), None) if arch.r == pick)
    network = random_network(space.layers(arch), seed=1)
    image = rng.standard_normal(network.input_shape, dtype=np.float32)
    assert relative_error(run(onnx_bytes(network), image), reference(network, image)) < 1e-5


def test_the_file_is_named_by_layers_and_reproducible(tiny: Network, tmp_path: Path) -> None:
    one, two = build_onnx(tiny, tmp_path / "one"), build_onnx(tiny, tmp_path / "two")
    assert one.digest == two.digest == sha256_file(one.path)
    assert (one.kind, one.input_shape, one.output_shape) == ("onnx", (1, 3, 9, 7), (1, 11))
    model = onnx.load(one.path)
    assert model.opset_import[0].version == 17
    assert {layer.name for layer in tiny.layers} <= {node.name for node in model.graph.node}
    assert {tensor.name for tensor in model.graph.initializer} == set(tiny.weights)


def test_a_convolution_may_be_the_last_layer(tiny: Network) -> None:
    network = random_network(tiny.layers[:4])
    image = np.ones(network.input_shape, np.float32)
    assert relative_error(run(onnx_bytes(network), image), reference(network, image)) < 1e-5


def test_networks_that_make_no_sense_are_bad_input(tiny: Network) -> None:
    with pytest.raises(BadInput, match="must give a vector"):
        onnx_bytes(random_network(tiny.layers[:2]))
    with pytest.raises(BadInput, match=r"'se\.pool'.*inputs is"):
        onnx_bytes(random_network((tiny.layers[0], *tiny.layers[2:])))
    with pytest.raises(BadInput, match="no layers"):
        onnx_bytes(Network((), {}))
    with pytest.raises(BadInput, match="two layers are named 'stem'"):
        onnx_bytes(random_network((tiny.layers[0], *tiny.layers)))
    with pytest.raises(BadInput, match=r"weights of 'depth\.weight' are missing"):
        weights = {name: value for name, value in tiny.weights.items() if name != "depth.weight"}
        onnx_bytes(Network(tiny.layers, weights))
