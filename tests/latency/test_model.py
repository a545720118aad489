import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import content_key
from natdeploy.latency import LatencyModel, fit_latency_model
from natdeploy.spaces import costs, get_space
from tests.latency.timings import help_space, made_up, measurement, true_ms

MICRO = get_space("mbv3-micro")


@pytest.fixture(scope="module")
def model() -> LatencyModel:
    return fit_latency_model([*made_up(100), *made_up(40, seed=1, role="holdout")], "mbv3-micro")


@pytest.fixture
def saved(model: LatencyModel, tmp_path: Path) -> Path:
    model.save(tmp_path / "model.json")
    return tmp_path / "model.json"


def archs(count: int, seed: int = 9) -> list:
    rng = np.random.default_rng(seed)
    return [MICRO.sample(rng) for _ in range(count)]


def test_predictions_are_positive_ordered_and_those_of_the_device(model: LatencyModel) -> None:
    batch = [MICRO.smallest(), MICRO.largest(), *archs(200)]
    found = model.predict(batch)
    assert len(found) == 202
    assert (found.lower_ms > 0).all()
    assert (found.lower_ms < found.mean_ms).all()
    assert (found.mean_ms < found.upper_ms).all()
    error = np.abs(found.mean_ms / [true_ms(MICRO.layers(arch)) for arch in batch] - 1)
    assert np.median(error) < 0.03


def test_larger_networks_are_predicted_slower(model: LatencyModel) -> None:
    batch = archs(300)
    macs = np.array([costs(MICRO.layers(arch)).macs for arch in batch])
    mean_ms = model.predict(batch).mean_ms
    assert np.corrcoef(macs, mean_ms)[0, 1] > 0.8
    ends = model.predict([MICRO.smallest(), MICRO.largest()]).mean_ms
    assert ends[0] < mean_ms.min() < mean_ms.max() < ends[1]


def test_a_prediction_does_not_depend_on_its_batch(model: LatencyModel) -> None:
    batch = archs(50)
    alone = np.concatenate([model.predict([arch]).mean_ms for arch in batch[:5]])
    assert np.array_equal(alone, model.predict(batch).mean_ms[:5])
    assert len(model.predict([])) == 0


def test_more_coverage_is_wider(model: LatencyModel) -> None:
    widths = [np.median(model.predict(archs(50), coverage=share).upper_ms) for share in (0.5, 0.8, 0.9, 0.95)]
    assert widths == sorted(widths)
    with pytest.raises(BadInput, match="coverage must be between 0 and 1"):
        model.predict(archs(1), coverage=90)
    with pytest.raises(BadInput, match="too few"):
        model.predict(archs(1), coverage=0.9999)


def test_networks_outside_the_training_range_are_flagged_and_wider() -> None:
    small = [item for item in made_up(400) if item.arch.r == 24][:60]
    model = fit_latency_model(small, MICRO)
    found = model.predict([small[0].arch, MICRO.largest()])
    width = found.upper_ms / found.lower_ms
    assert found.extrapolated.tolist() == [False, True]
    assert width[1] > 1.5 * width[0]
    assert found.mean_ms[1] > found.mean_ms[0]


def test_round_trip_gives_identical_predictions_and_bytes(model: LatencyModel, saved: Path, tmp_path: Path) -> None:
    again = LatencyModel.load(saved, "mbv3-micro")
    one, two = model.predict(archs(300)), again.predict(archs(300))
    for name in ("mean_ms", "lower_ms", "upper_ms", "extrapolated"):
        assert np.array_equal(getattr(one, name), getattr(two, name))
    assert again.quality == model.quality
    assert (again.device, again.runtime, again.source) == ("made-up", "onnxruntime", "measured")
    again.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == saved.read_bytes()
    assert saved.stat().st_size < 2_000_000


def test_more_classes_cost_more(model: LatencyModel) -> None:
    ten, many = model.predict(archs(20)), model.predict(archs(20), num_classes=1000)
    assert (many.mean_ms >= ten.mean_ms).all()


def test_a_space_outside_the_registry(tmp_path: Path) -> None:
    space = replace(help_space(), resolutions=(128, 160))
    model = fit_latency_model(made_up(40, space=space), space)
    model.save(tmp_path / "model.json")
    arch = space.sample(np.random.default_rng(1))
    assert np.array_equal(
        LatencyModel.load(tmp_path / "model.json", space).predict([arch]).mean_ms, model.predict([arch]).mean_ms
    )


def test_an_architecture_of_another_space(model: LatencyModel) -> None:
    with pytest.raises(BadInput, match=r"mbv3-micro.*ofa-mbv3-w1\.0"):
        model.predict([get_space("ofa-mbv3-w1.0").smallest()])


def resigned(path: Path, change) -> None:
    value = json.loads(path.read_text())
    change(value["model"])
    value["sha256"] = content_key(value["model"])
    path.write_text(json.dumps(value))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.unlink(), "no such latency model"),
        (lambda path: path.write_text("{"), "not a readable latency model"),
        (lambda path: path.write_bytes(b"\x80\x04pickle"), "not a readable latency model"),
        (lambda path: path.write_text("[1]"), "not a latency model"),
        (lambda path: path.write_text(path.read_text().replace('"schema_version":1', '"schema_version":9')), "9, exp"),
        (lambda path: path.write_text(path.read_text().replace("made-up", "made-on")), "damaged latency model"),
        (lambda path: resigned(path, lambda body: body.pop("device")), "'device'"),
        (lambda path: resigned(path, lambda body: body["predictor"]["mean"].update(booster={})), "XGBoost part"),
        (lambda path: resigned(path, lambda body: body["predictor"]["mean"]["rates_ms"].pop("macs")), "'macs'"),
    ],
)
def test_files_that_are_not_a_model_are_named(saved: Path, spoil, message: str) -> None:
    spoil(saved)
    with pytest.raises(BadInput, match=message) as error:
        LatencyModel.load(saved)
    assert str(saved) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_model_of_another_space(saved: Path) -> None:
    with pytest.raises(BadInput, match=r"model\.json: latency model of space 'mbv3-micro', expected 'ofa-mbv3-w1\.2'"):
        LatencyModel.load(saved, "ofa-mbv3-w1.2")


def test_a_failing_write_leaves_nothing(model: LatencyModel, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot write here"):
        model.save(tmp_path / "file" / "model.json")
    with pytest.raises(BadInput, match="disk is full"):
        model.save("/dev/full")


def test_one_timing_is_enough_to_change_the_model() -> None:
    timings = made_up(40)
    slower = [measurement(timings[0].arch, 2 * timings[0].latency_ms), *timings[1:]]
    one, two = (fit_latency_model(each, MICRO).predict(archs(5)).mean_ms for each in (timings, slower))
    assert not np.array_equal(one, two)


def test_a_model_knows_the_timings_it_can_be_held_against(model: LatencyModel) -> None:
    mine = made_up(1)[0]
    assert model.is_about(mine)
    for other in (
        {"runtime": "tvm"},
        {"device_fingerprint": "another"},
        {"space": "ofa-mbv3-w1.0"},
        {"toolchain": {"onnxruntime": "2.0"}},
    ):
        assert not model.is_about(replace(mine, **other))
