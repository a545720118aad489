"""Rules that choose tiles, from register counts and a simple model of a core: two FMA pipes, two loads a cycle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import ceil
from typing import Any

from natdeploy.compiler.kernels.isa import Isa

#: Multiply-adds that must be on their way to keep two pipes of latency four busy.
IN_FLIGHT = 8
#: Longest row of sums; longer ones only make code larger.
MAX_ROWS = 16
#: Cycles in which a vector of weights comes from the second-level cache, where they are found again for each tile.
_WEIGHT_CYCLES = 3
#: Cycles in which each sum of a tile starts and ends: first value, activation, store; and those that it costs more
#: where sums fill over half of the registers, so that the next tile has to wait for them (fitted on a Zen 5).
_SUM_CYCLES, _WAIT_CYCLES = 1.5, 3
#: Registers that LLVM wants beside those of a tile whose inputs lie in registers, or it spills some (seen in code for
#: three Arm cores).
_SPARE = 6


def even(total: int, most: int) -> int:
    """The size of tiles when ``total`` is cut into as few as possible of at most ``most``, all nearly equal."""
    return ceil(total / ceil(total / max(1, most)))


def gemm_tile(m: int, blocks: int, k: int, isa: Isa) -> dict[str, int]:
    """Rows and vectors of a matrix product's tile: the fewest modelled cycles over whole tiles and the rests."""
    return gemm_tiles(m, blocks, k, isa)[0]


def gemm_tiles(m: int, blocks: int, k: int, isa: Isa) -> list[dict[str, int]]:
    """All tiles of a matrix product that the registers hold, the one of the fewest modelled cycles first."""

    def tile_cycles(r: int, v: int) -> float:
        step = max(r * v / 2, (r + v) / 2, IN_FLIGHT / 2, _WEIGHT_CYCLES * v)
        return k * step + _SUM_CYCLES * r * v + _WAIT_CYCLES * max(0, r * v - isa.registers // 2)

    def cycles(r: int, v: int) -> float:
        heights = [(r, m // r), (m % r, 1 if m % r else 0)]
        widths = [(v, blocks // v), (blocks % v, 1 if blocks % v else 0)]
        return sum(tile_cycles(h, w) * times * many for h, times in heights for w, many in widths if times * many)

    candidates = {
        (even(m, rows), v)
        for v in range(1, min(blocks, 6) + 1)
        for rows in range(1, min(MAX_ROWS, _most_rows(v, isa)) + 1)
    }
    ranked = sorted(candidates, key=lambda tile: (cycles(*tile), -tile[1], -tile[0]))
    return [{"rows": r, "vectors": v} for r, v in ranked]


def varied(tiles: list[dict[str, int]], each: int = 2) -> list[dict[str, int]]:
    """The best tiles of each width: neighbours in rows hardly differ."""
    seen: dict[int, int] = {}
    kept = []
    for tile in tiles:
        seen[tile["vectors"]] = seen.get(tile["vectors"], 0) + 1
        if seen[tile["vectors"]] <= each:
            kept.append(tile)
    return kept


def _most_rows(vectors: int, isa: Isa) -> int:
    """Rows whose sums fit the registers beside ``vectors`` weights and one input, or a register of inputs a row."""
    if isa.inputs_in_registers:
        return (isa.registers - _SPARE - vectors) // (vectors + 1)
    return (isa.registers - vectors - 1) // vectors


def cases(e: Any, index: Any, total: int, step: int, emit: Callable[[int], None]) -> None:
    """The code of tile ``index`` of ``total`` cut by ``step``: ``emit(step)``, or ``emit(rest)`` for the last."""
    full, rest = divmod(total, step)
    if not rest:
        emit(step)
    elif not full:
        emit(rest)
    else:
        e.either(index < full, lambda: emit(step), lambda: emit(rest))


def row_tiles(
    e: Any, out_w: int, in_w: int, kernel: int, stride: int, columns: int
) -> Iterator[tuple[Any, int, range]]:
    """Tiles of one output row: the first input column of its window, its width, and which columns of its window exist.

    Padding is never read: tiles at the edges know which columns are missing. Those between are alike and become one
    loop, so that at most the code of four tiles is written. To be used as a ``for`` loop whose body emits the code.
    """
    tiles = [(x, min(columns, out_w - x)) for x in range(0, out_w, columns)]

    def window(x: int, width: int) -> range:
        start, span = x * stride - kernel // 2, (width - 1) * stride + kernel
        return range(max(0, -start), min(span, in_w - start))

    index = 0
    while index < len(tiles):
        x, width = tiles[index]
        exists = window(x, width)
        alike = index
        while alike < len(tiles) and tiles[alike][1] == width and window(*tiles[alike]) == exists:
            alike += 1
        if alike - index > 1:
            with e.loop(index, alike) as tile:
                yield tile * columns, width, exists
        else:
            yield x, width, exists
        index = alike


def filter_rows(e: Any, row: Any, in_h: int, kernel: int, stride: int) -> Any:
    """A loop over the rows of a filter that lie inside the image, for one output row."""
    top = row * stride - kernel // 2
    return e.loop(e.most(0 - top, 0), e.least(in_h - top, kernel))
