"""Dense convolutions of any size and stride, the stem among them: a tile of one output row, as in a matrix product.

The input is an image as it enters a network, plane after plane (``planar``), or blocked like all activations. A unit is
one output row for ``vectors`` vectors of output channels. Padding is never read (see ``depthwise.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np

from natdeploy.compiler.kernels.isa import Isa
from natdeploy.compiler.kernels.kind import Kernel, Kind, Schedule, Shape, Workload
from natdeploy.compiler.kernels.layout import pack_panels, panel_row
from natdeploy.compiler.kernels.tiles import cases, filter_rows, gemm_tiles, row_tiles, varied


def _rule(workload: Workload, isa: Isa) -> Schedule:
    return _tiles(workload, isa)[0]


def _tiles(workload: Workload, isa: Isa) -> list[Schedule]:
    tiles = gemm_tiles(workload["out_w"], isa.blocks(workload["out_c"]), _depth(workload), isa)
    return [{"columns": tile["rows"], "vectors": tile["vectors"]} for tile in tiles]


def _depth(workload: Workload) -> int:
    return int(workload["in_c"] * workload["kernel"] ** 2)


def _input_shape(workload: Workload, isa: Isa) -> Shape:
    pixels = workload["in_h"] * workload["in_w"]
    return (workload["in_c"], pixels, 1) if workload["planar"] else (isa.blocks(workload["in_c"]), pixels, isa.lanes)


def _shapes(workload: Workload, isa: Isa) -> tuple[Shape, ...]:
    return shapes_of_depth(workload, isa, _depth(workload))


def shapes_of_depth(workload: Workload, isa: Isa, depth: int) -> tuple[Shape, ...]:
    """Shapes of the arguments where each output is a sum over so many inputs."""
    blocks = isa.blocks(workload["out_c"])
    out = (blocks, workload["out_h"] * workload["out_w"], isa.lanes)
    residual = (out,) if workload["residual"] else ()
    return (_input_shape(workload, isa), (blocks * depth, isa.lanes), (blocks, isa.lanes), *residual, out)


def rows_of_panels(kernel: Kernel) -> int:
    """Units: every output row of every panel of output channels."""
    panels = ceil(kernel.isa.blocks(kernel.workload["out_c"]) / kernel.schedule["vectors"])
    return panels * int(kernel.workload["out_h"])


def _emit(e: Any, kernel: Kernel, buffers: list[Any], unit: Any) -> None:
    emit_panel(e, kernel, buffers, unit, Channels(kernel.workload["in_c"]))


@dataclass(frozen=True)
class Channels:
    """The input channels that an output vector is a sum over.

    Attributes:
        count: how many.
        first: the first one of a block of output channels.
        group: the number of a channel's group, where lanes of a vector are of several. Each lane's own stands before
            the vector's weights then, in a row of ``-1`` behind the last channel.
        last: a number no input channel of which must be read beyond; None where none could be.
    """

    count: int
    first: Callable[[Any], Any] = lambda block: 0
    group: Callable[[Any], Any] | None = None
    last: int | None = None


def emit_panel(e: Any, kernel: Kernel, buffers: list[Any], unit: Any, channels: Channels) -> None:
    """The code of one output row of ``vectors`` vectors of output channels."""
    out_h = kernel.workload["out_h"]
    panel, row = unit // out_h, unit % out_h
    blocks, vectors = kernel.isa.blocks(kernel.workload["out_c"]), kernel.schedule["vectors"]
    cases(e, panel, blocks, vectors, lambda v: _emit_row(e, kernel, buffers, (panel * vectors, row), v, channels))


def _emit_row(
    e: Any, kernel: Kernel, buffers: list[Any], place: tuple[Any, Any], vectors: int, channels: Channels
) -> None:
    x, weight, bias, *residual, out = buffers
    block, row = place
    workload = kernel.workload
    size, stride, in_w, out_w = (workload[field] for field in ("kernel", "stride", "in_w", "out_w"))
    inner = 1 if workload["planar"] else kernel.isa.lanes
    before = 1 if channels.group else 0
    depth = channels.count * size**2 + before
    for start, width, exists in row_tiles(e, out_w, in_w, size, stride, kernel.schedule["columns"]):
        sums = e.sums(width * vectors)
        for v in range(vectors):
            initial = e.vector(bias, block + v)
            for i in range(width):
                e.store(sums, initial, i * vectors + v)
        lanes = e.vector(weight, block * depth) if channels.group else None
        with filter_rows(e, row, workload["in_h"], size, stride) as filter_row, e.loop(0, channels.count) as number:
            pixel = (row * stride + filter_row - size // 2) * in_w + start * stride - size // 2
            channel = channels.first(block) + number
            mask = e.lanes_equal(lanes, channels.group(channel)) if channels.group else None
            if channels.last is not None:
                channel = e.least(channel, channels.last)
            for tap in range(size):
                inside = [i for i in range(width) if i * stride + tap in exists]
                if not inside:
                    continue
                step = before + (filter_row * channels.count + number) * size + tap
                taps = [e.vector(weight, panel_row(block, depth, step, vectors, v)) for v in range(vectors)]
                for i in inside:
                    value = e.spread(x, channel // inner, pixel + i * stride + tap, channel % inner)
                    for v in range(vectors):
                        e.add_to(sums, i * vectors + v, value * taps[v], mask)
        for v in range(vectors):
            for i in range(width):
                value = e.activate(e.read(sums, i * vectors + v), workload["activation"])
                if residual:
                    value = value + e.vector(residual[0], block + v, row * out_w + start + i)
                e.store(out, value, block + v, row * out_w + start + i)


def pack_filters(kernel: Kernel, weight: np.ndarray, place: int = 0) -> np.ndarray:
    """A filter's rows, channels, columns: the order of the loops."""
    by_use = weight.transpose(0, 2, 1, 3)
    return pack_panels(by_use.reshape(weight.shape[0], -1), kernel.isa.lanes, kernel.schedule["vectors"])


def _work(workload: Workload) -> int:
    return int(workload["out_c"] * workload["out_h"] * workload["out_w"] * _depth(workload))


KIND = Kind(
    rule=_rule,
    shapes=_shapes,
    units=rows_of_panels,
    work=_work,
    emit=_emit,
    pack=pack_filters,
    others=lambda w, isa: varied(_tiles(w, isa)),
)
