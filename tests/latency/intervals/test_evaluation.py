"""Figures of a predictor, from what it said of networks and what these took."""

import numpy as np
import pytest

from natdeploy.latency import LatencyPrediction
from natdeploy.latency.intervals.conformal import Conformal
from natdeploy.latency.intervals.evaluation import Outcome, quality_of

MEASURED = np.array([1.0, 2.0, 4.0, 8.0])


def test_figures_are_of_the_networks_that_were_judged() -> None:
    prediction = LatencyPrediction.around(np.array([1.0, 2.08, 4.8, 8.0]), np.log(1.1))
    quality = quality_of(Outcome("holdout", MEASURED, prediction, {"macs": MEASURED[::-1]}), 0.8, 30)
    assert (quality.within5, quality.within10, quality.coverage) == (0.75, 0.75, 0.75)
    assert quality.mape == pytest.approx((0.04 + 0.2) / 4)
    assert quality.interval_width == pytest.approx(1.1 - 1 / 1.1)
    assert (quality.nominal_coverage, quality.networks, quality.training_networks) == (0.8, 4, 30)
    assert (quality.evaluated_on, quality.spearman, quality.baselines["macs"].spearman) == ("holdout", 1.0, -1.0)
    assert (quality.repeats, quality.repeatability_within5) == (0, None)


def test_networks_timed_twice_say_how_far_timings_repeat() -> None:
    outcome = Outcome("cross-validation", MEASURED, LatencyPrediction.around(MEASURED, 0.1))
    quality = quality_of(outcome, 0.9, 4, (MEASURED[:2], MEASURED[:2] * [1.02, 1.08]))
    assert (quality.repeats, quality.repeatability_within5, quality.repeatability_within10) == (2, 0.5, 1.0)
    assert quality.baselines == {}


def test_intervals_around_a_mean_are_as_wide_as_calibrated() -> None:
    conformal = Conformal(np.linspace(0.01, 1, 100), np.zeros(1), np.full(1, 0.2))
    found = LatencyPrediction.around(MEASURED, conformal.half_width(MEASURED, 0.9))
    np.testing.assert_allclose(found.upper_ms / MEASURED, MEASURED / found.lower_ms, rtol=1e-12)
    np.testing.assert_allclose(np.log(found.upper_ms / MEASURED), conformal.half_width(MEASURED, 0.9), rtol=1e-12)
    assert not found.extrapolated.any()
    assert LatencyPrediction.around(MEASURED, 0.1, MEASURED > 3).extrapolated.tolist() == [False, False, True, True]
