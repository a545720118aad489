"""Schedules for the loops that Relax's legalisation leaves behind. Imported in child processes only (needs TVM).

Legalised operators reduce innermost into memory, which no compiler vectorises. Each rule takes a schedule of one fused
PrimFunc and either applies itself or returns None and leaves the next one to try (TVM's dlight does the same).
"""

from __future__ import annotations

from math import prod
from typing import Any

from tvm.s_tir import Schedule
from tvm.s_tir.schedule import ScheduleError
from tvm.tirx import IterVar

#: Longest row of accumulators; longer ones only make code larger.
MAX_TILE = 16


def schedule(function: Any, lanes: int, registers: int) -> Any:
    """The PrimFunc with its loops arranged for vectors of ``lanes`` float32 and that many vector registers."""
    for rule in (_contraction, _reduction, _elementwise):
        try:
            scheduled = rule(Schedule(function), lanes, registers)
        except ScheduleError:  # loops of a shape that the rule does not foresee: it does not apply
            continue
        if scheduled is not None:
            return scheduled.mod["main"]
    return function


def inline_before_reduction(function: Any) -> Any:
    """The PrimFunc without blocks that only move or convert what a reduction reads; padding stays a block of its own.

    A reduction that is the last block gets another one behind it, which writes what it has summed up.
    """
    sch = Schedule(function)
    before, reductions, after = _blocks(sch)
    if len(reductions) == 1:
        for block in before:
            if not _is_padding(sch, block):
                sch.compute_inline(block)
        if not after:
            sch.cache_write(reductions[0], 0, "local")
    return sch.mod["main"]


def _is_padding(sch: Schedule, block: Any) -> bool:
    """Whether a block puts something around what it copies."""
    return "if_then_else" in str(sch.get(block).body)


def vector_lanes(channels: int, lanes: int) -> int:
    """The widest vector, at most ``lanes``, that divides the channels."""
    while lanes > 1 and channels % lanes:
        lanes //= 2
    return lanes


def tile(rows: int, vectors: int, registers: int, *, shared: bool) -> tuple[int, int]:
    """Rows and vectors of accumulators that fit the registers and need the fewest loads per multiply-add.

    ``shared``: a row's input serves all vectors (a matrix product); otherwise each vector has its own (depthwise).
    """

    def cost(candidate: tuple[int, int]) -> tuple[float, int]:
        r, v = candidate
        loads = (r + v) / (r * v) if shared else 1 + 1 / r
        starved = max(1.0, 8 / (r * v))  # two FMA pipes of latency four want eight independent sums
        return (max(loads, 0.5) * starved, r * v)

    most_vectors = (8 if rows == 1 else 4) if shared else 2
    candidates = [
        (r, v)
        for r in range(1, min(rows, MAX_TILE) + 1)
        for v in range(1, min(vectors, most_vectors) + 1)
        if rows % r == 0 and vectors % v == 0 and r * v + v + 1 <= registers
    ]
    return min(candidates, key=cost)


def _kinds(sch: Schedule, block: Any) -> str:
    """``S`` or ``R`` for each axis of a block."""
    kinds = {IterVar.DataPar: "S", IterVar.CommReduce: "R"}
    return "".join(kinds.get(axis.iter_type, "?") for axis in sch.get(block).iter_vars)


def _blocks(sch: Schedule) -> tuple[list[Any], list[Any], list[Any]]:
    """Blocks before, at and after the reductions, in order."""
    blocks = sch.get_child_blocks(sch.get_sblock("root"))
    reductions = [index for index, block in enumerate(blocks) if "R" in _kinds(sch, block)]
    if not reductions:
        return blocks, [], []
    first, last = reductions[0], reductions[-1]
    return blocks[:first], blocks[first : last + 1], blocks[last + 1 :]


def _contraction(sch: Schedule, lanes: int, registers: int) -> Schedule | None:
    """Convolutions and matrix products: a tile of accumulators in registers, vectors over output channels.

    Loop order: channel tile, outer rows, row tile, reduction, then the tile itself, unrolled. The elementwise tail
    becomes one pass over the finished tile. A padded copy of the input stays, of one channel tile if depthwise.
    """
    before, reductions, after = _blocks(sch)
    if len(reductions) != 1 or not after or len(before) > 1:
        return None
    block, last = reductions[0], after[-1]
    reduced = _kinds(sch, block).count("R")
    if reduced not in (1, 3) or len(sch.get(block).reads) != 2:
        return None
    *weight_dims, outer_c, inner_c = [int(size) for size in sch.get(block).reads[1].source.shape]
    *_, channels = (int(size) for size in sch.get(block).writes[0].source.shape)
    depthwise = reduced == 3 and inner_c == 1 and outer_c == channels and channels > 1
    if not depthwise and (inner_c != channels or _is_grouped(sch, block, outer_c)):
        return None
    for elementwise in after[:-1]:
        sch.compute_inline(elementwise)
    *outer, row, channel = sch.get_loops(last)
    width = vector_lanes(channels, lanes)
    rows, vectors = tile(int(sch.get(row).extent), channels // width, registers, shared=not depthwise)
    row_out, row_in = sch.split(row, [None, rows])
    c_out, c_vector, c_lane = sch.split(channel, [None, vectors, width])
    sch.reorder(c_out, *outer, row_out, row_in, c_vector, c_lane)
    _unroll(sch, row_in, c_vector)
    sch.vectorize(c_lane)
    sch.compute_at(block, row_out, preserve_unit_loops=True)
    sch.set_scope(block, 0, "local")
    loops = sch.get_loops(block)
    *_, tile_row, tile_channel = loops[:-reduced]
    reduction = loops[-reduced:]
    t_vector, t_lane = sch.split(tile_channel, [vectors, width])
    sch.reorder(*reduction, tile_row, t_vector, t_lane)
    if reduced == 3 and prod(weight_dims) > 1:
        _unroll(sch, reduction[1])  # the columns of a filter
    if depthwise:
        _unroll(sch, reduction[2])
    _unroll(sch, tile_row, t_vector)
    sch.vectorize(t_lane)  # before the decomposition: an update without its init is no block that may be scheduled
    init = sch.decompose_reduction(block, reduction[0])
    _initialise(sch, init, vectors, width)
    for padding in before:
        if depthwise:
            sch.compute_at(padding, c_out)
        _vectorize_last(sch, padding, lanes)
    return sch


def _initialise(sch: Schedule, init: Any, vectors: int, width: int) -> None:
    """Zero a tile of accumulators: loops over rows and channels, the channels perhaps still in one."""
    *rows, channel = sch.get_loops(init)
    if int(sch.get(channel).extent) != width or int(sch.get(rows[-1]).extent) != vectors:
        vector, channel = sch.split(channel, [vectors, width])
        _unroll(sch, vector)
    _unroll(sch, rows[-1])
    sch.vectorize(channel)


def _is_grouped(sch: Schedule, block: Any, filter_c: int) -> bool:
    """Whether a filter sees only part of the input's channels."""
    return filter_c not in [int(size) for size in sch.get(block).reads[0].source.shape]


def _reduction(sch: Schedule, lanes: int, registers: int) -> Schedule | None:
    """A mean or maximum over rows or windows: running values of a few vectors of channels."""
    before, reductions, after = _blocks(sch)
    if len(reductions) != 1 or not after:
        return None
    block, last = reductions[0], after[-1]
    for elementwise in after[:-1]:
        sch.compute_inline(elementwise)
    *_, channel = sch.get_loops(last)
    channels = int(sch.get(channel).extent)
    width = vector_lanes(channels, lanes)
    _, vectors = tile(1, channels // width, registers, shared=True)
    c_out, c_vector, c_lane = sch.split(channel, [None, vectors, width])
    _unroll(sch, c_vector)
    sch.vectorize(c_lane)
    sch.compute_at(block, c_out, preserve_unit_loops=True)
    sch.set_scope(block, 0, "local")
    own = list(zip(reversed(sch.get_loops(block)), reversed(_kinds(sch, block))))
    reduction = [loop for loop, kind in own if kind == "R"][::-1]
    tile_channel = next(loop for loop, kind in own if kind == "S")
    t_vector, t_lane = sch.split(tile_channel, [vectors, width])
    sch.reorder(*reduction, t_vector, t_lane)
    _unroll(sch, t_vector)
    sch.vectorize(t_lane)
    _initialise(sch, sch.decompose_reduction(block, reduction[0]), vectors, width)
    for padding in before:
        _vectorize_last(sch, padding, lanes)
    return sch


def _elementwise(sch: Schedule, lanes: int, registers: int) -> Schedule | None:
    """No reduction at all: one pass, vectors over the last axis."""
    blocks, reductions, _ = _blocks(sch)
    if reductions or not blocks:
        return None
    for block in blocks[:-1]:
        sch.compute_inline(block)
    _vectorize_last(sch, blocks[-1], lanes)
    return sch


def _vectorize_last(sch: Schedule, block: Any, lanes: int) -> None:
    last = sch.get_loops(block)[-1]
    width = vector_lanes(int(sch.get(last).extent), lanes)
    if width > 1:
        _, lane = sch.split(last, [None, width])
        sch.vectorize(lane)


def _unroll(sch: Schedule, *loops: Any) -> None:
    for loop in loops:
        sch.unroll(loop)
