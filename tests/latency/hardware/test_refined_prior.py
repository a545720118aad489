"""Devices of which little was published: the others' costs, drawn to what there is."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from natdeploy.ground.errors import BadInput
from natdeploy.latency import LatencyModel
from natdeploy.latency.hardware.prior import EXPECTED, DeviceTimes, PriorPredictor, fit_costs
from natdeploy.latency.hardware.refined_prior import Judge, Little, fit_refined_prior
from natdeploy.latency.hardware.roofline import Processor
from natdeploy.measure.published import Publication
from natdeploy.spaces import Arch, Space, get_space

PUBLICATION = Publication("a table", "MIT", "2021", "some runtime")
PROCESSOR = Processor(macs_per_ns=10.0, clock_ghz=2.5, near_kib=256, last_kib=2048)
FBNET, OFA = get_space("fbnet"), get_space("ofa-mbv3-w1.0")
#: A device's own departures from the costs of others.
BENT = np.array([1.5, 0.8, 1.4, 1.0, 1.0, 1.2, 0.9, 1.1])


def sampled(space: Space, count: int, seed: int) -> list[Arch]:
    rng = np.random.default_rng(seed)
    return [space.sample(rng) for _ in range(count)]


def times(space_name: str, cost: np.ndarray, count: int, seed: int, scale: float = 1.0) -> DeviceTimes:
    space = get_space(space_name)
    parts = [space.layers(arch) for arch in sampled(space, count, seed)]
    found = DeviceTimes.of(PROCESSOR, parts, np.ones(count))
    noise = np.exp(np.random.default_rng(seed).normal(0, 0.02, count))
    return replace(found, latency_ms=scale * found.predicted_ms(cost) * noise)


def device(seed: int) -> np.ndarray:
    """Costs of a made-up device."""
    rng = np.random.default_rng(seed)
    return np.array(EXPECTED) * np.exp(rng.normal(0, 0.2, len(EXPECTED)) + rng.normal(0, 0.3))


OTHERS = {f"other{seed}": times(OFA.name, device(seed), 40, seed) for seed in range(5)}


def small(cost: np.ndarray, scale: float = 1.0) -> DeviceTimes:
    return times(FBNET.name, cost, 60, 11, scale)


JUDGES = {
    name: Judge(Little((small(device(seed), 1.1),), full_size=False), OTHERS[name]) for seed, name in enumerate(OTHERS)
}


def fitted(little: Little, judges: dict[str, Judge] = JUDGES, name: str = "new") -> LatencyModel:
    return fit_refined_prior(
        *(little, OTHERS, judges, OFA),
        device=name,
        publication=PUBLICATION,
        how_known="small images",
        training_networks=60,
    )


def errors(cost: np.ndarray, judged: DeviceTimes) -> np.ndarray:
    return np.abs(np.log(judged.predicted_ms(cost) / judged.latency_ms))


def test_small_images_tell_most_of_a_devices_scale() -> None:
    expected = fit_costs(list(OTHERS.values()))
    cost = 2.5 * expected * BENT
    judged = times(OFA.name, cost, 100, 21)
    known = Little((small(cost),), full_size=False).costs(expected)
    assert errors(known, judged).mean() < 0.3
    assert errors(expected, judged).mean() > 0.7


def test_the_scale_of_small_images_is_drawn_to_the_profiles_and_that_of_full_size_is_not() -> None:
    expected = fit_costs(list(OTHERS.values()))
    judged = times(OFA.name, expected, 50, 22)
    found = {
        full_size: np.median(judged.predicted_ms(Little((small(2 * expected),), full_size).costs(expected)))
        for full_size in (False, True)
    }
    assert 1 < found[False] / np.median(judged.predicted_ms(expected)) < 1.9
    assert found[True] / np.median(judged.predicted_ms(expected)) == pytest.approx(2, rel=0.03)


def test_few_networks_tell_the_scale_and_small_images_what_costs_more() -> None:
    expected = fit_costs(list(OTHERS.values()))
    cost = 1.6 * expected * BENT
    few, judged = times(OFA.name, cost, 7, 23), times(OFA.name, cost, 100, 24)
    alone = Little((few,), full_size=True).costs(expected)
    both = Little((few, small(cost, scale=1.4)), full_size=True).costs(expected)
    assert errors(both, judged).mean() < 0.05
    assert errors(both, judged).mean() < errors(alone, judged).mean() + 0.01


def test_a_model_is_judged_by_other_devices_and_its_intervals_hold_on_new_ones() -> None:
    held = []
    for seed in range(50, 60):
        cost = device(seed)
        model = fitted(Little((small(cost, 1.1),), full_size=False))
        assert isinstance(model.predictor, PriorPredictor)
        prior = model.predictor.prior
        held.append(np.mean(errors(prior.cost, times(OFA.name, cost, 20, seed)) <= prior.half_width(0.9)))
    assert np.mean(held) >= 0.85
    assert model.source == "table"
    assert model.quality.mape < model.quality.baselines["prior"].mape
    assert model.quality.networks == sum(len(judge.judged.latency_ms) for judge in JUDGES.values())
    assert model.quality.training_networks == 60
    assert "other0" in model.quality.evaluated_on


def test_a_devices_own_networks_judge_it_too_each_left_out() -> None:
    cost = device(70)
    few = times(OFA.name, cost, 5, 71)
    spoilt = replace(few, latency_ms=few.latency_ms * np.array([1, 1, 3, 1, 1]))
    clean, odd = (fitted(Little((known, small(cost)), full_size=True)) for known in (few, spoilt))
    assert clean.quality.networks == odd.quality.networks == 5 + 200
    assert "5 of its own" in clean.quality.evaluated_on
    assert odd.quality.mape > clean.quality.mape


def test_a_model_is_saved_and_loaded(tmp_path: Path) -> None:
    model = fitted(Little((small(device(80)),), full_size=False))
    model.save(tmp_path / "model.json")
    loaded = LatencyModel.load(tmp_path / "model.json", OFA)
    assert isinstance(loaded.predictor, PriorPredictor) and isinstance(model.predictor, PriorPredictor)
    layers = OFA.layers(OFA.largest())
    found, wanted = (predictor.of_layers(layers, 0.9)[1] for predictor in (loaded.predictor, model.predictor))
    assert np.array_equal(found.upper_ms, wanted.upper_ms)
    assert loaded.origin["source"] == "a table"


def test_too_few_judges_and_judges_of_oneself_are_refused() -> None:
    little = Little((small(device(90)),), full_size=False)
    three = dict(list(JUDGES.items())[:3])
    with pytest.raises(BadInput, match="3 devices to judge by, at least 4"):
        fitted(little, three)
    with pytest.raises(BadInput, match="'other1' is known by little"):
        fitted(little, name="other1")
    with pytest.raises(BadInput, match="at least 3 networks of full size"):
        fitted(Little((times(OFA.name, device(91), 2, 92),), full_size=True))
