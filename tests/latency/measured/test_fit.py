from dataclasses import replace

import numpy as np
import pytest

from natdeploy.ground.errors import BadInput
from natdeploy.latency import Quality, fit_latency_model
from natdeploy.spaces import get_space
from tests.latency.timings import help_space, made_up, measurement, published

MICRO = get_space("mbv3-micro")
TRAIN = made_up(50)
HOLDOUT = made_up(60, seed=1, role="holdout")
PROBES = [MICRO.sample(np.random.default_rng(seed)) for seed in range(100, 110)]


def predicted(measurements: list, **settings) -> np.ndarray:
    found = fit_latency_model(measurements, MICRO, **settings).predict(PROBES)
    return np.stack([found.mean_ms, found.lower_ms, found.upper_ms])


def test_equal_seeds_give_equal_models_whatever_the_order() -> None:
    assert np.array_equal(predicted(TRAIN, seed=3), predicted(TRAIN[::-1], seed=3))
    assert not np.array_equal(predicted(TRAIN, seed=3), predicted(TRAIN, seed=4))


def test_holdout_networks_are_never_trained_on() -> None:
    """Not even through a timing in another role, and not through their own latencies."""
    plain = predicted(TRAIN)
    assert np.array_equal(plain, predicted([*TRAIN, *HOLDOUT]))
    as_build = [replace(item, role="build", latency_ms=9 * item.latency_ms) for item in HOLDOUT]
    assert np.array_equal(plain, predicted([*TRAIN, *HOLDOUT, *as_build]))
    repeats = [replace(item, role="repeat", latency_ms=9 * item.latency_ms) for item in TRAIN]
    assert np.array_equal(plain, predicted([*TRAIN, *repeats]))


def test_builds_are_trained_on_and_untrusted_timings_are_not() -> None:
    extra = made_up(5, seed=2)
    assert not np.array_equal(predicted(TRAIN), predicted([*TRAIN, *(replace(item, role="build") for item in extra)]))
    assert np.array_equal(predicted(TRAIN), predicted([*TRAIN, *(replace(item, trusted=False) for item in extra)]))


def test_several_timings_of_a_network_count_as_their_median() -> None:
    twice = [replace(TRAIN[0], latency_ms=50.0), TRAIN[0]]
    assert np.array_equal(predicted(TRAIN), predicted([*TRAIN, *twice]))


def test_a_timing_that_spreads_counts_less() -> None:
    """Ten networks timed 1.5 times as slow by a busy machine hardly matter when their own spread tells of it."""
    honest = predicted(TRAIN)[0]
    slow = [replace(item, latency_ms=1.5 * item.latency_ms) for item in TRAIN[:10]]
    told = [replace(item, mad_ms=0.3 * item.latency_ms) for item in slow]
    shift = [np.abs(predicted([*ten, *TRAIN[10:]])[0] / honest - 1).mean() for ten in (told, slow)]
    assert shift[0] < 0.7 * shift[1]


def test_timings_of_an_older_toolchain_are_left_out() -> None:
    old = [
        replace(item, toolchain={"onnxruntime": "0.9"}, taken_at="2025-01-01T00:00:00") for item in made_up(30, seed=3)
    ]
    assert np.array_equal(predicted(TRAIN), predicted([*old, *TRAIN]))
    built = replace(made_up(1, seed=4)[0], role="build", toolchain={"onnxruntime": "0.9"}, taken_at="2027-01-01")
    assert np.array_equal(predicted(TRAIN), predicted([*TRAIN, built]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"runtime": "tvm"}, "more than one runtime cannot be mixed: onnxruntime, tvm"),
        ({"device_fingerprint": "ff"}, "more than one device cannot be mixed"),
        ({"protocol": {"threads": 2}}, "more than one thread count"),
        ({"space": "ofa-mbv3-w1.0"}, r"more than one space cannot be mixed: mbv3-micro, ofa-mbv3-w1\.0"),
        ({"latency_ms": 0.0}, r"is 0\.0 ms; expected a positive number"),
        ({"latency_ms": float("nan")}, "is nan ms"),
    ],
)
def test_what_must_not_be_mixed(change: dict, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        fit_latency_model([*TRAIN, replace(TRAIN[0], **change)], MICRO)


def test_timings_of_another_space_or_too_few() -> None:
    with pytest.raises(BadInput, match="more than one space"):
        fit_latency_model(TRAIN, "ofa-mbv3-w1.0")
    with pytest.raises(BadInput, match="29 measured networks of mbv3-micro to train on, at least 30"):
        fit_latency_model(TRAIN[:29], MICRO)
    with pytest.raises(BadInput, match=r"0 measured networks .* \(50 timings untrusted"):
        fit_latency_model([replace(item, trusted=False) for item in TRAIN], MICRO)
    with pytest.raises(BadInput, match=r"too few for intervals of coverage 0\.99"):
        fit_latency_model(TRAIN, MICRO, coverage=0.99)
    with pytest.raises(BadInput):
        fit_latency_model([], MICRO)


def test_quality_stands_beside_baselines_and_repeatability() -> None:
    again = [replace(item, role="repeat", latency_ms=item.latency_ms * 1.07) for item in HOLDOUT[:10]]
    quality = fit_latency_model([*TRAIN, *HOLDOUT, *again], MICRO).quality
    assert (quality.evaluated_on, quality.networks, quality.training_networks) == ("holdout", 60, 50)
    assert (quality.repeatability_within5, quality.repeatability_within10, quality.repeats) == (0, 1, 10)
    assert set(quality.baselines) == {"macs", "lookup table"}
    assert quality.mape < 0.06
    assert quality.mape < quality.baselines["macs"].mape
    assert quality.spearman > 0.95
    assert quality.within5 <= quality.within10 <= 1
    assert Quality.from_json(quality.to_json()) == quality


def test_without_holdout_networks_each_is_left_out_in_turn() -> None:
    quality = fit_latency_model(TRAIN, MICRO).quality
    assert (quality.evaluated_on, quality.networks, quality.repeats) == ("cross-validation", 50, 0)
    assert quality.repeatability_within5 is None
    assert quality.mape > 0.005


@pytest.mark.parametrize("noise", [0.01, 0.05])
def test_intervals_hold_on_noisy_timings(noise: float) -> None:
    timings = made_up(620, noise=noise)
    found = []
    for start in (0, 100, 200):
        judged = [replace(item, role="holdout") for item in timings[300:]]
        found.append(fit_latency_model([*timings[start : start + 100], *judged], MICRO).quality)
    assert 0.88 <= np.mean([quality.coverage for quality in found]) <= 0.98
    assert max(quality.interval_width for quality in found) <= 0.4


@pytest.mark.parametrize(("device", "batch"), [("titan_rtx", 1), ("v100", 64)])
def test_published_timings_of_ofa_subnets(device: str, batch: int) -> None:
    timings = published(device, batch, 420)
    judged = [replace(item, role="holdout") for item in timings[120:]]
    quality = fit_latency_model([*timings[:120], *judged], help_space()).quality
    assert quality.coverage >= 0.86
    assert quality.interval_width <= 0.2
    assert quality.within5 >= 0.9
    assert quality.mape < 0.5 * quality.baselines["macs"].mape
    assert quality.spearman >= quality.baselines["macs"].spearman


def test_a_timing_without_an_architecture_is_of_no_use_and_no_harm() -> None:
    foreign = replace(measurement(MICRO.smallest(), 1.0), arch=None)
    assert np.array_equal(predicted(TRAIN), predicted([*TRAIN, foreign]))
