import pytest
from hypothesis import given
from hypothesis import strategies as st

from natdeploy.deploy import rank
from natdeploy.deploy.pick import accuracy_latency_front
from natdeploy.ground.errors import BadInput, BudgetNotMet
from tests.deploy.stand_ins import archs, entry

ARCHS = archs(12)


def test_best_takes_the_slowest_of_those_that_validation_cannot_tell_apart() -> None:
    # The difference of two such shares on 400 images has a standard error of 0.013: 0.965 is tied, 0.95 is not.
    entries = [entry(ARCHS[0], 0.97, 4), entry(ARCHS[1], 0.965, 6), entry(ARCHS[2], 0.95, 8)]
    assert [found.latency_ms for found in rank(entries, "best", 10)] == [6, 4, 8]


def test_of_those_nearly_as_slow_best_takes_the_highest_top1() -> None:
    points = [(10, 0.965), (9.5, 0.97), (9.1, 0.968), (8.9, 0.972), (8, 0.975)]
    entries = [entry(arch, top1, ms) for arch, (ms, top1) in zip(ARCHS, points)]
    assert [found.latency_ms for found in rank(entries, "best", 100)] == [9.5, 9.1, 10, 8.9, 8]


def test_a_spotless_model_is_not_certain_to_be_the_best() -> None:
    entries = [entry(ARCHS[0], 1.0, 4, images=269), entry(ARCHS[1], 268 / 269, 6, images=269)]
    assert rank(entries, "best", 10)[0].arch == ARCHS[1]


def test_more_validation_images_tell_more_apart() -> None:
    entries = [entry(ARCHS[0], 0.97, 4, images=100_000), entry(ARCHS[1], 0.965, 6, images=100_000)]
    assert rank(entries, "best", 10)[0].arch == ARCHS[0]


def test_the_upper_end_of_the_interval_holds_the_budget() -> None:
    entries = [entry(ARCHS[0], 0.9, 4), entry(ARCHS[1], 0.99, 5)]
    assert [found.arch for found in rank(entries, "best", 5.4)] == [ARCHS[0]]
    with pytest.raises(BudgetNotMet, match=rf"{ARCHS[0].id}, is predicted to take 4 ms, up to 4\.4"):
        rank(entries, "best", 4.3)
    with pytest.raises(BudgetNotMet, match=ARCHS[1].id):
        rank(entries, ARCHS[1].id, 5.4)


def test_knee_is_farthest_from_the_line_between_the_ends() -> None:
    points = [(1, 0.5), (2, 0.85), (5, 0.9), (9, 1.0), (4, 0.6)]  # the last one is dominated
    entries = [entry(arch, top1, ms) for arch, (ms, top1) in zip(ARCHS, points)]
    order = [found.latency_ms for found in rank(entries, "knee", 10)]
    assert order[0] == 2
    assert order[-1] == 4
    assert sorted(order) == [1, 2, 4, 5, 9]


def test_knee_of_one_point_is_that_point() -> None:
    assert rank([entry(ARCHS[0], 0.9, 4)], "knee", 10)[0].arch == ARCHS[0]


def test_fastest() -> None:
    entries = [entry(ARCHS[0], 0.9, 4), entry(ARCHS[1], 0.5, 2), entry(ARCHS[2], 0.6, 2)]
    assert [found.arch for found in rank(entries, "fastest", 10)] == [ARCHS[2], ARCHS[1], ARCHS[0]]


def test_an_id_or_the_start_of_one() -> None:
    entries = [entry(arch, 0.9, 4) for arch in ARCHS]
    assert [found.arch for found in rank(entries, ARCHS[3].id, 10)] == [ARCHS[3]]
    assert rank(entries, ARCHS[3].id[:8], 10)[0].arch == ARCHS[3]


def test_unknown_and_ambiguous_ids_are_refused() -> None:
    entries = [entry(arch, 0.9, 4) for arch in archs(20)]
    with pytest.raises(BadInput, match=r"'tallest'.*best, knee, fastest or the id"):
        rank(entries, "tallest", 10)
    with pytest.raises(BadInput, match="expected best"):
        rank(entries, "", 10)
    starts = [found.arch.id[0] for found in entries]
    twice = next(start for start in starts if starts.count(start) > 1)
    with pytest.raises(BadInput, match=r"architectures begin so .*more digits"):
        rank(entries, twice, 10)


def test_an_empty_archive_is_said_to_be_one() -> None:
    with pytest.raises(BadInput, match="archive is empty"):
        rank([], "best", 10)


@given(
    points=st.lists(st.tuples(st.floats(0, 1), st.floats(0.1, 20)), min_size=1, max_size=12),
    pick=st.sampled_from(["best", "knee", "fastest"]),
    data=st.data(),
)
def test_ranks_hold_every_feasible_entry_once_whatever_the_order(points, pick, data) -> None:
    entries = [entry(arch, top1, ms) for arch, (top1, ms) in zip(ARCHS, points)]
    feasible = {found.arch for found in entries if found.latency_upper_ms <= 10}
    if not feasible:
        with pytest.raises(BudgetNotMet):
            rank(entries, pick, 10)
        return
    ranked = rank(entries, pick, 10)
    assert len(ranked) == len(feasible) and {found.arch for found in ranked} == feasible
    assert rank(data.draw(st.permutations(entries)), pick, 10) == ranked


@given(points=st.lists(st.tuples(st.floats(0, 1), st.floats(0.1, 20)), min_size=1, max_size=12))
def test_the_front_is_what_nobody_dominates(points) -> None:
    entries = [entry(arch, top1, ms) for arch, (top1, ms) in zip(ARCHS, points)]
    front = accuracy_latency_front(entries)
    for found in front:
        assert not any(
            (other.top1 >= found.top1 and other.latency_ms < found.latency_ms)
            or (other.top1 > found.top1 and other.latency_ms <= found.latency_ms)
            for other in entries
        )
    assert {(found.top1, found.latency_ms) for found in front} == {
        (a.top1, a.latency_ms)
        for a in entries
        if not any(
            b.top1 >= a.top1 and b.latency_ms <= a.latency_ms and (b.top1, b.latency_ms) != (a.top1, a.latency_ms)
            for b in entries
        )
    }
