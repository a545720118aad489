import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from natdeploy.ground.errors import BudgetNotMet
from natdeploy.search.distribution import ArchiveDistribution, Members
from natdeploy.search.initial import check_budget, fastest, initial_archive
from natdeploy.search.random_baseline import draw_random
from natdeploy.spaces import get_space
from tests.search.make import estimator, sample
from tests.search.synthetic import SPACE, Latency, Prediction, true_latency_ms


def test_the_fastest_is_found_where_it_is_not_the_smallest() -> None:
    class Odd(Latency):
        """Kernel 3 is slow and resolution 24 is slower than 28."""

        def predict(self, archs, *, num_classes=None) -> Prediction:
            ms = np.array([true_latency_ms(a) + 0.5 * a.ks.count(3) + 9 * (a.r == 24) for a in archs])
            return Prediction(ms, ms, ms * 1.1)

    model = estimator()
    model._latency = Odd()
    best = fastest(model)
    assert best.arch.r == 28 and set(best.arch.ks) == {5} and set(best.arch.d) == {2} and set(best.arch.e) == {3}


def test_an_impossible_budget_names_the_fastest() -> None:
    best = fastest(estimator())
    with pytest.raises(
        BudgetNotMet, match=f"{best.latency_ms:.3g} ms, at most {best.latency_upper_ms:.3g} ms"
    ) as caught:
        check_budget(estimator(0.001), "host with tvm")
    possible = float(str(caught.value).split("a budget of ")[1].split()[0])
    assert check_budget(estimator(possible), "host with tvm").feasible and "\n" not in str(caught.value)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), st.floats(4, 12), st.integers(4, 30), st.floats(0, 1))
def test_initial_archive(seed: int, budget_ms: float, count: int, share: float) -> None:
    model = estimator(budget_ms)
    archs = initial_archive(model, fastest(model), count, share, seed=[seed])
    assert len(set(archs)) == len(archs) == count
    assert {SPACE.smallest(), SPACE.largest()} <= set(archs)
    assert sum(item.feasible for item in model(archs)) >= min(round(count * share), count - 1)


def test_feasible_ones_reach_from_the_fastest_to_the_budgets_edge() -> None:
    model = estimator(5.0)
    archs = initial_archive(model, fastest(model), 24, 0.75, seed=[1])
    upper = sorted(item.latency_upper_ms for item in model(archs) if item.feasible)
    assert upper[0] < 3.1 and upper[-1] > 4.5 and np.diff(upper).max() < 0.6


def test_a_budget_that_only_the_fastest_meets() -> None:
    edge = fastest(estimator()).latency_upper_ms
    model = estimator(edge)
    archs = initial_archive(model, fastest(model), 10, 1.0, seed=[0])
    assert len(archs) == 10 and sum(item.feasible for item in model(archs)) == 1


def test_random_architectures_are_distinct() -> None:
    drawn = draw_random(estimator(), 50, seed=[0])
    assert len({item.arch for item in drawn}) == 50


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 12), st.sampled_from(["mbv3-micro", "ofa-mbv3-w1.0"]))
def test_distribution_samples_are_of_the_space(seed: int, count: int, name: str) -> None:
    space, rng = get_space(name), np.random.default_rng(seed)
    distribution = ArchiveDistribution(space, [space.sample(rng) for _ in range(count)])
    for _ in range(5):
        space.check(distribution.sample(rng))


def test_distribution_follows_the_archive() -> None:
    archs = [SPACE.largest()] * 3 + [SPACE.smallest()]
    drawn = [ArchiveDistribution(SPACE, archs).sample(np.random.default_rng(seed)) for seed in range(400)]
    assert 0.68 < np.mean([arch.r == 32 for arch in drawn]) < 0.82
    assert {arch.r for arch in drawn} == {24, 32} and {k for arch in drawn for k in arch.ks} == {3, 7}
    only = ArchiveDistribution(SPACE, [sample(1)[0]])
    assert only.sample(np.random.default_rng(0)) == sample(1)[0]
    with pytest.raises(ValueError, match="empty"):
        ArchiveDistribution(SPACE, [])


def test_members_are_drawn_as_they_are() -> None:
    archs = sample(3)
    rng = np.random.default_rng(0)
    drawn = [Members(archs).sample(rng) for _ in range(300)]
    assert all(70 < drawn.count(arch) < 130 for arch in archs)
    with pytest.raises(ValueError, match="no architecture"):
        Members([])


def test_sampling_is_uniform_over_what_was_asked_for() -> None:
    """Over phenotypes nearly all stages have four blocks, over genes a third of them has."""
    model = estimator(9e9)
    share = {}
    for sampling in ("phenotype", "gene"):
        archs = initial_archive(model, fastest(model), 60, 0.0, seed=[0], sampling=sampling)
        share[sampling] = np.mean([depth == 4 for arch in archs for depth in arch.d])
    assert share["phenotype"] > 0.75 and 0.2 < share["gene"] < 0.5


def test_the_pre_filter_takes_the_larger_ones_of_each_latency() -> None:
    model = estimator(6.0)
    found = {k: model(initial_archive(model, fastest(model), 24, 1.0, seed=[2], prefilter=k)) for k in (1, 8)}
    assert len(found[8]) == len({item.arch for item in found[8]}) == 24
    feasible = {k: [item for item in items if item.feasible] for k, items in found.items()}
    assert len(feasible[8]) == len(feasible[1])
    per_ms = {k: np.mean([item.macs / item.latency_ms for item in items]) for k, items in feasible.items()}
    assert per_ms[8] > 1.03 * per_ms[1]
    upper = sorted(item.latency_upper_ms for item in feasible[8])
    assert upper[0] < 3.1 and upper[-1] > 5.2  # still from the fastest to the budget's edge
