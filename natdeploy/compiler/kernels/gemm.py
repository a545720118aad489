"""1x1 convolutions: a matrix product whose tile of sums stays in registers (Goto and van de Geijn 2008).

``out[n, m] = activation(bias[n] + sum over k of x[k, m] * w[k, n]) (+ residual[n, m])`` for ``m`` pixels. A unit is one
tile: ``rows`` pixels by ``vectors`` vectors of output channels. Each step of the innermost loop, over input channels,
loads that many vectors of weights and spreads one value of every pixel: rows * vectors multiply-adds.
"""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np

from natdeploy.compiler.kernels.isa import Isa
from natdeploy.compiler.kernels.kind import Kernel, Kind, Schedule, Shape, Workload
from natdeploy.compiler.kernels.layout import pack_panels, panel_row
from natdeploy.compiler.kernels.tiles import cases, gemm_tile


def _rule(workload: Workload, isa: Isa) -> Schedule:
    return gemm_tile(workload["m"], isa.blocks(workload["n"]), workload["k"], isa)


def _shapes(workload: Workload, isa: Isa) -> tuple[Shape, ...]:
    m, k = workload["m"], workload["k"]
    blocks = isa.blocks(workload["n"])
    out = (blocks, m, isa.lanes)
    residual = (out,) if workload["residual"] else ()
    return ((isa.blocks(k), m, isa.lanes), (blocks * k, isa.lanes), (blocks, isa.lanes), *residual, out)


def _units(kernel: Kernel) -> int:
    workload, schedule = kernel.workload, kernel.schedule
    panels = ceil(kernel.isa.blocks(workload["n"]) / schedule["vectors"])
    return panels * ceil(workload["m"] / schedule["rows"])


def _emit(e: Any, kernel: Kernel, buffers: list[Any], unit: Any) -> None:
    rows, vectors = kernel.schedule["rows"], kernel.schedule["vectors"]
    blocks, m = kernel.isa.blocks(kernel.workload["n"]), kernel.workload["m"]
    tiles = ceil(m / rows)
    panel, tile = unit // tiles, unit % tiles

    def width(v: int) -> None:
        def height(r: int) -> None:
            _emit_tile(e, kernel, buffers, panel, tile * rows, r, v)

        cases(e, tile, m, rows, height)

    cases(e, panel, blocks, vectors, width)


def _emit_tile(e: Any, kernel: Kernel, buffers: list[Any], panel: Any, first: Any, rows: int, vectors: int) -> None:
    x, weight, bias, *residual, out = buffers
    workload, lanes = kernel.workload, kernel.isa.lanes
    k = workload["k"]
    block = panel * kernel.schedule["vectors"]
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
        with e.loop(0, k // lanes) as k_block, e.loop(0, lanes) as k_lane:
            step(k_block, k_lane)
    if k % lanes:
        with e.loop(0, k % lanes) as k_lane:
            step(k // lanes, k_lane)
    for v in range(vectors):
        for r in range(rows):
            value = e.activate(e.read(sums, r * vectors + v), workload["activation"])
            if residual:
                value = value + e.vector(residual[0], block + v, first + r)
            e.store(out, value, block + v, first + r)


def _pack(kernel: Kernel, weight: np.ndarray) -> np.ndarray:
    matrix = weight.reshape(weight.shape[0], -1)
    return pack_panels(matrix, kernel.isa.lanes, kernel.schedule["vectors"])


def _work(workload: Workload) -> int:
    return int(workload["m"] * workload["k"] * workload["n"])


KIND = Kind(rule=_rule, shapes=_shapes, units=_units, work=_work, emit=_emit, pack=_pack)
