import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from natdeploy.search.candidates import select_candidates

LEARNED = np.array([True, False])


def line(count: int) -> np.ndarray:
    """A front from (0.5, 0.1) to (0.1, 1.0)."""
    share = np.linspace(0, 1, count)
    return np.stack([0.5 - 0.4 * np.sqrt(share), 0.1 + 0.9 * share], axis=1)


def test_accuracy_counts() -> None:
    """A published code spread candidates over costs alone, whatever their accuracy."""
    front = line(20)
    worse = front + [0.3, 0.0]
    chosen = select_candidates(np.vstack([worse, front]), LEARNED, np.empty((0, 2)), 8)
    assert (chosen >= 20).all()


def test_the_most_accurate_comes_first_and_the_front_is_covered() -> None:
    front = line(101)
    chosen = select_candidates(front, LEARNED, np.empty((0, 2)), 8)
    assert chosen[0] == 100
    latencies = np.sort(front[chosen, 1])
    assert latencies[0] < 0.25 and np.diff(latencies).max() < 0.3


def test_what_the_archive_has_is_not_looked_at_again() -> None:
    front = line(101)
    archived = front[:60] - [0.001, 0.0]
    chosen = select_candidates(front, LEARNED, archived, 6)
    assert (chosen >= 58).all()


def test_of_many_accuracies_the_ones_with_most_to_gain_come_first_and_half_of_the_places_stay() -> None:
    """Eleven accuracies and six places: were each one's best taken in turn, the last five would never have one."""
    rng = np.random.default_rng(0)
    predicted = 0.5 + 0.1 * rng.random((60, 12))
    learned = np.arange(12) > 0
    archived = np.full((3, 12), 0.5)
    gains = {9: 0.3, 11: 0.2, 4: 0.1}
    for row, (objective, gain) in enumerate(gains.items()):
        predicted[row, objective] = 0.5 - gain
    chosen = select_candidates(predicted, learned, archived, 6)
    assert set(chosen[:3].tolist()) == {0, 1, 2} and len(set(chosen.tolist())) == 6
    best = set(predicted[:, 1:].argmin(0).tolist())
    assert not set(chosen[3:].tolist()) <= best  # the others lie between the ends


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 5).flatmap(
        lambda width: st.tuples(
            arrays(float, st.tuples(st.integers(0, 30), st.just(width)), elements=st.floats(0, 1)),
            arrays(float, st.tuples(st.integers(0, 10), st.just(width)), elements=st.floats(0, 1)),
        )
    ),
    st.integers(0, 12),
)
def test_distinct_and_as_many_as_there_are(costs: tuple[np.ndarray, np.ndarray], count: int) -> None:
    predicted, archived = costs
    learned = np.arange(predicted.shape[1]) == 0
    chosen = select_candidates(predicted, learned, archived, count)
    assert len(set(chosen.tolist())) == len(chosen) == min(count, len(predicted))
