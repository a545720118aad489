from itertools import pairwise

import numpy as np
import pytest

from natdeploy.spaces import Block, Layer, blocks, get_space


@pytest.mark.parametrize("name", ["ofa-mbv3-w1.0", "ofa-mbv3-w1.2", "mbv3-micro"])
def test_blocks_follow_each_other_and_are_those_of_the_architecture(name: str) -> None:
    space = get_space(name)
    rng = np.random.default_rng(0)
    for _ in range(20):
        arch = space.sample(rng)
        found = blocks(space.layers(arch))
        residual = [block for block in found if block.op == "mbconv"]
        assert [block.op for block in found if block not in residual] == ["conv", "conv", "pool", "conv", "linear"]
        assert [block.kernel for block in residual[1:]] == list(arch.ks)
        assert [block.mid_c // block.in_c for block in residual[1:]] == list(arch.e)
        assert all((one.out_h, one.out_c) == (two.in_h, two.in_c) for one, two in pairwise(found))
        assert all(block.skip == (block.stride == 1 and block.in_c == block.out_c) for block in residual)


def test_a_block_of_the_published_tables() -> None:
    space = get_space("ofa-mbv3-w1.2")
    block = blocks(space.layers(space.smallest()))[4]
    assert block == Block("mbconv", 48, 48, 32, 24, 24, 48, 96, 3, 2, skip=False, se=True, hswish=False)
    assert str(block) == "mbconv 48x48x32 to 24x24x48 (96 channels within, squeeze-excite), kernel 3, stride 2"


def test_a_lone_addition_is_no_block() -> None:
    with pytest.raises(ValueError, match="'odd': a lone add"):
        blocks([Layer("odd", "add", ("input", "input"), 3, 8, 8, 3, 8, 8)])
