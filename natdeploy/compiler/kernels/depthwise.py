"""Depthwise convolutions: one row of sums for a block of channels, every input vector loaded once for all its taps.

A unit is one output row of one block. The rows of a filter that lie outside the image are left out by the loop's
bounds, its columns by tiles that know where they stand, so nothing is padded and no padding is read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from natdeploy.compiler.kernels.isa import Isa
from natdeploy.compiler.kernels.kind import Kernel, Kind, Schedule, Shape, Workload
from natdeploy.compiler.kernels.layout import pad_channels
from natdeploy.compiler.kernels.tiles import MAX_ROWS, even, filter_rows, row_tiles


def columns(workload: Workload, isa: Isa) -> int:
    """How many sums of a row fit the registers, beside the taps of one filter row and one input vector.

    For Arm, whose cores in order want loads early, beside all input vectors of the sums' window.
    """
    size, stride = workload["kernel"], workload["stride"]
    most = isa.registers - size - 1
    if isa.inputs_in_registers:
        most = (isa.registers - 2 * size + stride) // (1 + stride)
    return even(workload["out_w"], min(MAX_ROWS, max(4, most)))


def other_columns(workload: Workload, isa: Isa) -> list[int]:
    """Other numbers of sums of a row, those nearest to the rule's first."""
    rule = columns(workload, isa)
    found = {even(workload["out_w"], most) for most in range(2, min(MAX_ROWS, isa.registers - 4) + 1)} - {rule}
    return sorted(found, key=lambda other: (abs(other - rule), other))


def _rule(workload: Workload, isa: Isa) -> Schedule:
    return {"columns": columns(workload, isa)}


def _others(workload: Workload, isa: Isa) -> list[Schedule]:
    return [{"columns": other} for other in other_columns(workload, isa)]


def _shapes(workload: Workload, isa: Isa) -> tuple[Shape, ...]:
    blocks = isa.blocks(workload["c"])
    return (
        (blocks, workload["in_h"] * workload["in_w"], isa.lanes),
        (blocks * workload["kernel"] ** 2, isa.lanes),
        (blocks, isa.lanes),
        (blocks, workload["out_h"] * workload["out_w"], isa.lanes),
    )


def _units(kernel: Kernel) -> int:
    return kernel.isa.blocks(kernel.workload["c"]) * int(kernel.workload["out_h"])


def _emit(e: Any, kernel: Kernel, buffers: list[Any], unit: Any) -> None:
    x, *rest = buffers
    block, row = unit // kernel.workload["out_h"], unit % kernel.workload["out_h"]
    emit_row(e, kernel, (x, block, lambda in_row: in_row), rest, (block, row))


def emit_row(
    e: Any, kernel: Kernel, source: tuple[Any, Any, Callable[[Any], Any]], buffers: list[Any], place: tuple[Any, Any]
) -> None:
    """The code of one output row.

    Args:
        source: a buffer, its block, and at which of its rows it holds a row of the image.
        buffers: weights, bias, output.
        place: block and row of the output.
    """
    x, x_block, row_of = source
    weight, bias, out = buffers
    block, row = place
    workload = kernel.workload
    size, stride, in_w, out_w = (workload[field] for field in ("kernel", "stride", "in_w", "out_w"))
    for start, width, exists in row_tiles(e, out_w, in_w, size, stride, kernel.schedule["columns"]):
        sums = e.sums(width)
        initial = e.vector(bias, block)
        for i in range(width):
            e.store(sums, initial, i)
        with filter_rows(e, row, workload["in_h"], size, stride) as filter_row:
            taps = [e.vector(weight, (block * size + filter_row) * size + tap) for tap in range(size)]
            pixel = row_of(row * stride + filter_row - size // 2) * in_w + start * stride - size // 2
            for column in exists:
                value = e.vector(x, x_block, pixel + column)
                for i in range(width):
                    if 0 <= column - i * stride < size:
                        e.add_to(sums, i, value * taps[column - i * stride])
        for i in range(width):
            value = e.activate(e.read(sums, i), workload["activation"])
            e.store(out, value, block, row * out_w + start + i)


def pack_taps(kernel: Kernel, weight: np.ndarray, place: int = 0) -> np.ndarray:
    """Taps of a block of channels after the other."""
    taps = weight.reshape(weight.shape[0], -1)
    return np.ascontiguousarray(pad_channels(taps, kernel.isa.lanes).transpose(0, 2, 1)).reshape(-1, kernel.isa.lanes)


def _work(workload: Workload) -> int:
    return int(workload["c"] * workload["out_h"] * workload["out_w"] * workload["kernel"] ** 2)


KIND = Kind(rule=_rule, shapes=_shapes, units=_units, work=_work, emit=_emit, pack=pack_taps, others=_others)
