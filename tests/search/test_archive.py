from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from natdeploy.runs import Requirements
from natdeploy.runs.quantities import with_ends
from natdeploy.search.archive import first_fronts, front, keep, non_dominated
from tests.search.make import evaluated, made_up, objectives, sample

points = arrays(float, st.tuples(st.integers(1, 12), st.integers(1, 3)), elements=st.integers(0, 4).map(float))


@given(points)
def test_non_dominated_by_definition(costs: np.ndarray) -> None:
    kept = non_dominated(costs)
    for index in range(len(costs)):
        beaten = any((other <= costs[index]).all() and (other < costs[index]).any() for other in costs)
        same_before = any((costs[earlier] == costs[index]).all() for earlier in range(index))
        assert (index in kept) == (not beaten and not same_before)


def test_front_is_feasible_and_sorted_by_latency() -> None:
    entries = made_up([(0.9, 3.0), (0.8, 2.0), (0.7, 2.5), (0.99, 9.0), (0.5, 1.0)])
    assert [(entry.top1, entry.latency_ms) for entry in front(entries, objectives())] == [(0.5, 1), (0.8, 2), (0.9, 3)]


def test_first_fronts_are_what_remains_without_those_before() -> None:
    entries = made_up([(0.9, 3.0), (0.8, 2.0), (0.7, 2.5), (0.99, 9.0), (0.8, 2.0), (0.6, 4.0)])
    ranked = [entries[1], entries[0], entries[4], entries[2], entries[5]]
    assert [first_fronts(entries, objectives(), count) for count in (0, 1, 2, 9)] == [
        [],
        ranked[:2],
        ranked[:3],
        ranked,
    ]


@given(st.integers(1, 4))
def test_first_fronts_hold_each_feasible_entry_once(count: int) -> None:
    entries = evaluated(sample(30), 5.5)
    found = first_fronts(entries, objectives(), count)
    rest = [entry for entry in entries if entry not in found]
    assert len({entry.id for entry in found}) == len(found) and all(entry.feasible for entry in found)
    assert found + first_fronts(rest, objectives(), 30) == first_fronts(entries, objectives(), 30)
    assert len(first_fronts(entries, objectives(), 30)) == sum(entry.feasible for entry in entries)


def test_a_small_archive_is_kept_whole() -> None:
    entries = evaluated(sample(5))
    assert keep(entries, 5, objectives(), seed=[0]) == entries


def test_a_growing_archive_is_kept_whole() -> None:
    entries = evaluated(sample(40), 5.5)
    assert keep(entries, None, objectives(), seed=[0]) == entries


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 1000),
    st.integers(4, 30),
    st.sampled_from([("top1", "latency_ms"), ("top1", "latency_ms", "macs"), ("top1",)]),
)
def test_size_feasibility_extremes_and_determinism(seed: int, size: int, names: tuple[str, ...]) -> None:
    entries, chosen = evaluated(sample(40, seed), 5.5), objectives(*names, budget_ms=5.5)
    kept = keep(entries, size, chosen, seed=[seed])
    assert len(kept) == size and kept == keep(entries, size, chosen, seed=[seed])
    assert [entry for entry in entries if entry in kept] == kept
    feasible = [entry for entry in entries if entry.feasible]
    assert sum(entry.feasible for entry in kept) == min(size, len(feasible))
    for column in chosen.costs(feasible).T if feasible else ():
        best = [feasible[index].id for index in np.flatnonzero(column == column.min())]
        assert any(entry.id in best for entry in kept)


def test_dominated_entries_go_first() -> None:
    good = [(0.5 + 0.04 * step, 1.0 + 0.3 * step) for step in range(10)]
    bad = [(0.3, 1.0 + 0.3 * step) for step in range(10)]
    entries = made_up(bad + good)
    assert {entry.top1 for entry in keep(entries, 10, objectives(), seed=[1])} == {top1 for top1, _ in good}


def test_what_a_build_would_spend_its_budget_on_stays_though_it_looks_dominated() -> None:
    """0.885 at 4.5 ms is dominated by 0.9 at 1 ms, but 500 images cannot tell them apart; 0.7 at 4.8 ms they can."""
    good = [(0.9 - 0.02 * step, 1.0 - 0.05 * step) for step in range(10)]
    entries = made_up([(0.7, 4.8), (0.885, 4.5), (0.89, 4.0), *good])
    kept = [entry.latency_ms for entry in keep(entries, 10, objectives(), seed=[1])]
    assert len(kept) == 10 and 4.5 in kept and 4.8 not in kept and 4.0 not in kept


def test_each_data_sets_slowest_of_the_best_stays() -> None:
    """Of the further data set, too: 0.885 at 4.5 ms there, though the run's own calls it the worst of all."""
    good = [(0.9 - 0.02 * step, 1.0 - 0.05 * step) for step in range(10)]
    entries = [
        replace(entry, more={"top1:pets": entry.top1, "loss:pets": 0.5, "val_images:pets": 500})
        for entry in made_up([(0.885, 4.5), *good])
    ]
    entries[0] = replace(entries[0], top1=0.1)
    chosen = {
        names: [entry.latency_ms for entry in keep(entries, 9, objectives(*names), seed=[1])]
        for names in (("top1", "latency_ms"), ("top1", "top1:pets", "latency_ms"))
    }
    assert [4.5 in kept for kept in chosen.values()] == [False, True]


def test_each_devices_slowest_of_the_best_stays() -> None:
    """0.885 takes 4.5 ms on the run's own device; 0.884 takes 1.5 ms there, and 4.4 ms of the other's budget of 5."""
    good = [(0.9 - 0.02 * step, 1.0 - 0.05 * step) for step in range(10)]
    other = "latency_ms:deep:tvm"
    entries = [
        replace(entry, more=with_ends(other, *([ms] * 3)))
        for entry, ms in zip(
            made_up([(0.885, 4.5), (0.884, 1.5), *good]), [9.0, 4.4, *(latency_ms for _, latency_ms in good)]
        )
    ]
    chosen = []
    for further in ({}, {other: 5.0}):
        asked = objectives("top1", "latency_ms")
        asked.requirements = Requirements({"latency_ms": 5.0, **further})
        chosen.append({entry.top1 for entry in keep(entries, 9, asked, seed=[1])})
    assert [(0.885 in kept, 0.884 in kept) for kept in chosen] == [(True, False), (True, True)]
