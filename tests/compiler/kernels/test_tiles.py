"""Tiles: what they hold at once fits the registers, whatever the shape."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natdeploy.compiler.kernels.depthwise import columns
from natdeploy.compiler.kernels.isa import Isa
from natdeploy.compiler.kernels.tiles import gemm_tile

AVX512, AVX2, NEON = Isa(16, 32), Isa(8, 16), Isa(4, 32)
size = st.integers(1, 4096)


@pytest.mark.parametrize("isa", [AVX512, AVX2])
@given(m=size, blocks=st.integers(1, 256), k=size)
def test_sums_and_weights_and_one_input_fit(isa: Isa, m: int, blocks: int, k: int) -> None:
    tile = gemm_tile(m, blocks, k, isa)
    assert 1 <= tile["rows"] <= m and 1 <= tile["vectors"] <= blocks
    assert tile["rows"] * tile["vectors"] + tile["vectors"] + 1 <= isa.registers


@given(m=size, blocks=st.integers(1, 256), k=size)
def test_on_64_bit_arm_inputs_of_every_row_fit_too(m: int, blocks: int, k: int) -> None:
    tile = gemm_tile(m, blocks, k, NEON)
    assert tile["rows"] * tile["vectors"] + tile["rows"] + tile["vectors"] <= NEON.registers


@given(kernel=st.sampled_from([3, 5, 7]), stride=st.sampled_from([1, 2]), out_w=st.integers(1, 256))
def test_on_64_bit_arm_the_window_of_depthwise_sums_fits(kernel: int, stride: int, out_w: int) -> None:
    found = columns({"kernel": kernel, "stride": stride, "out_w": out_w}, NEON)
    window = (found - 1) * stride + kernel
    assert 1 <= found <= out_w and found + kernel + window <= NEON.registers
