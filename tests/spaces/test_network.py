import numpy as np
import pytest

from natdeploy.ground.errors import BadInput
from natdeploy.spaces import Network, get_space, random_network
from natdeploy.spaces.costs import peak_activation_bytes
from natdeploy.spaces.layer import Layer

LAYERS = get_space("mbv3-micro").layers(get_space("mbv3-micro").smallest())


def test_random_networks_repeat_by_seed() -> None:
    one, two, other = random_network(LAYERS, 1), random_network(LAYERS, 1), random_network(LAYERS, 2)
    assert all(np.array_equal(one.weights[name], two.weights[name]) for name in one.weights)
    assert not np.array_equal(one.weights["classifier.weight"], other.weights["classifier.weight"])
    assert one.input_shape == (1, 3, 24, 24) and one.output_shape == (1, 10)


def test_missing_and_misshapen_weights_are_named() -> None:
    weights = dict(random_network(LAYERS).weights)
    with pytest.raises(BadInput, match=r"'classifier\.bias' are missing"):
        Network(LAYERS, {name: value for name, value in weights.items() if name != "classifier.bias"})
    with pytest.raises(BadInput, match=r"'classifier\.bias' is float64\[10\], expected float32\[10\]"):
        Network(LAYERS, weights | {"classifier.bias": np.zeros(10)})


def test_peak_activation_memory_of_a_shortcut() -> None:
    first = Layer("a", "conv", ("input",), 2, 4, 4, 2, 4, 4)
    second = Layer("b", "conv", ("a",), 2, 4, 4, 8, 4, 4)
    third = Layer("c", "conv", ("b",), 8, 4, 4, 2, 4, 4)
    join = Layer("d", "add", ("c", "a"), 2, 4, 4, 2, 4, 4)
    assert peak_activation_bytes([first, second, third]) == 4 * 16 * (8 + 2)
    assert peak_activation_bytes([first, second, third, join]) == 4 * 16 * (2 + 8 + 2)  # a lives across b and c


def test_peak_activation_memory_of_an_output_that_nobody_reads() -> None:
    """It is there while it is made, and gone afterwards."""
    first = Layer("a", "conv", ("input",), 2, 4, 4, 2, 4, 4)
    dead = Layer("b", "conv", ("a",), 2, 4, 4, 8, 4, 4)
    last = Layer("c", "conv", ("a",), 2, 4, 4, 7, 4, 4)
    assert peak_activation_bytes([first, dead, last]) == 4 * 16 * (2 + 8)
    assert peak_activation_bytes([first, last, dead]) == 4 * 16 * (2 + 8)
