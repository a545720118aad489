"""What the budget buys: steps that exceed the accuracies' errors, and no others."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natdeploy.report.gains import gain_sentences, gains_table, steps
from natdeploy.runs.certainty import top1_error


@pytest.fixture(scope="module")
def entry(made):
    return made.archive[0]


def at(entry, ms, top1, images=1000, feasible=True):
    arch = replace(entry.arch, r=24, ks=entry.arch.ks[:-1] + (int(ms * 1000) + 3,))  # another id, nothing else
    values = {"latency_ms": ms, "latency_lower_ms": 0.9 * ms, "latency_upper_ms": 1.1 * ms}
    return replace(entry, arch=arch, top1=top1, val_images=images, feasible=feasible, **values)


def test_a_gain_within_the_error_is_not_told(entry):
    archive = [at(entry, 1, 0.900), at(entry, 2, 0.901), at(entry, 3, 0.905)]
    assert [step.entry for step in steps(archive)] == archive[:1]
    (told,) = gain_sentences(archive, 5.0)
    assert "buys nothing that these accuracies could show" in told
    assert "1.10 ms" in told


def test_a_gain_beyond_the_error_is_told_with_its_price(entry):
    archive = [at(entry, 1, 0.80), at(entry, 2, 0.801), at(entry, 3, 0.90), at(entry, 4, 0.95, feasible=False)]
    told = gain_sentences(archive, 3.5)
    assert len(told) == 2
    assert told[0].startswith("+2.20 ms buys +10.0 ± 1.6 points: a budget of 3.30 ms instead of 1.10 ms")
    assert "over this run's budget of 3.50 ms" in told[1] and "over" not in told[0]
    assert [row[0] for row in gains_table(archive).rows] == [archive[i].id for i in (0, 2, 3)]


def test_the_same_gain_counts_with_more_images(entry):
    for images, count in ((100, 1), (100_000, 2)):
        assert len(steps([at(entry, 1, 0.90, images), at(entry, 2, 0.91, images)])) == count


def test_nothing_is_told_of_nothing():
    assert gain_sentences([], 1.0) == []


@given(
    st.lists(st.tuples(st.integers(1, 50), st.floats(0, 1)), min_size=1, max_size=30, unique_by=lambda pair: pair[0])
)
def test_steps_rise_by_more_than_their_errors(made, points):
    archive = [at(made.archive[0], ms, top1) for ms, top1 in points]
    taken = steps(archive)
    assert taken[0].entry.latency_ms == min(ms for ms, _ in points)
    for step in taken[1:]:
        assert step.before is not None and step.more_ms > 0
        assert step.points > step.error_points > 100 * top1_error(step.entry)
