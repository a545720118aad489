"""Intervals of a median hold it as often as they say, whatever the distribution."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from natdeploy.deploy.interval import latency_interval, median_interval
from natdeploy.measure.measurement import Visit
from tests.deploy.stand_ins import archs, timing


def test_it_holds_the_median_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    for count, confidence in ((10, 0.95), (18, 0.95), (18, 0.8)):
        samples = rng.lognormal(0, 0.5, (4000, count))  # the median is 1
        ends = np.array([median_interval(list(one), confidence) for one in samples])
        held = ((ends[:, 0] <= 1) & (ends[:, 1] >= 1)).mean()
        assert confidence - 0.015 <= held < 1


def test_known_ranks() -> None:
    values = list(range(1, 11))
    assert median_interval(values, 0.95) == (2, 9)  # 97.9 %; the third to the eighth would hold 89.1 %
    assert median_interval(values, 0.99) == (1, 10)
    assert median_interval([3.0], 0.95) == (3.0, 3.0)
    with pytest.raises(ValueError, match="no values"):
        median_interval([], 0.9)


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=30), st.floats(0.5, 0.999))
def test_it_lies_within_the_values_and_holds_their_median(values: list[float], confidence: float) -> None:
    lower, upper = median_interval(values, confidence)
    assert min(values) <= lower <= np.median(values) <= upper <= max(values)


def test_visits_are_divided_by_the_reference_around_them() -> None:
    arch = archs(1)[0]
    visits = tuple(Visit((2.0 * slow,) * 4, 1.0 * slow) for slow in (1.0, 1.5, 3.0, 1.0, 2.0))
    taken = replace(timing(arch, 2.0), visits=visits, reference_ms=1.0, protocol={"threads": 1, "visit_quantile": 0.1})
    assert latency_interval(taken, 0.95) == (pytest.approx(2.0), pytest.approx(2.0))


def test_a_timing_without_a_reference_has_series() -> None:
    taken = replace(timing(archs(1)[0], 2.0), samples_ms=(1.0, 1.0, 9.0, 2.0, 2.0, 2.0, 3.0, 8.0, 3.0))
    taken = replace(taken, protocol={"threads": 1, "repeats": 3})
    assert latency_interval(taken, 0.9) == (1.0, 3.0)
