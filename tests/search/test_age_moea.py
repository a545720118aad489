"""AGE-MOEA's survival on fronts whose geometry is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pymoo.core.population import Population
from pymoo.core.problem import Problem

from natdeploy.search.age_moea import GeometrySurvival, survival_scores


def sphere(count: int, power: float) -> np.ndarray:
    """Points of the plane's positive quarter whose ``power``-norm is 1; the diagonal is among them."""
    angles = np.linspace(0, np.pi / 2, count)
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return points / (points**power).sum(axis=1, keepdims=True) ** (1 / power)


def survivors(costs: np.ndarray, count: int) -> list[int]:
    everyone = Population.new("X", np.arange(len(costs), dtype=float)[:, None], "F", costs)
    left = GeometrySurvival().do(Problem(n_var=1, n_obj=costs.shape[1]), everyone, n_survive=count)
    return sorted(int(x) for x in left.get("X")[:, 0])


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0, 4.0])
def test_the_exponent_is_the_fronts(power: float) -> None:
    scores, exponent, scale = survival_scores(3 * sphere(21, power))
    assert exponent == pytest.approx(power) and scale == pytest.approx([3, 3])
    assert np.isinf(scores).sum() == 2 and np.isinf(scores[[0, -1]]).all()


def test_crowded_points_go_and_the_ends_stay() -> None:
    spread = sphere(9, 2.0)
    crowd = sphere(901, 2.0)[440:448]
    left = survivors(np.vstack([crowd, spread]), 10)
    assert set(range(len(crowd), len(crowd) + 9)) - {len(crowd) + 4} <= set(left)  # the middle one may be the crowd's


def test_better_fronts_come_first() -> None:
    front = sphere(6, 1.0)
    costs = np.vstack([front + 0.5, front])
    assert survivors(costs, 6) == [6, 7, 8, 9, 10, 11]
    assert set(survivors(costs, 9)) > {6, 7, 8, 9, 10, 11}


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 4).flatmap(
        lambda width: arrays(
            float, st.tuples(st.integers(1, 20), st.just(width)), elements=st.integers(0, 3).map(float)
        )
    ),
    st.integers(1, 20),
)
def test_any_costs_leave_as_many_as_asked(costs: np.ndarray, count: int) -> None:
    """Equal points, single points, flat fronts."""
    assert len(set(survivors(costs, count))) == min(count, len(costs))
