"""A 1x1 convolution and the depthwise one behind it, the widest maps of a network: never written as a whole.

A unit is a panel of the channels between the two. Where its map is small it is computed at once, otherwise row after
row into a ring of as many rows as the filter has; the depthwise rows follow while it is in the nearest caches.
"""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np

from natdeploy.compiler.kernels.depthwise import columns, emit_row, other_columns, pack_taps
from natdeploy.compiler.kernels.isa import Isa
from natdeploy.compiler.kernels.kind import Kernel, Kind, Schedule, Shape, Workload
from natdeploy.compiler.kernels.layout import pack_panels
from natdeploy.compiler.kernels.product import Product, emit_tile
from natdeploy.compiler.kernels.tiles import cases, gemm_tile, gemm_tiles, varied

#: Bytes of a panel's map that stay in a second-level cache beside weights and input.
_WHOLE_MAP = 128 << 10


def _rule(workload: Workload, isa: Isa) -> Schedule:
    blocks, whole, rows = isa.blocks(workload["c"]), workload["in_h"] * workload["in_w"], workload["in_h"]
    tile = gemm_tile(whole, blocks, workload["in_c"], isa)
    if tile["vectors"] * whole * isa.lanes * 4 > _WHOLE_MAP:
        tile, rows = gemm_tile(workload["in_w"], blocks, workload["in_c"], isa), workload["kernel"]
    return {**tile, "ring": rows, "columns": columns(workload, isa)}


def _others(workload: Workload, isa: Isa) -> list[Schedule]:
    """Other tiles and columns with the rule's ring, and the other kind of ring: the whole map, or some rows of it."""
    rule = _rule(workload, isa)
    in_h, in_w, size = (workload[field] for field in ("in_h", "in_w", "kernel"))
    rings = [rule["ring"], *(ring for ring in (in_h, size) if ring != rule["ring"] and ring <= in_h)]
    found = []
    for ring in rings:
        pixels = in_h * in_w if ring == in_h else in_w
        tiles = varied(gemm_tiles(pixels, isa.blocks(workload["c"]), workload["in_c"], isa), 1)[:4]
        found += [{**tile, "ring": ring, "columns": rule["columns"]} for tile in tiles]
    return [*({**rule, "columns": other} for other in other_columns(workload, isa)[:2]), *found]


def _shapes(workload: Workload, isa: Isa) -> tuple[Shape, ...]:
    lanes, blocks = isa.lanes, isa.blocks(workload["c"])
    bias = (blocks, lanes)
    return (
        (isa.blocks(workload["in_c"]), workload["in_h"] * workload["in_w"], lanes),
        (blocks * workload["in_c"], lanes),
        bias,
        (blocks * workload["kernel"] ** 2, lanes),
        bias,
        (blocks, workload["out_h"] * workload["out_w"], lanes),
    )


def _units(kernel: Kernel) -> int:
    return ceil(kernel.isa.blocks(kernel.workload["c"]) / kernel.schedule["vectors"])


def _scratch(kernel: Kernel) -> Shape:
    schedule = kernel.schedule
    return (schedule["vectors"], schedule["ring"] * kernel.workload["in_w"], kernel.isa.lanes)


def _emit(e: Any, kernel: Kernel, buffers: list[Any], unit: Any) -> None:
    blocks, vectors = kernel.isa.blocks(kernel.workload["c"]), kernel.schedule["vectors"]
    cases(e, unit, blocks, vectors, lambda v: _emit_panel(e, kernel, buffers, unit, v))


def _emit_panel(e: Any, kernel: Kernel, buffers: list[Any], panel: Any, vectors: int) -> None:
    x, weight, bias, taps, depthwise_bias, out, ring = buffers
    workload, schedule = kernel.workload, kernel.schedule
    in_h, in_w, size, stride = (workload[field] for field in ("in_h", "in_w", "kernel", "stride"))
    rows = schedule["ring"]

    def expand(first: Any, to: Any, pixels: int) -> None:
        """So many pixels from the first one, into the ring from a pixel of it on."""
        product = Product(pixels, workload["in_c"], workload["c"], schedule["rows"], schedule["vectors"], kernel.isa)

        def tile(start: Any, height: int) -> None:
            def finish(r: int, v: int, value: Any) -> None:
                e.store(ring, e.activate(value, workload["activation"]), v, to + start + r)

            emit_tile(e, product, (x, weight, bias), (first + start, panel), (height, vectors), finish)

        if pixels >= product.rows:
            with e.loop(0, pixels // product.rows) as index:
                tile(index * product.rows, product.rows)
        if pixels % product.rows:
            tile(pixels // product.rows * product.rows, pixels % product.rows)

    def depthwise(row: Any) -> None:
        with e.loop(0, vectors) as v:
            source = (ring, v, lambda in_row: in_row if rows == in_h else in_row % rows)
            emit_row(e, kernel, source, [taps, depthwise_bias, out], (panel * schedule["vectors"] + v, row))

    if rows == in_h:
        expand(0, 0, in_h * in_w)
        with e.loop(0, workload["out_h"]) as row:
            depthwise(row)
        return
    with e.loop(0, workload["out_h"]) as row:
        last = row * stride + size // 2 + 1  # the one after the last row that this output row reads
        with e.loop(e.least(row, 1) * (last - stride), e.least(last, in_h)) as in_row:
            expand(in_row * in_w, in_row % rows * in_w, in_w)
        depthwise(row)


def _pack(kernel: Kernel, weight: np.ndarray, place: int = 0) -> np.ndarray:
    if place:
        return pack_taps(kernel, weight)
    return pack_panels(weight.reshape(weight.shape[0], -1), kernel.isa.lanes, kernel.schedule["vectors"])


def _work(workload: Workload) -> int:
    c, pixels = workload["c"], workload["in_h"] * workload["in_w"]
    taps = workload["out_h"] * workload["out_w"] * workload["kernel"] ** 2
    return int(c * (workload["in_c"] * pixels + taps))


KIND = Kind(
    rule=_rule, shapes=_shapes, units=_units, work=_work, emit=_emit, pack=_pack, scratch=_scratch, others=_others
)
