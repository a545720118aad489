"""Kernels, networks on other devices, and many genomes at once."""

import numpy as np
import pytest

from natdeploy.devices import load_profile
from natdeploy.ground.errors import BadInput
from natdeploy.latency import prior_latency_model, shipped_latency_model
from natdeploy.latency.inputs.gene_sums import feature_sums
from natdeploy.latency.kernels.model import KernelModel, WholeOfParts
from natdeploy.latency.kernels.work import KernelShapes, kernel_features, kernel_work
from natdeploy.latency.transferred.counterparts import predict_counterparts
from natdeploy.measure.published import PublishedTiming
from natdeploy.spaces import get_space

SPACE = get_space("ofa-mbv3-w1.0")


def convolution(rng: np.random.Generator) -> PublishedTiming:
    """A kernel that takes 1 us per million multiply-adds and 20 us besides."""
    size, in_c, out_c = int(rng.choice([7, 14, 28, 56])), int(rng.integers(8, 200)), int(rng.integers(8, 200))
    shapes = {"input_shape": size, "input_channel": in_c, "output_shape": size, "filter": out_c, "flops": "-"}
    feature = {**shapes, "kernel": 1, "stride": 1, "group": 1}
    what = {"model": "made-up", "operation": "CONV_2D", "feature": feature, "kernel": "convolution_2d_3"}
    return PublishedTiming("operator", what, 0.02 + 1e-6 * size**2 * in_c * out_c)


def test_kernels_are_learned_and_an_unknown_one_is_named() -> None:
    rng = np.random.default_rng(0)
    model = KernelModel.fit([convolution(rng) for _ in range(400)])
    unseen = [convolution(rng) for _ in range(50)]
    true_ms = np.array([timing.latency_ms for timing in unseen])
    found = model.predict_ms([timing.what for timing in unseen])
    assert np.median(np.abs(found / true_ms - 1)) < 0.1
    assert model.predict_ms([]).shape == (0,)
    with pytest.raises(BadInput, match="'SOFTMAX' of net was never measured; known: CONV_2D"):
        model.predict_ms([{"operation": "SOFTMAX", "model": "net", "feature": {}}])
    with pytest.raises(BadInput, match="no timing"):
        KernelModel.fit([])


def test_kernels_larger_than_all_measured_take_as_long_as_their_work() -> None:
    rng = np.random.default_rng(2)
    timings = [convolution(rng) for _ in range(400)]
    what = timings[0].what
    large = {**what, "feature": {**what["feature"], "input_shape": 112, "output_shape": 112, "filter": 512}}
    large["feature"]["input_channel"] = 512
    found = KernelModel.fit(timings).predict_ms([large])[0]
    assert found == pytest.approx(0.02 + 1e-6 * 112**2 * 512**2, rel=0.15)


def test_work_counts_channels_as_a_gpu_computes_them() -> None:
    feature = {"input_shape": 10, "input_channel": 6, "output_shape": 5, "stride": 2, "kernel": 3, "group": 1}
    convolution = {"operation": "CONV_2D", "kernel": "convolution_2d_7_linked_:_add_8", "feature": feature}
    depthwise = {"operation": "DEPTHWISE_CONV_2D", "kernel": "depthwise_convolution_2", "feature": feature}
    mean = {"operation": "MEAN", "kernel": "mean_3", "feature": {**feature, "output_shape": 6, "filter": "-"}}
    shapes = KernelShapes([{**convolution, "feature": {**feature, "filter": 9}}, depthwise, mean])
    assert kernel_work(shapes).tolist() == [
        [1, 25 * 12 * 8 * 9, 100 * 8, 25 * 12 * 2, 6 * 9 * 9],
        [1, 25 * 8 * 9, 100 * 8, 25 * 8, 6 * 9],
        [1, 8 * 8 * 9, 100 * 8, 8, 6 * 6 * 9],
    ]
    features = kernel_features(shapes, ("CONV_2D", "MEAN"))
    assert features.shape[0] == 3 and np.isfinite(features).all()
    winograd = KernelShapes([{**convolution, "kernel": "convolution_winograd_4x4_6x6_1"}])
    assert winograd.kind == ["CONV_2D winograd"] and shapes.kind == ["CONV_2D", "DEPTHWISE_CONV_2D", "MEAN"]


def test_a_whole_is_its_parts_scaled_and_a_constant() -> None:
    sums = np.array([1.0, 2.0, 5.0, 9.0])
    found = WholeOfParts.fit(sums, 1.1 * sums + 3)
    assert (found.scale, found.constant_ms) == pytest.approx((1.1, 3.0))
    assert found(sums) == pytest.approx(1.1 * sums + 3)


def test_a_whole_counts_its_parts_as_well() -> None:
    sums, kernels = np.array([1.0, 2.0, 5.0, 9.0]), np.array([30.0, 10.0, 40.0, 20.0])
    whole = 1.1 * sums + 3 - 0.01 * kernels
    found = WholeOfParts.fit(sums, whole, kernels)
    assert (found.scale, found.constant_ms, found.kernel_ms) == pytest.approx((1.1, 3.0, -0.01))
    assert found(sums, kernels) == pytest.approx(whole)
    with pytest.raises(ValueError, match="how many kernels"):
        found(sums)


def test_networks_of_other_devices_tell_those_of_a_new_one() -> None:
    rng = np.random.default_rng(1)
    size = np.exp(rng.normal(2, 0.7, 120))
    kind = np.exp(rng.normal(0, 0.3, 120))
    others = np.stack([size, size * kind, 2 * size * kind**0.5], axis=1)
    target = 0.5 * size * kind**0.8
    found = predict_counterparts(target[:12], others[:12], others[12:])
    assert np.mean(np.abs(found / target[12:] - 1)) < 0.03
    with pytest.raises(BadInput, match="2 measured networks, at least 3"):
        predict_counterparts(target[:2], others[:2], others[2:])
    with pytest.raises(BadInput, match="positive"):
        predict_counterparts(-target[:5], others[:5], others[5:])


@pytest.mark.usefixtures("without_llvm_mca")
def test_genomes_are_predicted_as_their_architectures() -> None:
    archs = [SPACE.sample(np.random.default_rng(seed)) for seed in range(12)]
    genomes = np.stack([SPACE.encode(arch) for arch in archs])
    table = shipped_latency_model(load_profile("note10"), SPACE)
    assert table is not None
    for model in (table, prior_latency_model(load_profile("rpi5"), SPACE, "tvm")):
        one, many = model.predict(archs), model.predict_genomes(genomes)
        for what in ("mean_ms", "lower_ms", "upper_ms", "extrapolated"):
            np.testing.assert_array_equal(getattr(one, what), getattr(many, what))
        with pytest.raises(BadInput, match=r"expected \(n, 22\)"):
            model.predict_genomes(genomes[:, :5])
    sums = feature_sums(SPACE)
    np.testing.assert_array_equal(sums.of_genomes(genomes), sums(archs))
