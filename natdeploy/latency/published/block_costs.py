"""What a block of a lookup table costs on any device, and how near two blocks are to each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from natdeploy.spaces import Block
from natdeploy.spaces.mobilenetv3_layers import squeeze_channels

#: Kinds of blocks that have rates and residuals of their own.
KINDS = ("mbconv", "spatial", "dense", "vector", "pool")
#: Columns of :func:`costs`.
COSTS = ("blocks", "dense_macs", "depthwise_macs", "spatial_macs", "vector_weights", "elements")
#: Columns of :func:`coordinates`, and in what distance each of them makes blocks strange to each other: logarithms of
#: sizes, then yes or no.
COORDINATES = ("map", "in_c", "out_c", "mid_c", "kernel", "stride", "se", "skip")


def block_kind(block: Block) -> str:
    """One of :data:`KINDS`: a matrix times one vector is no convolution of a map, whatever a table calls it."""
    if block.op == "conv":
        return "spatial" if block.kernel > 1 else "vector" if block.in_h * block.in_w == 1 else "dense"
    return "vector" if block.op == "linear" else block.op


def family(block: Block) -> tuple[object, ...]:
    """All of a block's shape but the size of its map."""
    return (block.op, block.in_c, block.out_c, block.mid_c, block.kernel, block.stride, block.skip, block.se)


def channels(block: Block) -> tuple[object, ...]:
    """What a space of another width has other values of."""
    return (block_kind(block), block.in_c, block.out_c)


def costs(blocks: Sequence[Block]) -> np.ndarray:
    """Multiply-accumulates, weights of vectors, and elements read and written; float64 ``[n, len(COSTS)]``."""
    return np.array([_costs(block) for block in blocks], np.float64).reshape(len(blocks), len(COSTS))


def coordinates(blocks: Sequence[Block]) -> np.ndarray:
    """Where blocks lie in a space in which near ones cost alike for their work; float64 ``[n, len(COORDINATES)]``."""
    table = [
        (
            *np.log([block.out_h * block.out_w, block.in_c, block.out_c, max(block.mid_c, 1), block.kernel]),
            *(float(block.stride), float(block.se), float(block.skip)),
        )
        for block in blocks
    ]
    return np.array(table, np.float64).reshape(len(blocks), len(COORDINATES))


def _costs(block: Block) -> tuple[float, ...]:
    read, written = block.in_h * block.in_w, block.out_h * block.out_w
    elements = float(read * block.in_c + written * block.out_c)
    if block.op == "mbconv":
        expanded = block.mid_c if block.mid_c != block.in_c else 0
        dense = read * block.in_c * expanded + written * block.mid_c * block.out_c
        elements += 2 * read * expanded + 2 * written * block.mid_c + written * block.out_c * block.skip
        gate = 2 * block.mid_c * squeeze_channels(block.mid_c) if block.se else 0
        elements += 3 * written * block.mid_c * block.se
        return (1, dense, written * block.mid_c * block.kernel**2, 0, gate, elements)
    macs = float(written * block.in_c * block.out_c * block.kernel**2)
    kind = block_kind(block)
    if kind == "vector":
        macs = block.in_c * block.out_c
    by_kind = {name: macs * (kind == name) for name in ("dense", "spatial", "vector")}
    return (1, by_kind["dense"], 0, by_kind["spatial"], by_kind["vector"], elements)
