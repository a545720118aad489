import math

import numpy as np
import pytest

from natdeploy.ground.errors import BadInput
from natdeploy.latency.intervals.conformal import Conformal, calibration_rank, fit_conformal


def test_rank_is_never_below_split_conformal_and_approaches_the_nominal_share() -> None:
    for networks in (30, 60, 100, 1000, 20000):
        rank = calibration_rank(networks, 0.9)
        assert math.ceil((networks + 1) * 0.9) <= rank <= networks
    assert calibration_rank(20000, 0.9) / 20000 < 0.905


def test_too_few_networks_for_a_coverage_say_how_many_are_needed() -> None:
    with pytest.raises(BadInput, match=r"10 measured networks are too few .* 0\.95; at least (\d+)") as error:
        calibration_rank(10, 0.95)
    needed = int(str(error.value).split("at least ")[1].split()[0])
    assert calibration_rank(needed, 0.95) == needed
    with pytest.raises(BadInput):
        calibration_rank(needed - 1, 0.95)


@pytest.mark.parametrize("coverage", [0, 1, -0.5, 90, float("nan")])
def test_impossible_coverage(coverage: float) -> None:
    with pytest.raises(BadInput, match="coverage must be between 0 and 1"):
        calibration_rank(100, coverage)


@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_coverage_holds_on_average_and_for_small_and_large_networks(coverage: float) -> None:
    rng = np.random.default_rng(0)

    def draw(count: int) -> tuple[np.ndarray, np.ndarray]:
        predicted = np.exp(rng.uniform(-2, 1, count))
        return predicted * np.exp(0.06 * predicted**-0.5 * rng.standard_t(5, count)), predicted

    inside, small = [], []
    for _ in range(40):
        conformal = fit_conformal(*draw(100))
        measured, predicted = draw(400)
        covered = np.abs(np.log(measured / predicted)) <= conformal.half_width(predicted, coverage)
        inside.append(covered.mean())
        small.append(covered[predicted < np.median(predicted)].mean())
    assert coverage <= np.mean(inside) <= coverage + 0.07
    assert np.mean(small) >= coverage - 0.03


def test_harder_sizes_have_wider_intervals() -> None:
    rng = np.random.default_rng(1)
    predicted = np.exp(rng.uniform(-2, 2, 200))
    measured = predicted * np.exp(np.where(predicted < 1, 0.1, 0.01) * rng.standard_normal(200))
    width = fit_conformal(measured, predicted).half_width(np.array([0.2, 5.0]), 0.9)
    assert width[0] > 2 * width[1]


def test_perfect_predictions_and_round_trip() -> None:
    conformal = fit_conformal(np.full(30, 2.0), np.full(30, 2.0))
    assert conformal.half_width(np.array([2.0]), 0.9)[0] == 0
    again = Conformal.from_json(conformal.to_json())
    assert np.array_equal(again.scores, conformal.scores)
