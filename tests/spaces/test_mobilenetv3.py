import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from natdeploy.ground.errors import BadInput
from natdeploy.spaces import SPACES, Arch, costs, get_space
from natdeploy.spaces.mobilenetv3_layers import NetworkBuilder

SHARED = Path(__file__).parents[2].parent / "shared"
NAMES = SPACES.names()
#: The others are for published latencies only: their networks cannot be built.
BUILT = ("mbv3-micro", "ofa-mbv3-w1.0", "ofa-mbv3-w1.2")
ENCODINGS = {  # NAT-M1..M4's published net.encoding, and their widths
    "08011001440551052208877": "ofa-mbv3-w1.0",
    "08111003100632076009771": "ofa-mbv3-w1.2",
    "08121105451581189759771": "ofa-mbv3-w1.2",
    "12115105572981578947781": "ofa-mbv3-w1.2",
}


@st.composite
def spaces_and_genomes(draw):
    space = get_space(draw(st.sampled_from(NAMES)))
    return space, np.array([draw(st.integers(0, size - 1)) for size in space.gene_sizes])


@given(spaces_and_genomes())
def test_repair_is_idempotent_and_repaired_genomes_survive_a_round_trip(pair) -> None:
    space, genome = pair
    repaired = space.repair(genome)
    assert np.array_equal(space.repair(repaired), repaired)
    assert np.array_equal(space.encode(space.decode(repaired)), repaired)


@given(spaces_and_genomes(), st.data())
def test_equal_architectures_are_equal_genomes(first, data) -> None:
    space, genome = first
    changed = data.draw(st.lists(st.sampled_from(range(len(genome))), max_size=3))
    other = genome.copy()
    for gene in changed:
        other[gene] = data.draw(st.integers(0, space.gene_sizes[gene] - 1))
    one, two = space.repair(genome), space.repair(other)
    assert (space.decode(one) == space.decode(two)) == np.array_equal(one, two)


@given(st.sampled_from(NAMES), st.integers(0, 2**32), st.sampled_from(["gene", "phenotype"]))
def test_samples_are_in_the_space_and_survive_json(name, seed, uniform) -> None:
    space = get_space(name)
    arch = space.sample(np.random.default_rng(seed), uniform=uniform)
    space.check(arch)
    assert space.decode(space.encode(arch)) == arch
    assert Arch.from_json(json.loads(json.dumps(arch.to_json()))) == arch


def test_phenotype_sampling_prefers_deep_stages_as_their_number_says() -> None:
    space, rng = get_space("mbv3-micro"), np.random.default_rng(0)
    depths = np.array([space.sample(rng, uniform="phenotype").d for _ in range(400)]).reshape(-1)
    share = np.bincount(depths, minlength=5)[2:] / len(depths)
    np.testing.assert_allclose(share, np.array([81, 729, 6561]) / 7371, atol=0.03)


@pytest.mark.parametrize(("text", "name"), ENCODINGS.items())
def test_published_encodings_decode_and_encode_exactly(text, name) -> None:
    space = get_space(name)
    genome = space.from_text(text)
    assert space.text(space.encode(space.decode(genome))) == text


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the data packs beside the checkout")
def test_released_subnets_have_their_counted_costs() -> None:
    for net in json.loads((SHARED / "data/nat_subnets/nat_subnets.json").read_text()):
        width = net["width_mult"] or 1.2
        space = get_space(f"ofa-mbv3-w{width}")
        arch = Arch.from_json({key: net[key] for key in ("ks", "e", "d", "r")} | {"w": width}, space=space.name)
        found = costs(space.layers(arch, net["num_classes"]))
        assert found.macs / 1e6 == pytest.approx(net["madds_m_counted"], rel=0.001)
        assert found.params / 1e6 == pytest.approx(net["params_m_counted"], rel=0.001)


def test_ofa_files_with_inactive_blocks_are_read() -> None:
    space = get_space("ofa-mbv3-w1.0")
    arch = space.smallest()
    places = {"ks": [3, 3, 7, 7] * 5, "e": [3, 3, 6, 6] * 5, "d": [2] * 5, "r": [192], "w": 1.0}
    assert Arch.from_json(places, space=space.name) == arch


@pytest.mark.parametrize("name", BUILT)
def test_smallest_and_largest_bound_every_cost(name) -> None:
    space, rng = get_space(name), np.random.default_rng(0)
    low, high = (costs(space.layers(arch)) for arch in (space.smallest(), space.largest()))
    for _ in range(20):
        found = costs(space.layers(space.sample(rng)))
        assert low.macs <= found.macs <= high.macs
        assert low.params <= found.params <= high.params
        assert low.peak_activation_bytes <= found.peak_activation_bytes <= high.peak_activation_bytes


def test_micro_keeps_its_promised_size() -> None:
    space = get_space("mbv3-micro")
    assert 10e6 <= costs(space.layers(space.largest())).macs <= 15e6


@pytest.mark.parametrize("name", BUILT)
def test_layers_form_a_connected_network(name) -> None:
    space = get_space(name)
    layers = space.layers(space.sample(np.random.default_rng(1)))
    shapes = {"input": (3, layers[0].in_h, layers[0].in_w)}
    for layer in layers:
        assert shapes[layer.inputs[0]] == (layer.in_c, layer.in_h, layer.in_w)
        if layer.op == "add":
            assert shapes[layer.inputs[1]] == shapes[layer.inputs[0]]
        if layer.op == "scale":
            assert shapes[layer.inputs[1]] == (layer.in_c, 1, 1)
        assert layer.name not in shapes
        shapes[layer.name] = (layer.out_c, layer.out_h, layer.out_w)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"r": 33}, "field 'r' is 33"),
        ({"w": 1.2}, "field 'w' is 1.2"),
        ({"d": [2, 2, 2, 2, 5], "ks": [3] * 13, "e": [3] * 13}, "field 'd'"),
        ({"ks": [9] * 10}, "field 'ks'"),
        ({"e": [5] * 10}, "field 'e'"),
        ({"e": [3] * 9}, "field 'e' has 9 entries"),
        ({"ks": "3"}, "field 'ks' must be a list"),
        ({"r": "32"}, "field 'r' must be a whole number"),
        ({"w": None}, "field 'w' must be a number"),
        ({"space": "ofa-mbv3-w1.0"}, "field 'space'"),
    ],
)
def test_architectures_outside_the_space_name_the_field(change, message) -> None:
    space = get_space("mbv3-micro")
    with pytest.raises(BadInput, match=message):
        space.check(Arch.from_json(space.smallest().to_json() | change))


@pytest.mark.parametrize(
    ("genome", "message"),
    [
        ([0] * 21, "a genome has 22 genes"),
        ([0.5] * 22, "genes are whole numbers"),
        ([3, 0, *[1] * 20], "gene 0 is 3, expected 0 to 2"),
        ([0, 0, *[1, 1, 0, 1] * 5], "is not canonical"),
    ],
)
def test_genomes_outside_the_space_are_refused(genome, message) -> None:
    with pytest.raises(BadInput, match=message):
        get_space("mbv3-micro").decode(genome)


def test_unknown_spaces_list_the_known_ones() -> None:
    with pytest.raises(BadInput, match="unknown space 'x'; known: mbv3-micro"):
        get_space("x")


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), resolutions=st.sets(st.sampled_from(range(192, 257, 4)), min_size=1, max_size=17)
)
def test_a_space_held_to_some_resolutions_never_leaves_them(seed: int, resolutions: set[int]) -> None:
    space, whole = get_space("ofa-mbv3-w1.0").at_resolutions(list(resolutions)), get_space("ofa-mbv3-w1.0")
    rng = np.random.default_rng(seed)
    genome = space.repair(rng.integers(space.gene_sizes))
    for arch in (space.sample(rng), space.decode(genome), space.smallest(), space.largest()):
        assert arch.r in resolutions
        assert np.array_equal(space.encode(arch)[1:], whole.encode(arch)[1:])
        assert space.decode(space.encode(arch)) == arch == whole.decode(whole.encode(arch))


def test_resolutions_that_a_space_lacks_are_refused() -> None:
    for name in ("ofa-mbv3-w1.0", "nasbench201"):
        with pytest.raises(BadInput, match="no resolution 100"):
            get_space(name).at_resolutions([100])
        assert get_space(name).at_resolutions([]) == get_space(name)


def test_a_block_of_odd_numbers_leaves_plain_ones_to_the_next() -> None:
    """Layers of a block are kept for the next network with such a block, and numpy's numbers are no JSON."""
    for kind in (np.int64, int):
        net = NetworkBuilder(c=kind(24), h=kind(1016), w=kind(1016))
        net.block(kind(24), kernel=kind(5), expand=kind(4), stride=kind(1), activation="relu", squeeze=True)
        for layer in net.layers:
            assert {type(value) for value in layer.workload().values() if isinstance(value, (int, np.integer))} <= {int}
