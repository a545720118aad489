"""The moving average of the weights, in training that goes on and that is continued."""

from __future__ import annotations

import json

import pytest
import torch

from natdeploy.supernets import load_supernet
from natdeploy.transfer import Adaptation
from natdeploy.transfer.adapt import STATE
from tests.transfer.make import fresh, same, smallest

AVERAGES = [{"ema": 0.8}, {"average_age": 0.25}]


def averaged_in_4_steps(dataset, **how):
    """A weight after each step, and its average in the end."""
    adaptation, seen = fresh(dataset, **how), []
    name, weight = next((n, p) for n, p in adaptation.supernet.named_parameters() if p.ndim == 4)
    real = adaptation._average.step

    def step() -> None:
        seen.append(weight.detach().clone())
        real()

    adaptation._average.step = step
    adaptation.warm_up()
    assert len(seen) == 4
    return seen, dict(adaptation.evaluated.named_parameters())[name].detach()


@pytest.mark.parametrize("how", AVERAGES)
def test_the_average_is_evaluated_saved_and_continued(stripes, tmp_path, how) -> None:
    straight, plain = fresh(stripes, **how), fresh(stripes)
    straight.warm_up()
    plain.warm_up()
    assert same(straight.supernet, plain.supernet)  # training itself is the same
    assert not same(straight.evaluated, straight.supernet) and plain.evaluated is plain.supernet
    straight.save(tmp_path)
    assert same(load_supernet(tmp_path / "supernet.safetensors"), straight.evaluated)
    continued = Adaptation.load(tmp_path, stripes)
    for one in (straight, continued):
        one.adapt(1, smallest)
    assert same(straight.supernet, continued.supernet) and same(straight.evaluated, continued.evaluated)


def test_the_average_looks_back_as_far_as_its_decay(stripes) -> None:
    """Of 4 steps, by hand."""
    weights, average = averaged_in_4_steps(stripes, ema=0.5)
    first, second, third, fourth = weights
    torch.testing.assert_close(average, first / 8 + second / 8 + third / 4 + fourth / 2)


@pytest.mark.parametrize(("age", "counts"), [(0.5, (1, 1, 1, 1)), (1 / 3, (1, 3, 5, 7)), (0.25, (1, 7, 19, 37))])
def test_the_average_looks_back_over_a_share_of_the_steps(stripes, age, counts) -> None:
    """Of 4 steps: how much the steps before count together grows with their number to the power of 1 / age - 1."""
    weights, average = averaged_in_4_steps(stripes, average_age=age)
    expected = sum(count * weight for count, weight in zip(counts, weights)) / sum(counts)
    torch.testing.assert_close(average, expected)


@pytest.mark.parametrize("how", AVERAGES)
def test_an_average_that_has_not_begun_begins_after_it_is_read(stripes, tmp_path, how) -> None:
    straight = fresh(stripes, **how)
    straight.save(tmp_path)
    continued = Adaptation.load(tmp_path, stripes)
    for one in (straight, continued):
        one.warm_up()
    assert same(straight.evaluated, continued.evaluated)


def test_a_state_without_a_count_of_steps_continues_its_exponential_average(stripes, tmp_path) -> None:
    """As they were written before averages by age."""
    straight = fresh(stripes, ema=0.8)
    straight.warm_up()
    straight.save(tmp_path)
    state = json.loads((tmp_path / STATE).read_text())
    assert state.pop("steps_averaged") == 4 and state["config"].pop("average_age") is None
    (tmp_path / STATE).write_text(json.dumps(state))
    continued = Adaptation.load(tmp_path, stripes)
    for one in (straight, continued):
        one.adapt(1, smallest)
    assert same(straight.evaluated, continued.evaluated)
