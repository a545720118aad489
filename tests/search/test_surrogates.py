import csv
import gzip
from pathlib import Path

import numpy as np
import pytest

from natdeploy.ground.errors import BadInput
from natdeploy.search.surrogates import SURROGATES, AutoSurrogate, agreement, cross_validated, make_surrogate
from natdeploy.spaces import Arch, get_space
from tests.search.make import sample
from tests.search.synthetic import SPACE, true_accuracy

ARCHS = sample(140, 4)
FEATURES = np.array([SPACE.factored(arch) for arch in ARCHS])
VALUES = np.array([true_accuracy(arch) for arch in ARCHS])
MEASURED = Path(__file__).parents[2].parent / "shared" / "data" / "accuracy" / "dynas_ofa_mbv3_w10_top1.csv.gz"


def predicted(name: str, seed: int = 0) -> np.ndarray:
    surrogate = make_surrogate(name, seed)
    surrogate.fit(FEATURES[:60], VALUES[:60])
    found = surrogate.predict(FEATURES[60:])
    assert found.std.shape == found.mean.shape == (len(FEATURES) - 60,) and (found.std >= 0).all()
    return found.mean


@pytest.mark.parametrize("name", SURROGATES.names())
def test_learns_ranks_and_is_deterministic(name: str) -> None:
    first = predicted(name)
    assert np.array_equal(first, predicted(name))
    quality = agreement(first, VALUES[60:])
    assert quality["kendall"] > 0.6 and quality["rmse"] < VALUES.std()


@pytest.mark.parametrize("name", SURROGATES.names())
def test_degenerate_data(name: str) -> None:
    same = make_surrogate(name, 0)
    same.fit(np.repeat(FEATURES[:1], 3, axis=0), np.full(3, 0.25))
    np.testing.assert_allclose(same.predict(FEATURES[:4]).mean, 0.25, atol=1e-6)
    flat = make_surrogate(name, 0)
    flat.fit(FEATURES[:8], np.full(8, 0.25))
    np.testing.assert_allclose(flat.predict(FEATURES[:4]).mean, 0.25, atol=1e-6)
    twice = make_surrogate(name, 0)
    twice.fit(np.repeat(FEATURES[:6], 2, axis=0), np.repeat(VALUES[:6], 2))
    assert np.isfinite(twice.predict(FEATURES).mean).all()


def test_auto_takes_what_ranks_best_and_says_so() -> None:
    auto = AutoSurrogate(0, pool=("ridge", "cart", "mlp"))
    auto.fit(FEATURES[:60], VALUES[:60])
    for name in ("ridge", "cart", "mlp"):
        assert auto.kendall[name] == cross_validated(name, FEATURES[:60], VALUES[:60], 0)["kendall"]
    assert auto.kendall[auto.chosen] == max(auto.kendall.values()) == auto.quality["kendall"]
    chosen = make_surrogate(auto.chosen, 0)
    chosen.fit(FEATURES[:60], VALUES[:60])
    assert np.array_equal(auto.predict(FEATURES[60:]).mean, chosen.predict(FEATURES[60:]).mean)


def test_auto_switches_with_the_data() -> None:
    """A linear truth is ridge's; one that a single step explains is the trees'."""
    rng = np.random.default_rng(0)
    linear = FEATURES[:80] @ rng.normal(size=FEATURES.shape[1]) + rng.normal(0, 1.0, 80)
    step = 5.0 * (FEATURES[:80, 0] > 24) * (FEATURES[:80, 3] > 3) + rng.normal(0, 0.1, 80)
    for values, expected in ((linear, "ridge"), (step, "cart")):
        auto = AutoSurrogate(0, pool=("cart", "ridge"))
        auto.fit(FEATURES[:80], values)
        assert auto.chosen == expected


def test_auto_takes_its_first_of_too_few_to_compare() -> None:
    auto = AutoSurrogate(0)
    auto.fit(FEATURES[:6], VALUES[:6])
    assert auto.chosen == "gp" and auto.kendall["mlp"] is None


def test_unknown_surrogate() -> None:
    with pytest.raises(BadInput, match=r"unknown surrogate 'oracle'.*gp"):
        make_surrogate("oracle", 0)


def test_agreement_by_hand() -> None:
    assert agreement(np.array([1.0, 2, 3]), np.array([1.0, 2, 3])) == {"kendall": 1, "spearman": 1, "rmse": 0}
    assert agreement(np.array([1.0, 2, 3]), np.array([3.0, 2, 1]))["kendall"] == pytest.approx(-1)
    assert agreement(np.ones(3), np.array([1.0, 2, 3]))["kendall"] is None
    assert agreement(np.empty(0), np.empty(0))["rmse"] is None


def test_cross_validation_does_not_flatter() -> None:
    noise = np.random.default_rng(0).normal(size=60)
    assert abs(cross_validated("ridge", FEATURES[:60], noise, 0)["kendall"]) < 0.35
    assert cross_validated("ridge", FEATURES[:60], VALUES[:60], 0)["kendall"] > 0.6
    assert cross_validated("ridge", FEATURES[:6], VALUES[:6], 0)["kendall"] is None


@pytest.mark.skipif(not MEASURED.exists(), reason="the measured accuracies are not beside the checkout")
def test_default_surrogate_on_measured_subnets() -> None:
    """Kendall's tau of .906 from 100 subnets is what we know of; two splits."""
    space, seen = get_space("ofa-mbv3-w1.0"), {}
    with gzip.open(MEASURED, "rt") as file:
        for row in csv.DictReader(file):
            lists = {
                short: [int(v) for v in row[long].split("-")]
                for short, long in (("ks", "kernels"), ("e", "expands"), ("d", "depths"))
            }
            arch = Arch.from_json({**lists, "r": int(row["image_size"])}, space=space.name)
            seen.setdefault(arch, float(row["top1"]))
    features, values = np.array([space.factored(arch) for arch in seen]), np.array(list(seen.values()))
    taus = []
    for split in range(2):
        order = np.random.default_rng(split).permutation(len(values))
        surrogate = make_surrogate("gp", split)
        surrogate.fit(features[order[:100]], values[order[:100]])
        taus.append(agreement(surrogate.predict(features[order[100:]]).mean, values[order[100:]])["kendall"])
    assert np.mean(taus) > 0.906
