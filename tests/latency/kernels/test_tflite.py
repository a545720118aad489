"""Kernels that TFLite's GPU delegate makes of layers: by rules, and as published lists have them."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from natdeploy.compiler import onnx_bytes
from natdeploy.compiler.onnx_layers import onnx_layers
from natdeploy.compiler.onnx_model import load_onnx
from natdeploy.ground.errors import BadInput
from natdeploy.latency.kernels.onnx import kernels_of_onnx
from natdeploy.latency.kernels.published_fit import fit_published_kernels, least_winograd
from natdeploy.latency.kernels.tflite import KernelRules, kernels_of_layers
from natdeploy.latency.kernels.work import KernelShapes
from natdeploy.latency.published.networks import family
from natdeploy.measure.publications import read_published
from natdeploy.measure.published import PublishedTiming
from natdeploy.spaces import INPUT, Layer, get_space, random_network
from natdeploy.spaces.mobilenetv3_layers import NetworkBuilder
from tests.latency.shared_tables import rows_with

SPACE = get_space("mbv3-micro")
PLAIN = KernelRules(None, copies=False)


@pytest.mark.parametrize("copies", [False, True])
def test_an_exported_subnet_has_the_kernels_of_its_layers(tmp_path: Path, copies: bool) -> None:
    subnet = tmp_path / "subnet.onnx"
    subnet.write_bytes(onnx_bytes(random_network(SPACE.layers(SPACE.largest()))))
    rules = KernelRules((16, 16, 8), copies)
    exported = kernels_of_onnx(onnx_layers(load_onnx(subnet)), rules)
    listed = kernels_of_layers(SPACE.layers(SPACE.largest()), rules)

    def content(kernels: list) -> list[str]:
        return sorted(
            json.dumps([one.operation, one.what["kernel"], dict(one.what["feature"])], sort_keys=True)
            for one in kernels
        )

    assert content(exported) == content(listed)
    assert any(one.operation == "CONCATENATION" for one in listed) == copies


def test_layers_become_kernels_as_the_published_lists_show() -> None:
    shape = (32, 28, 28, 64, 28, 28)
    layers = (
        Layer("one", "conv", (INPUT,), *shape, kernel=3, activation="hswish"),
        Layer("two", "conv", ("one",), 64, 28, 28, 64, 28, 28, kernel=3),
        Layer("sum", "add", ("two", "one"), 64, 28, 28, 64, 28, 28),
        Layer("after", "relu", ("sum",), 64, 28, 28, 64, 28, 28, batch_norm=True),
        Layer("wide", "conv", ("after",), 64, 28, 28, 64, 14, 14, kernel=5, stride=2, groups=64, activation="relu"),
    )
    one, two, wide = kernels_of_layers(layers, KernelRules((64, 64, 27), copies=True))
    assert one.what["kernel"] == "convolution_2d_linked_:_hard_swish"  # too few channels for Winograd
    assert two.what["kernel"] == "convolution_winograd_4x4_6x6"  # never named after what is linked
    assert two.layers == ("two", "sum", "after")
    assert (wide.operation, wide.what["feature"]["input_shape"]) == ("DEPTHWISE_CONV_2D", 32)
    _, two, _ = kernels_of_layers(layers, PLAIN)
    assert two.what["kernel"] == "convolution_2d_linked_:_add_linked_:_mul_linked_:_add_linked_:_relu"
    with pytest.raises(BadInput, match=r"layer 'none' \(operator zero\)"):
        kernels_of_layers((Layer("none", "zero", (INPUT,), *shape),), PLAIN)


def test_a_batch_and_a_product_of_many_rows_have_no_kernel(tmp_path: Path) -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"], name="rows")]
    for batch, message in ((1, "of 5 rows"), (2, "of a batch of 2")):
        ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, 5, 8]) for name in ("x", "y")]
        constants = [numpy_helper.from_array(np.ones((8, 8), np.float32), "w")]
        graph = helper.make_graph(nodes, "rows", ends[:1], ends[1:], constants)
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), tmp_path / "rows.onnx")
        with pytest.raises(BadInput, match=message):
            kernels_of_onnx(onnx_layers(load_onnx(tmp_path / "rows.onnx")), PLAIN)


@given(
    size=st.integers(1, 300),
    in_c=st.integers(1, 1000),
    out_c=st.integers(1, 1000),
    kernel=st.sampled_from((1, 3, 5, 7)),
    stride=st.sampled_from((1, 2)),
    depthwise=st.booleans(),
    winograd=st.none() | st.just((64, 64, 27)),
)
def test_a_description_has_the_layers_work(
    size: int, in_c: int, out_c: int, kernel: int, stride: int, depthwise: bool, winograd: tuple[int, int, int] | None
) -> None:
    out_c, groups, written = in_c if depthwise else out_c, in_c if depthwise else 1, (size - 1) // stride + 1
    layer = Layer("one", "conv", (INPUT,), in_c, size, size, out_c, written, written, kernel, stride, groups)
    (made,) = kernels_of_layers([layer], KernelRules(winograd, copies=False))
    shapes = KernelShapes([made.what])
    macs = shapes.out_size**2 * shapes.out_c * shapes.in_c / shapes.groups * shapes.kernel**2
    assert macs[0] == layer.macs
    assert shapes.depthwise[0] == layer.is_depthwise
    assert ("winograd" in shapes.name[0]) == (
        winograd is not None and not depthwise and (kernel, stride) == (3, 1) and min(in_c, out_c) >= 64 and size >= 27
    )


def inverted_residuals(net: NetworkBuilder, blocks: Sequence[tuple[int, int, int, bool, str, int]]) -> None:
    """Blocks of kernel, channels within and after, squeeze-excite, activation, stride."""
    for index, (kernel, middle, out_c, gated, activation, stride) in enumerate(blocks):
        entry, in_c = net.last, net.c
        if middle != in_c:
            net.conv(f"{index}.expand", middle, activation=activation)
        net.conv(f"{index}.depth", middle, kernel=kernel, stride=stride, groups=middle, activation=activation)
        if gated:
            net._squeeze_excite(str(index))
        net.conv(f"{index}.project", out_c)
        if stride == 1 and in_c == out_c:
            net.join(f"{index}.shortcut", "add", (net.last, entry))


def mobilenetv2() -> list[Layer]:
    """Sandler et al. 2018."""
    net = NetworkBuilder(c=3, h=224, w=224)
    net.conv("stem", 32, kernel=3, stride=2, activation="relu")
    stages = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    blocks, in_c = [], 32
    for expand, out_c, count, stride in stages:
        for place in range(count):
            blocks.append((3, expand * in_c, out_c, False, "relu", stride if place == 0 else 1))
            in_c = out_c
    inverted_residuals(net, blocks)
    net.conv("head", 1280, activation="relu")
    net.pool("pool")
    net.conv("classifier", 1000)
    return net.layers


def mobilenetv3() -> list[Layer]:
    """Howard et al. 2019, the large one."""
    net = NetworkBuilder(c=3, h=224, w=224)
    net.conv("stem", 16, kernel=3, stride=2, activation="hswish")
    early = [(3, 16, 16, 1), (3, 64, 24, 2), (3, 72, 24, 1), (5, 72, 40, 2), (5, 120, 40, 1), (5, 120, 40, 1)]
    late = [(3, 240, 80, 2), (3, 200, 80, 1), (3, 184, 80, 1), (3, 184, 80, 1), (3, 480, 112, 1), (3, 672, 112, 1)]
    last = [(5, 672, 160, 2), (5, 960, 160, 1), (5, 960, 160, 1)]
    relu = [(k, m, c, k == 5, "relu", s) for k, m, c, s in early]
    hswish = [(k, m, c, k == 5 or m in (480, 672), "hswish", s) for k, m, c, s in (*late, *last)]
    inverted_residuals(net, [*relu, *hswish])
    net.conv("head", 960, activation="hswish")
    net.pool("pool")
    net.conv("features", 1280, activation="hswish")
    net.conv("classifier", 1000)
    return net.layers


def resnet10() -> list[Layer]:
    """He et al. 2016, one block a stage; the pool before them is of another kind, which changes no shape."""
    net = NetworkBuilder(c=3, h=224, w=224)
    net.conv("stem", 64, kernel=7, stride=2, activation="relu")
    net.avg_pool("pool", kernel=3, stride=2)
    for stage, out_c in enumerate((64, 128, 256, 512)):
        entry, shape = net.last, (net.c, net.h, net.w)
        net.conv(f"{stage}.one", out_c, kernel=3, stride=2 if stage else 1, activation="relu")
        net.conv(f"{stage}.two", out_c, kernel=3)
        body = net.last
        if stage:
            net.last, (net.c, net.h, net.w) = entry, shape
            net.conv(f"{stage}.shortcut", out_c, stride=2)
            entry = net.last
        net.join(f"{stage}.sum", "add", (body, entry))
        net.relu(f"{stage}.relu")
    net.pool("mean")
    net.linear("classifier", 1000)
    return net.layers


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> list[PublishedTiming]:
    path = rows_with("qed_cnn_gpu_ops.csv.gz", ",tflite,", folder=tmp_path_factory.mktemp("lists"))
    return read_published("mobile-ml-benchmark", path)


@pytest.mark.parametrize("phone", ["pixel4", "s10"])
@pytest.mark.parametrize(
    ("model", "network"),
    [("mobilenetv2b_w1", mobilenetv2), ("mobilenetv3_large_w1", mobilenetv3), ("resnet10", resnet10)],
)
def test_rules_give_the_published_lists(
    lists: list[PublishedTiming], phone: str, model: str, network: Callable[[], list[Layer]]
) -> None:
    own = [timing for timing in lists if timing.device == phone]
    published = [view(timing.what) for timing in own if timing.what["model"] == model]
    made = [view(kernel.what) for kernel in kernels_of_layers(network(), KernelRules(least_winograd(own), False))]
    assert made == published


def view(what: dict) -> tuple:
    """A kernel without its number; of a pool the operator's name, which says the same in several ways, is left out."""
    names = ("input_shape", "input_channel", "output_shape", "stride", "kernel", "filter", "group")
    if "CONV" in what["operation"] or what["operation"] == "FULLY_CONNECTED":
        return (what["operation"], re.sub(r"_\d+", "", what["kernel"]), *(what["feature"][name] for name in names))
    return ("pool", what["feature"]["input_shape"], what["feature"]["input_channel"])


def test_a_network_is_foretold_by_the_kernels_of_other_families(lists: list[PublishedTiming], tmp_path: Path) -> None:
    path = rows_with("qed_cnn_e2e.csv.gz", ",tflite,pixel4,gpu,float,", folder=tmp_path)
    own = [timing for timing in lists if timing.device == "pixel4"] + read_published("mobile-ml-benchmark", path)
    model, _ = fit_published_kernels(
        [timing for timing in own if not family(timing.what["model"]).startswith("mobilenet")]
    )
    for name, network in (("mobilenetv2b_w1", mobilenetv2), ("mobilenetv3_large_w1", mobilenetv3)):
        (true_ms,) = [timing.latency_ms for timing in own if timing.kind == "model" and timing.what["model"] == name]
        sums_ms = model.kernels_ms(kernels_of_layers(network(), model.rules))
        assert sums_ms.sum() > 0
        found = model.of_sums(sums_ms.sum(keepdims=True), np.array([len(sums_ms)]), 0.9)
        assert found.lower_ms[0] < true_ms < found.upper_ms[0]
