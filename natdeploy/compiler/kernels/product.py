"""One tile of a matrix product: its sums stay in registers (Goto and van de Geijn 2008).

Each step of the innermost loop, over input channels, loads ``vectors`` vectors of weights and spreads one value of
every pixel: rows * vectors multiply-adds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Any

from natdeploy.compiler.kernels.isa import Isa
from natdeploy.compiler.kernels.layout import panel_row

#: Fewer weights than this stay in the nearest cache anyway.
_WORTH_PREFETCHING = 1 << 13


@dataclass(frozen=True)
class Product:
    """``[m, k] x [k, n]``: pixels by input channels, times packed weights, cut into tiles of one size."""

    m: int
    k: int
    n: int
    rows: int
    vectors: int
    isa: Isa

    @property
    def tiles(self) -> int:
        """How many tiles stand on each panel of weights."""
        return ceil(self.m / self.rows)

    @property
    def panels(self) -> int:
        """How many panels of weights there are."""
        return ceil(self.isa.blocks(self.n) / self.vectors)


def emit_tile(
    e: Any,
    product: Product,
    operands: tuple[Any, Any, Any],
    place: tuple[Any, Any],
    size: tuple[int, int],
    finish: Callable[[int, int, Any], None],
) -> None:
    """The code of one tile.

    Args:
        operands: input, packed weights, bias.
        place: first pixel, panel.
        size: of this tile, in pixels and vectors.
        finish: what becomes of the sum of a pixel and a vector of the tile.
    """
    x, weight, bias = operands
    first, panel = place
    rows, vectors = size
    k, lanes = product.k, product.isa.lanes
    block = panel * product.vectors
    sums = e.sums(rows * vectors)
    for v in range(vectors):
        start = e.vector(bias, block + v)
        for r in range(rows):
            e.store(sums, start, r * vectors + v)

    def step(k_block: Any, k_lane: Any) -> None:
        channel = k_block * lanes + k_lane
        columns = [e.vector(weight, panel_row(block, k, channel, vectors, v)) for v in range(vectors)]
        for r in range(rows):
            value = e.spread(x, k_block, first + r, k_lane)
            for v, column in enumerate(columns):
                e.add_to(sums, r * vectors + v, value * column)

    if k >= lanes:
        with e.loop(0, k // lanes) as k_block:
            _prefetch(e, product, weight, panel, first // product.rows * (k // lanes) + k_block)
            with e.loop(0, lanes) as k_lane:
                step(k_block, k_lane)
    if k % lanes:
        with e.loop(0, k % lanes) as k_lane:
            step(k // lanes, k_lane)
    for v in range(vectors):
        for r in range(rows):
            finish(r, v, e.read(sums, r * vectors + v))


def _prefetch(e: Any, product: Product, weight: Any, panel: Any, step: Any) -> None:
    """Step by step over all tiles of a panel, ask for the weights of the next one (behind the last: for those of the
    next kernel), which otherwise would come from memory while the first tile waits."""
    k, vectors, rows_of_line = product.k, product.vectors, product.isa.rows_of_line
    if k * product.n < _WORTH_PREFETCHING:
        return
    share = ceil(k * vectors / (product.tiles * (k // product.isa.lanes)) / rows_of_line)
    for line in range(share):
        e.prefetch(weight, (panel + 1) * vectors * k + (step * share + line) * rows_of_line)
