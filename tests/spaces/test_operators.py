import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from natdeploy.ground.errors import BadInput
from natdeploy.spaces import Arch, get_space

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
    with pytest.raises(BadInput, match="cannot be built"):
        BLOCKS.layers(BLOCKS.smallest())
    with pytest.raises(BadInput, match="field 'ops' must be a list of names"):
        Arch.from_json({**CELLS.smallest().to_json(), "ops": [1]})
