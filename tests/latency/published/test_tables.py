import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from natdeploy.ground.errors import BadInput
from natdeploy.latency import LatencyModel, fit_published_networks, fit_table_model, operator_lists
from natdeploy.latency.published.block_costs import block_kind
from natdeploy.latency.published.block_regression import fit_blocks
from natdeploy.latency.published.table_fit import block_table
from natdeploy.latency.published.table_predictor import table_blocks
from natdeploy.measure.published import Publication, PublishedTiming
from natdeploy.spaces import Block, get_space
from natdeploy.spaces.mobilenetv3 import MobileNetV3Space

MICRO = get_space("mbv3-micro")
SIZES = (20, 24, 28, 32, 36)
ORIGIN = Publication("a paper", "MIT", "2020", "tflite")


def block_ms(block: Block) -> float:
    """A made-up device: rates, a cost per block, and maps that do not fit its vectors."""
    macs = block.out_h * block.out_w * block.in_c * block.out_c * block.kernel**2
    if block.op == "mbconv":
        macs = block.in_h * block.in_w * block.in_c * block.mid_c
        macs += block.out_h * block.out_w * block.mid_c * (block.out_c + 3 * block.kernel**2)
    if block.op in ("pool", "linear"):
        macs = block.in_h * block.in_w * block.in_c * block.out_c
    return 0.01 + macs * (1.05 if block.out_w % 4 else 1.0) / 2e7


def published(space: MobileNetV3Space, sizes: tuple[int, ...] = SIZES) -> list[PublishedTiming]:
    """A table of all blocks of a space."""
    wide = replace(space, resolutions=sizes)
    rng = np.random.default_rng(0)
    found = dict.fromkeys(block for _ in range(1500) for block in table_blocks(wide.layers(wide.sample(rng))))
    return [PublishedTiming("block", block.to_json(), block_ms(block)) for block in found]


@pytest.fixture(scope="module")
def timings() -> list[PublishedTiming]:
    return published(MICRO)


@pytest.fixture(scope="module")
def model(timings: list[PublishedTiming]) -> LatencyModel:
    return fit_table_model(timings, MICRO, device="made-up", publication=ORIGIN)


def sampled(count: int, seed: int = 5) -> list:
    rng = np.random.default_rng(seed)
    return [MICRO.sample(rng) for _ in range(count)]


def test_networks_of_the_table_are_sums_of_its_rows(model: LatencyModel) -> None:
    batch = sampled(20)
    sums = [sum(map(block_ms, table_blocks(MICRO.layers(arch)))) for arch in batch]
    found = model.predict(batch)
    assert np.allclose(found.mean_ms, sums, rtol=1e-4)
    assert (found.lower_ms < found.mean_ms).all()
    assert (found.mean_ms * 1.009 < found.upper_ms).all()
    assert (model.source, model.runtime, model.origin["licence"]) == ("table", "tflite", "MIT")
    assert model.quality.evaluated_on == "sums of blocks, image sizes left out"


def test_image_sizes_that_the_table_lacks(timings: list[PublishedTiming]) -> None:
    regression = fit_blocks(block_table(published(MICRO, (20, 24, 32, 36))))
    unseen = [Block(**timing.what) for timing in timings if Block(**timing.what) not in regression.table]
    assert len(unseen) > 50
    mean_ms, spread = regression.predict(unseen)
    errors = np.abs(mean_ms / [block_ms(block) for block in unseen] - 1)
    assert errors.mean() < 0.05
    assert (spread > 0).all()


def test_channels_that_the_table_lacks_widen_the_interval(model: LatencyModel, timings: list[PublishedTiming]) -> None:
    narrow = replace(MICRO, name="narrow", stem_c=8, stage_c=(8, 24, 32, 48, 56), final_c=320)
    other = fit_table_model(
        timings, narrow, device="made-up", publication=ORIGIN, measured_space="mbv3-micro", coverage=0.8
    )
    rng = np.random.default_rng(6)
    batch = [narrow.sample(rng) for _ in range(20)]
    found, own = other.predict(batch), model.predict(sampled(20), coverage=0.8)
    true_ms = np.array([sum(map(block_ms, table_blocks(narrow.layers(arch)))) for arch in batch])
    assert np.abs(found.mean_ms / true_ms - 1).mean() < 0.15
    assert np.median(found.upper_ms / found.mean_ms) > np.median(own.upper_ms / own.mean_ms)
    assert other.quality.evaluated_on == "sums of blocks, channels left out"


def test_more_coverage_is_wider_and_more_classes_cost_more(model: LatencyModel) -> None:
    batch = sampled(10)
    widths = [np.median(model.predict(batch, coverage=share).upper_ms) for share in (0.8, 0.9, 0.95)]
    assert widths == sorted(widths)
    assert (model.predict(batch, num_classes=100).mean_ms > model.predict(batch).mean_ms).all()


def test_a_kind_without_rows_is_named_and_not_free(timings: list[PublishedTiming]) -> None:
    without = [timing for timing in timings if timing.what["op"] != "pool"]
    pool = next(Block(**timing.what) for timing in timings if timing.what["op"] == "pool")
    with pytest.raises(BadInput, match=r"block pool .* is of kind pool, which was never measured"):
        fit_blocks(block_table(without)).predict([pool])
    assumed = fit_blocks(block_table(without), assumed=("pool",))
    assert assumed.predict([pool])[0][0] > 0
    assert block_kind(pool) == "pool"
    with pytest.raises(BadInput, match="at least 30"):
        fit_blocks(block_table(timings[:20]))


def test_round_trip(model: LatencyModel, tmp_path: Path) -> None:
    model.save(tmp_path / "model.json")
    again = LatencyModel.load(tmp_path / "model.json", "mbv3-micro")
    batch = sampled(20)
    one, two = model.predict(batch), again.predict(batch)
    assert np.array_equal(one.mean_ms, two.mean_ms)
    assert np.array_equal(one.upper_ms, two.upper_ms)
    assert (again.origin, again.quality) == (model.origin, model.quality)
    again.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "model.json").read_bytes()


def convolution(model: str, index: int, in_c: int, size: int) -> PublishedTiming:
    feature = {"input_shape": size, "input_channel": in_c, "output_shape": size, "stride": 1, "kernel": 1}
    feature |= {"filter": 2 * in_c, "group": 1}
    what = {"model": model, "op_index": index, "operation": "CONV_2D", "feature": feature, "kernel": "k"}
    if index == 0:
        what["operation"] = "DEPTHWISE_CONV_2D"
        feature["filter"] = 1
    return PublishedTiming("operator", what, 0.1, runtime="tflite")


def models(setting: str = "1large float") -> tuple[list[PublishedTiming], list[PublishedTiming]]:
    rng = np.random.default_rng(3)
    operators, timings = [], []
    for number in range(40):
        name = f"{'abcdefgh'[number % 8]}net_{number}"
        count = int(rng.integers(5, 30))
        own = [
            convolution(name, index, 8 * int(rng.integers(1, 9)), int(rng.integers(4, 60))) for index in range(count)
        ]
        macs = sum(
            item.what["feature"]["input_shape"] ** 2 * item.what["feature"]["input_channel"] ** 2 * 2 for item in own
        )
        latency_ms = (0.05 * count + macs / 1e7) * np.exp(0.03 * rng.standard_normal())
        operators += own
        timings.append(PublishedTiming("model", {"model": name}, float(latency_ms), None, "phone", "tflite", setting))
    return timings, operators


def test_networks_from_published_models_and_their_operators(tmp_path: Path) -> None:
    timings, operators = models()
    model = fit_published_networks(timings, operator_lists(operators), MICRO, device="phone", publication=ORIGIN)
    assert model.quality.mape < 0.06 < model.quality.baselines["macs"].mape + 0.05
    assert model.quality.evaluated_on == "published networks with depthwise convolutions, families left out"
    found = model.predict([MICRO.smallest(), MICRO.largest()])
    assert 0 < found.lower_ms[0] < found.mean_ms[0] < found.mean_ms[1] < found.upper_ms[1]
    model.save(tmp_path / "model.json")
    again = LatencyModel.load(tmp_path / "model.json").predict([MICRO.smallest(), MICRO.largest()])
    assert np.array_equal(again.upper_ms, found.upper_ms)


def test_published_models_that_cannot_be_learned_from() -> None:
    timings, operators = models()
    layers = operator_lists(operators)
    other, _ = models("gpu float")
    with pytest.raises(BadInput, match="2 settings cannot be mixed"):
        fit_published_networks(timings + other, layers, MICRO, device="phone", publication=ORIGIN)
    with pytest.raises(BadInput, match="10 with known operators, at least 30"):
        fit_published_networks(timings[:10], layers, MICRO, device="phone", publication=ORIGIN)
    alike = {name: [layer for layer in own if not layer.is_depthwise] for name, own in layers.items()}
    with pytest.raises(BadInput, match="fewer than two have depthwise convolutions"):
        fit_published_networks(timings, alike, MICRO, device="phone", publication=ORIGIN)
    odd = replace(operators[0], what={**operators[0].what, "operation": "SOFTMAX"})
    with pytest.raises(BadInput, match="unknown operator 'SOFTMAX'"):
        operator_lists([odd])
    broken = json.loads(json.dumps(dict(operators[1].what)))
    del broken["feature"]["filter"]
    with pytest.raises(BadInput, match="'CONV_2D' without a usable field 'filter'"):
        operator_lists([replace(operators[0], what=broken)])
