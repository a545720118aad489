import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from natdeploy.ground.errors import BadInput
from natdeploy.search import OBJECTIVES
from natdeploy.search.objectives import error_with_ties_broken
from natdeploy.spaces import costs
from tests.search.make import estimator, evaluated, made_up, objectives, sample
from tests.search.synthetic import SPACE

ALL = OBJECTIVES.names()


def test_the_five_objectives_are_there() -> None:
    assert set(ALL) >= {"top1", "latency_ms", "macs", "params", "peak_activation_bytes"}


def test_unknown_objective() -> None:
    with pytest.raises(BadInput, match=r"unknown objective 'beauty'.*top1"):
        objectives("beauty")


def test_estimated_costs_are_the_layers_own() -> None:
    for estimate in estimator()(sample(3)):
        found = costs(SPACE.layers(estimate.arch, 10))
        assert (estimate.macs, estimate.params, estimate.peak_activation_bytes) == dataclasses.astuple(found)


def test_predicted_costs_equal_evaluated_ones_but_for_what_is_learned() -> None:
    chosen = objectives(*ALL)
    entries = evaluated(sample(5))
    learned = [np.array([objective.cost(entry) for entry in entries]) for objective in chosen.learned]
    predicted = chosen.predicted(estimator()([entry.arch for entry in entries]), learned)
    np.testing.assert_allclose(predicted, chosen.costs(entries))


def test_costs_are_shares_of_the_largest_and_of_the_budget() -> None:
    chosen = objectives("latency_ms", "macs", "params", budget_ms=8.0)
    costs_found = chosen.costs(evaluated([SPACE.largest()], budget_ms=8.0))
    assert costs_found[0, 1:].tolist() == [1.0, 1.0]
    assert costs_found[0, 0] == pytest.approx(estimator()([SPACE.largest()])[0].latency_ms / 8)


@given(st.integers(0, 499), st.floats(0, 1e9), st.floats(0, 1e9))
def test_loss_breaks_ties_and_nothing_else(right: int, loss: float, other_loss: float) -> None:
    worse = dataclasses.replace(made_up([(0.5, 1)])[0], top1=right / 500, loss=loss)
    better = dataclasses.replace(worse, top1=(right + 1) / 500, loss=other_loss)
    assert error_with_ties_broken(better) <= error_with_ties_broken(worse)
    if loss < other_loss < 1e6:
        assert error_with_ties_broken(dataclasses.replace(worse, loss=other_loss)) >= error_with_ties_broken(worse)
