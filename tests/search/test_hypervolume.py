import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from natdeploy.search import dominated_share, hypervolume
from tests.search.make import made_up, objectives


def test_by_hand() -> None:
    assert dominated_share(np.array([[0.5, 0.5]])) == pytest.approx(0.25)
    assert dominated_share(np.array([[0.5, 0.5], [0.25, 0.75]])) == pytest.approx(0.25 + 0.25 * 0.25)
    assert dominated_share(np.array([[0.3], [0.6]])) == pytest.approx(0.7)
    assert dominated_share(np.array([[0.5, 0.5, 0.5]])) == pytest.approx(0.125)
    assert dominated_share(np.empty((0, 2))) == 0
    assert dominated_share(np.array([[0.1, 1.0], [2.0, 0.1]])) == 0
    assert dominated_share(np.full((1, 8), 0.5)) == pytest.approx(0.5**8, rel=0.05)


@given(arrays(float, (6, 2), elements=st.floats(0, 1.5)), arrays(float, 2, elements=st.floats(0, 1.5)))
def test_more_points_never_dominate_less(points: np.ndarray, point: np.ndarray) -> None:
    assert -1e-12 <= dominated_share(points) <= dominated_share(np.vstack([points, point])) + 1e-12 <= 1 + 1e-9


def test_what_is_over_the_budget_counts_nothing() -> None:
    entries = made_up([(0.9, 2.0), (0.99, 5.5)])
    chosen = objectives()
    assert hypervolume(entries, chosen) == hypervolume(entries[:1], chosen) > 0


def test_the_reference_does_not_depend_on_the_archive() -> None:
    """A published code took the initial archive's worst values: hypervolumes of two runs could not be compared."""
    first, second = made_up([(0.9, 2.0)]), made_up([(0.9, 2.0), (0.95, 4.9)])
    chosen = objectives()
    assert hypervolume(first, chosen) < hypervolume(second, chosen) < hypervolume(first, chosen) + 0.05 * 0.02 + 1e-3
    assert hypervolume(first, chosen) == pytest.approx((0.9 - 0.001) * (1 - 2 / 5), abs=1e-3)
