from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from natdeploy.ground.errors import BadInput
from natdeploy.latency import feature_names, features
from natdeploy.latency.inputs.features import KINDS, LEVELS
from natdeploy.latency.inputs.gene_sums import GeneSums, feature_sums
from natdeploy.spaces import costs, get_space
from tests.latency.timings import help_space

MICRO = get_space("mbv3-micro")


def column(values: np.ndarray, name: str) -> float:
    return values[..., feature_names().index(name)]


def test_names_are_unique_and_as_many_as_columns() -> None:
    assert len(set(feature_names())) == len(feature_names()) == len(features(MICRO.layers(MICRO.smallest())))


@pytest.mark.parametrize("name", ["mbv3-micro", "ofa-mbv3-w1.0", "ofa-mbv3-w1.2"])
def test_sums_agree_with_costs_and_with_each_other(name: str) -> None:
    space = get_space(name)
    layers = space.layers(space.sample(np.random.default_rng(3)))
    found = features(layers)
    assert column(found, "macs") == costs(layers).macs
    assert column(found, "layers") == len(layers)
    assert column(found, "resolution_px") == layers[0].in_h
    for what in ("layers", "macs"):
        assert sum(column(found, f"{kind}_{what}") for kind in KINDS) == column(found, what)
    assert sum(column(found, f"level{level}_layers") for level in range(LEVELS)) == len(layers)
    assert (found >= 0).all()
    assert np.array_equal(found, np.round(found))


def test_depthwise_layers_are_told_apart_by_kernel() -> None:
    arch = MICRO.smallest()
    kernels = (7, *arch.ks[1:])
    small, changed = (features(MICRO.layers(replace(arch, ks=ks))) for ks in (arch.ks, kernels))
    assert column(changed, "depthwise_k7_layers") - column(small, "depthwise_k7_layers") == 1
    assert column(changed, "depthwise_k3_layers") - column(small, "depthwise_k3_layers") == -1


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), full_size=st.booleans())
def test_sums_over_genes_are_exactly_the_layers_own(seed: int, full_size: bool) -> None:
    space = replace(help_space(), resolutions=(128, 224)) if full_size else MICRO
    arch = space.sample(np.random.default_rng(seed))
    assert np.array_equal(feature_sums(space)([arch])[0], features(space.layers(arch)))


def test_tables_do_not_list_the_layers_of_each_architecture(monkeypatch: pytest.MonkeyPatch) -> None:
    sums = feature_sums(MICRO)
    rng = np.random.default_rng(5)
    archs = [MICRO.sample(rng) for _ in range(100)]
    sums(archs)

    def refuse(*_: object) -> None:
        raise AssertionError("layers were listed")

    monkeypatch.setattr(type(MICRO), "layers", refuse)
    assert sums(archs).shape == (100, len(feature_names()))


def test_a_space_of_one_resolution_and_other_classes() -> None:
    space = replace(MICRO, name="one", resolutions=(32,))
    arch = space.sample(np.random.default_rng(0))
    found = feature_sums(space, 100)([arch, space.largest()])
    assert np.array_equal(found[0], features(space.layers(arch, 100)))
    assert column(found[0], "weight_bytes") > column(feature_sums(space)([arch])[0], "weight_bytes")


def test_sums_that_do_not_add_up_are_taken_layer_by_layer() -> None:
    def squared(layers):
        return np.array([float(sum(layer.macs for layer in layers)) ** 2])

    arch = MICRO.sample(np.random.default_rng(0))
    found = GeneSums(MICRO, squared)([arch, MICRO.smallest()])
    assert found[0, 0] == float(costs(MICRO.layers(arch)).macs) ** 2


def test_no_architectures_and_foreign_ones() -> None:
    assert feature_sums(MICRO)([]).shape == (0, len(feature_names()))
    with pytest.raises(BadInput, match="mbv3-micro"):
        feature_sums(MICRO)([get_space("ofa-mbv3-w1.0").smallest()])
