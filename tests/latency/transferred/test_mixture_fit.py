"""How hypotheses about a device are weighed: by evidence for few measurements, by stacking for many."""

import numpy as np
import pytest

from natdeploy.ground.errors import BadInput
from natdeploy.latency import SourceKnowledge
from natdeploy.latency.transferred.mixture import FAMILIES, hypotheses
from natdeploy.latency.transferred.mixture_fit import FEW, stack
from tests.latency.devices import SPACE, cells, table

CELLS = cells()
SOURCES, MEASURED, JUDGED = CELLS[:200], CELLS[200:260], CELLS[300:500]


def test_every_hypothesis_has_its_family() -> None:
    weights, family = hypotheses(9, 3)
    assert len(weights) == len(family) and weights.shape[1] == 9 + 7
    likeness, own = weights[:, 1:12], weights[:, 12:15].sum(1)
    for index, name in enumerate(FAMILIES):
        rows = family == index
        assert rows.any()
        assert ((own[rows] > 0) == (name == "unlike" or name.endswith("its own"))).all()
        assert ((likeness[rows] > 0).any(1) == (name != "unlike")).all()
        if name.startswith("like real"):
            assert (likeness[rows][:, [0, 1, *range(5, 11)]] == 0).all()
    assert set(hypotheses(9, 0)[1]) == {0, 3, 4} and set(hypotheses(9, 9)[1]) == {0, 1, 2}


def test_a_stack_is_as_good_as_its_better_part() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(size=200)
    good, bad = true + 0.1 * rng.normal(size=200), true + rng.normal(size=200)
    share = stack(np.stack([good, bad], axis=1), true)
    assert share[0] > 0.95 and share.sum() == pytest.approx(1) and (share >= 0).all()
    equal = stack(np.stack([good, true + 0.1 * rng.normal(size=200)], axis=1), true)
    assert equal == pytest.approx([0.5, 0.5], abs=0.15)


def test_a_few_measurements_do_not_rule_a_part_out() -> None:
    rng = np.random.default_rng(1)
    true = rng.normal(size=4)
    share = stack(np.stack([true + 0.1 * rng.normal(size=4), true + 0.15 * rng.normal(size=4)], axis=1), true)
    assert share.min() > 0.2


@pytest.mark.parametrize("device", [3, 4])
@pytest.mark.parametrize("count", [10, FEW + 6, 60])
def test_the_blend_is_not_behind_its_parts(device: int, count: int) -> None:
    knowledge = SourceKnowledge.of(SPACE, {f"device{index}": table(index, SOURCES) for index in range(3)})
    measured = table(device, MEASURED[:count])
    true = np.array(list(table(device, JUDGED).values()))
    error = {}
    for known in ("all", "sources", "own"):
        found = knowledge.transfer(measured, knowledge=known).predict(JUDGED, 0.8)
        error[known] = float(np.sqrt(np.mean(np.log(found.mean_ms / true) ** 2)))
    assert error["all"] <= 1.1 * min(error.values())


def test_unknown_parts_are_refused() -> None:
    from natdeploy.latency.transferred.mixture_fit import fit_mixture

    knowledge = SourceKnowledge.of(SPACE, {f"device{index}": table(index, SOURCES) for index in range(2)})
    with pytest.raises(BadInput, match="parts are 'both', 'likeness', 'own', not 'all'"):
        fit_mixture(knowledge.devices(MEASURED[:5]), np.zeros(5), 1.0, parts="all")
