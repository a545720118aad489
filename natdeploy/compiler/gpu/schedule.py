"""Loops bound to the threads of a graphics processor. Imported in child processes only (needs TVM).

Each rule takes a schedule of one fused PrimFunc and either applies itself or returns None and leaves the next one to
try; what none of them foresees is left to TVM's dlight. Images are channels-last, so that neighbouring threads work on
neighbouring channels.
"""

from __future__ import annotations

from math import prod
from typing import Any

import tvm
from tvm.s_tir import Schedule, dlight
from tvm.s_tir.schedule import ScheduleError
from tvm.tirx import IterVar

#: Numbers that a thread loads, multiplies and stores at once.
LANES = 4
#: Most neighbouring pixels of one thread: each weight it loads serves all of them.
_MOST_ROWS = 8
#: Fewer threads than this leave most of a graphics processor idle: a thread then takes fewer pixels, and sums are
#: shared among threads.
_ENOUGH_THREADS = 4096
#: Threads of a group; or the sums of one, and the threads that share each of them.
_GROUP, _SUMS, _SHARING = 64, 16, 16
#: Most threads beside each other in x, which is along the channels.
_NEIGHBOURS = 16


def schedule(function: Any, target: Any) -> Any:
    """The PrimFunc with every loop nest bound to threads of ``target``, TVM's Target. It may be several kernels."""
    for rule in (_shared_sums, _contraction, _elementwise):
        try:
            scheduled = rule(Schedule(function))
        except ScheduleError:  # loops of a shape that the rule does not foresee: it does not apply
            continue
        if scheduled is not None:
            return scheduled.mod["main"]
    rules = (dlight.gpu.Reduction(), dlight.gpu.GeneralReduction(), dlight.gpu.Fallback())
    with target:
        return dlight.ApplyDefaultSchedule(*rules)(tvm.IRModule({"main": function}))["main"]


def _contraction(sch: Schedule) -> Schedule | None:
    """Convolutions and products: a thread keeps the sums of a few pixels and neighbouring channels in registers."""
    parts = _one_reduction(sch)
    if parts is None:
        return None
    block, last = parts
    *outer, row, channel = _spatial(sch, last)
    outputs = prod(int(sch.get(loop).extent) for loop in (*outer, row, channel))
    width = _width(int(sch.get(channel).extent))
    rows = _rows(int(sch.get(row).extent), outputs // width)
    across = _divisor(int(sch.get(channel).extent) // width, _NEIGHBOURS)
    row_out, row_in = sch.split(row, [None, rows])
    row_group, row_thread = sch.split(sch.fuse(*outer, row_out), [None, _GROUP // across])
    channel_group, channel_thread, lane = sch.split(channel, [None, across, width])
    sch.reorder(row_group, channel_group, row_thread, channel_thread, row_in, lane)
    bound = {"blockIdx.x": channel_group, "blockIdx.y": row_group, "threadIdx.x": channel_thread}
    for axis, loop in {**bound, "threadIdx.y": row_thread}.items():
        sch.bind(loop, axis)
    sch.vectorize(lane)
    sch.unroll(row_in)
    sch.compute_at(block, channel_thread, preserve_unit_loops=True)
    sch.set_scope(block, 0, "local")
    reduced = _kinds(sch, block).count("R")
    loops = sch.get_loops(block)
    *_, own_row, own_lane = loops[:-reduced]
    sch.reorder(*loops[-reduced:], own_row, own_lane)
    sch.unroll(own_row)
    sch.vectorize(own_lane)
    init = sch.decompose_reduction(block, loops[-reduced])
    *_, init_row, init_lane = sch.get_loops(init)
    sch.unroll(init_row)
    sch.vectorize(init_lane)
    return sch


def _shared_sums(sch: Schedule) -> Schedule | None:
    """Few long sums (a mean over an image, a product with one row): several threads share each of them."""
    parts = _one_reduction(sch)
    if parts is None:
        return None
    block, last = parts
    loops = _spatial(sch, last)
    outputs = prod(int(sch.get(loop).extent) for loop in loops)
    reduction = [loop for loop, kind in zip(sch.get_loops(block), _kinds(sch, block)) if kind == "R"]
    length = prod(int(sch.get(loop).extent) for loop in reduction)
    if outputs >= _ENOUGH_THREADS or length < 4 * _SHARING:
        return None
    group, thread = sch.split(sch.fuse(*loops), [None, _SUMS])
    sch.bind(group, "blockIdx.x")
    sch.bind(thread, "threadIdx.x")
    sch.compute_at(block, thread, preserve_unit_loops=True)
    sch.set_scope(block, 0, "local")
    own = sch.get_loops(block)[-len(_kinds(sch, block)) :]
    summed = [loop for loop, kind in zip(own, _kinds(sch, block)) if kind == "R"]
    _, sharer = sch.split(sch.fuse(*summed), [None, _SHARING])
    sch.bind(sharer, "threadIdx.y")
    return sch


def _elementwise(sch: Schedule) -> Schedule | None:
    """No sums: a thread computes a few neighbouring numbers."""
    blocks, reductions, _ = _blocks(sch)
    if reductions or not blocks or len({_written(sch, block) for block in blocks if _is_output(sch, block)}) != 1:
        return None
    for block in blocks[:-1]:
        sch.compute_inline(block)
    *outer, last = sch.get_loops(blocks[-1])
    last, lane = sch.split(last, [None, _width(int(sch.get(last).extent))])
    _bind(sch, sch.fuse(*outer, last))
    sch.vectorize(lane)
    return sch


def _one_reduction(sch: Schedule) -> tuple[Any, Any] | None:
    """The only block that sums up, and the one behind it that writes; all others are made part of them.

    None where there are several sums or outputs.
    """
    before, reductions, after = _blocks(sch)
    if len(reductions) != 1 or any(_is_output(sch, block) for block in (*before, *reductions, *after)[:-1]):
        return None
    (block,) = reductions
    for each in (*before, *after[:-1]):
        sch.compute_inline(each)
    return block, after[-1] if after else sch.cache_write(block, 0, "local")


def _blocks(sch: Schedule) -> tuple[list[Any], list[Any], list[Any]]:
    """Blocks before, at and after the reductions, in order."""
    blocks = sch.get_child_blocks(sch.get_sblock("root"))
    found = [index for index, block in enumerate(blocks) if "R" in _kinds(sch, block)]
    if not found:
        return blocks, [], []
    return blocks[: found[0]], blocks[found[0] : found[-1] + 1], blocks[found[-1] + 1 :]


def _kinds(sch: Schedule, block: Any) -> str:
    """``S`` or ``R`` for each axis of a block."""
    kinds = {IterVar.DataPar: "S", IterVar.CommReduce: "R"}
    return "".join(kinds.get(axis.iter_type, "?") for axis in sch.get(block).iter_vars)


def _written(sch: Schedule, block: Any) -> str:
    return str(sch.get(block).writes[0].source.name)


def _is_output(sch: Schedule, block: Any) -> bool:
    """Whether a block writes an argument of the function."""
    arguments = sch.mod["main"].params
    return any(region.source.same_as(buffer) for region in sch.get(block).writes for buffer in arguments)


def _spatial(sch: Schedule, block: Any) -> list[Any]:
    """Loops of a block that sums nothing; at least two, so that there are rows and channels."""
    loops = list(sch.get_loops(block))
    while len(loops) < 2:
        loops = [sch.add_unit_loop(loops[0]), *loops]
    return loops


def _divisor(count: int, most: int) -> int:
    """The largest divisor that is not above ``most``."""
    return max(size for size in range(1, most + 1) if count % size == 0)


def _width(channels: int) -> int:
    """The widest vector that divides the channels."""
    return next(width for width in (LANES, 2, 1) if channels % width == 0)


def _rows(count: int, threads: int) -> int:
    """Neighbouring pixels for one thread: as many as leave enough threads."""
    fitting = [rows for rows in range(1, _MOST_ROWS + 1) if count % rows == 0]
    return max([rows for rows in fitting if threads // rows >= _ENOUGH_THREADS], default=1)


def _bind(sch: Schedule, loop: Any) -> Any:
    """Spread a loop over groups of threads; returns the loop over a group's threads."""
    group, thread = sch.split(loop, [None, _GROUP])
    sch.bind(group, "blockIdx.x")
    sch.bind(thread, "threadIdx.x")
    return thread
