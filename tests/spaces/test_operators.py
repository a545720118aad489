import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from natdeploy.compiler import make_network_plan
from natdeploy.ground.errors import BadInput
from natdeploy.spaces import INPUT, Arch, costs, get_space, random_network
from natdeploy.spaces.fbnet import OPERATORS, FBNet

CELLS, BLOCKS = get_space("nasbench201"), get_space("fbnet")


@pytest.mark.parametrize("space", [CELLS, BLOCKS])
@given(data=st.data())
def test_genomes_architectures_and_json_round_trip(space, data) -> None:
    genome = [data.draw(st.integers(0, size - 1)) for size in space.gene_sizes]
    arch = space.decode(genome)
    assert space.encode(arch).tolist() == genome
    assert Arch.from_json(arch.to_json()) == arch
    assert (space.costs(arch) >= 0).all()
    assert space.factored(arch).shape == space.factored(space.smallest()).shape


def test_official_strings() -> None:
    arch = CELLS.from_text("|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|none~0|nor_conv_3x3~1|none~2|")
    assert arch.ops == ("avg_pool_3x3", "nor_conv_1x1", "skip_connect", "none", "nor_conv_3x3", "none")
    assert BLOCKS.from_text(",".join(["k5_e6"] * 22)) == BLOCKS.largest()
    for space, text in ((CELLS, "|none~0|"), (BLOCKS, "k5_e6;skip"), (BLOCKS, "k5_e6")):
        with pytest.raises(BadInput, match=f"space {space.name}"):
            space.from_text(text)


@pytest.mark.parametrize(
    ("ops", "live"),
    [
        (["none"] * 6, [0, 0, 0, 0, 0, 0]),
        (["nor_conv_3x3"] * 6, [1, 1, 1, 1, 1, 1]),
        # node 1 is fed but leads nowhere; node 2 leads on but is not fed; the direct edge remains
        (["nor_conv_3x3", "none", "none", "skip_connect", "none", "nor_conv_3x3"], [0, 0, 0, 1, 0, 0]),
        (["nor_conv_1x1", "none", "skip_connect", "none", "none", "avg_pool_3x3"], [1, 0, 1, 0, 0, 1]),
    ],
)
def test_edges_on_a_path(ops: list[str], live: list[int]) -> None:
    assert CELLS.live(CELLS.encode(CELLS.arch(ops))).tolist() == [bool(item) for item in live]


def test_costs_grow_with_operators() -> None:
    assert CELLS.costs(CELLS.smallest()).sum() == 0
    assert CELLS.costs(CELLS.largest()).tolist() == [0, 0, 0, 6]
    assert (BLOCKS.costs(BLOCKS.largest()) > BLOCKS.costs(BLOCKS.smallest()))[[0, 1, 3, 4, 5]].all()
    plain, grouped = (BLOCKS.costs(BLOCKS.arch([name] * 22)) for name in ("k3_e1", "k3_e1_g2"))
    assert plain[1] == 2 * grouped[1] and plain[2] == grouped[2]


def test_bad_input() -> None:
    with pytest.raises(BadInput, match="gene 3 is 5, expected 0 to 4"):
        CELLS.decode([0, 0, 0, 5, 0, 0])
    with pytest.raises(BadInput, match="6 whole numbers"):
        CELLS.decode(np.zeros(6))
    with pytest.raises(BadInput, match="'ops' has 5 entries, expected 6"):
        CELLS.arch(["none"] * 5)
    with pytest.raises(BadInput, match="'ops' holds 'conv'"):
        CELLS.arch(["conv"] * 6)
    with pytest.raises(BadInput, match="field 'space' is 'fbnet'"):
        CELLS.encode(BLOCKS.smallest())
    with pytest.raises(BadInput, match="field 'space' is 'fbnet'"):
        CELLS.layers(BLOCKS.smallest())
    with pytest.raises(BadInput, match="field 'ops' must be a list of names"):
        Arch.from_json({**CELLS.smallest().to_json(), "ops": [1]})


@pytest.mark.parametrize("space", [CELLS, BLOCKS])
@given(data=st.data())
def test_every_genome_has_a_network_whose_shapes_fit(space, data) -> None:
    arch = space.decode([data.draw(st.integers(0, size - 1)) for size in space.gene_sizes])
    layers = space.layers(arch, 7)
    shapes = {INPUT: (3, 32, 32)}
    for layer in layers:
        assert layer.name not in shapes and layer.inputs
        entry = shapes[layer.inputs[0]]
        assert (layer.in_c, layer.in_h, layer.in_w) == entry
        if layer.op in ("add", "relu", "zero"):
            assert {shapes[name] for name in layer.inputs} == {(layer.out_c, layer.out_h, layer.out_w)}
        elif layer.op == "pool":
            assert (layer.out_c, layer.out_h, layer.out_w) == (layer.in_c, 1, 1)
        elif layer.op in ("conv", "avg_pool"):
            assert (layer.out_h - 1) * layer.stride < layer.in_h <= layer.out_h * layer.stride
            assert layer.in_c % layer.groups == layer.out_c % layer.groups == 0
        shapes[layer.name] = (layer.out_c, layer.out_h, layer.out_w)
    assert layers[-1].op == "linear" and layers[-1].out_c == 7
    assert layers == space.layers(space.decode(space.encode(arch)), 7)


@given(data=st.data())
def test_equal_networks_mean_equal_genomes_in_cells(data) -> None:
    one, other = (tuple(data.draw(st.integers(0, 4)) for _ in range(6)) for _ in range(2))
    same = CELLS.layers(CELLS.decode(one)) == CELLS.layers(CELLS.decode(other))
    assert same == (one == other)


@pytest.mark.parametrize(
    ("ops", "macs_m", "params_m"),
    [
        # as the benchmark's own tables have them for CIFAR-10: the smallest, the largest, the most accurate cell
        (["none"] * 6, 7.78, 0.073),
        (["nor_conv_3x3"] * 6, 220.12, 1.532),
        (
            ["nor_conv_3x3", "nor_conv_3x3", "nor_conv_3x3", "skip_connect", "nor_conv_3x3", "nor_conv_3x3"],
            184.73,
            1.289,
        ),
    ],
)
def test_cells_cost_what_the_benchmark_says(ops: list[str], macs_m: float, params_m: float) -> None:
    found = costs(CELLS.layers(CELLS.arch(ops)))
    assert found.macs / 1e6 == pytest.approx(macs_m, abs=0.005)
    assert found.params / 1e6 == pytest.approx(params_m, abs=0.0005)


def test_fbnet_c_costs_what_was_published() -> None:
    """On ImageNet: 375 M MACs and 5.5 M parameters in the paper (table 4); 5.57 M in timm's ``fbnetc_100``."""
    strides = {"stem_stride": 2, "stage_stride": (1, 2, 2, 2, 1, 2, 1)}
    space = FBNet("fbnet-imagenet", OPERATORS, 22, 224, 1000, **strides, header_c=1984)
    ops = "k3_e1 k3_e6 k3_e1 k3_e1 skip k5_e6 k5_e3 k5_e6 k3_e6 k5_e6 k5_e3 k5_e6 k5_e6 k5_e6 k5_e6 k5_e6 k5_e3"
    found = costs(space.layers(space.arch([*ops.split(), *["k5_e6"] * 4, "k3_e6"])))
    assert found.macs / 1e6 == pytest.approx(375, rel=0.03)
    assert found.params / 1e6 == pytest.approx(5.57, abs=0.005)


@given(st.integers(0, 2**32 - 1))
def test_fbnets_layers_agree_with_its_tables_of_costs(seed: int) -> None:
    arch = BLOCKS.sample(np.random.default_rng(seed))
    blocks, dense, three, five, _, weights = BLOCKS.costs(arch)
    inside = [layer for layer in BLOCKS.layers(arch) if layer.block >= 0 and layer.op == "conv"]
    assert blocks == sum(layer.is_depthwise for layer in inside) == 22 - arch.ops.count("skip")
    assert dense == sum(layer.macs for layer in inside if layer.kernel == 1)
    assert (three, five) == tuple(sum(layer.macs for layer in inside if layer.kernel == size) for size in (3, 5))
    assert weights == sum(layer.params - 2 * layer.out_c for layer in inside)


def test_networks_of_cells_are_described_and_not_built() -> None:
    network = random_network(CELLS.layers(CELLS.smallest()))
    with pytest.raises(BadInput, match="zero"):
        make_network_plan(network, target={"kind": "llvm", "mtriple": "x86_64-linux-gnu"})
