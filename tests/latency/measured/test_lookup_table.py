import numpy as np
import pytest

from natdeploy.ground.errors import BadInput
from natdeploy.latency import fit_lookup_table
from natdeploy.spaces import Layer, get_space
from tests.latency.timings import true_ms

MICRO = get_space("mbv3-micro")


def networks(count: int, seed: int) -> list[tuple[Layer, ...]]:
    rng = np.random.default_rng(seed)
    return [MICRO.layers(MICRO.sample(rng)) for _ in range(count)]


def test_sums_of_an_additive_device_are_recovered_on_other_networks() -> None:
    train, other = networks(150, 0), networks(40, 1)
    table = fit_lookup_table(train, np.array([true_ms(layers) for layers in train]))
    error = np.array([table.network_ms(layers) / true_ms(layers) - 1 for layers in other])
    assert np.abs(error).mean() < 0.03
    assert min(table.latency_ms.values()) > 0


def test_a_layer_of_a_kind_never_measured_is_named_and_not_free() -> None:
    train = networks(10, 0)
    table = fit_lookup_table(train, np.array([true_ms(layers) for layers in train]))
    odd = Layer("blocks.9.odd", "conv", ("input",), 32, 8, 8, 32, 8, 8, kernel=3, groups=4)
    with pytest.raises(BadInput, match=r"'blocks\.9\.odd' is of kind grouped"):
        table.network_ms([*train[0], odd])


def test_a_shape_never_measured_is_priced_by_its_kind() -> None:
    train = networks(30, 0)
    table = fit_lookup_table(train, np.array([true_ms(layers) for layers in train]))
    wide = Layer("wide", "conv", ("input",), 64, 16, 16, 1000, 16, 16)
    assert table.network_ms([*train[0], wide]) > 1.05 * table.network_ms(train[0])
