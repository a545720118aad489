"""Matrix times vector: linear layers and 1x1 convolutions of one pixel. Weights are read once, as one stream.

A unit is ``vectors`` vectors of outputs; ``chains`` sums of each, over every so-manieth input, hide the latency of
multiply-adds.
"""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np

from natdeploy.compiler.kernels.isa import Isa
from natdeploy.compiler.kernels.kind import Kernel, Kind, Schedule, Shape, Workload
from natdeploy.compiler.kernels.layout import pack_panels, panel_row
from natdeploy.compiler.kernels.tiles import IN_FLIGHT, cases, even


def _rule(workload: Workload, isa: Isa) -> Schedule:
    vectors = even(isa.blocks(workload["n"]), 4)
    return {"vectors": vectors, "chains": max(1, min(workload["k"], IN_FLIGHT // vectors))}


def _others(workload: Workload, isa: Isa) -> list[Schedule]:
    """Other widths with as many sums on their way as the rule's, half and twice as many."""
    widths = [v for v in (4, 3, 6, 2, 8, 1) if v <= isa.blocks(workload["n"])]
    return [
        {"vectors": v, "chains": chains}
        for v in widths
        for chains in sorted({max(1, in_flight // v) for in_flight in (IN_FLIGHT // 2, IN_FLIGHT, 2 * IN_FLIGHT)})
        if chains <= workload["k"] and v * chains + v + 1 <= isa.registers
    ]


def _shapes(workload: Workload, isa: Isa) -> tuple[Shape, ...]:
    k, blocks = workload["k"], isa.blocks(workload["n"])
    out = (blocks, 1, isa.lanes)
    residual = (out,) if workload["residual"] else ()
    return ((isa.blocks(k) * isa.lanes,), (blocks * k, isa.lanes), (blocks, isa.lanes), *residual, out)


def _units(kernel: Kernel) -> int:
    return ceil(kernel.isa.blocks(kernel.workload["n"]) / kernel.schedule["vectors"])


def _emit(e: Any, kernel: Kernel, buffers: list[Any], unit: Any) -> None:
    vectors = kernel.schedule["vectors"]
    cases(e, unit, kernel.isa.blocks(kernel.workload["n"]), vectors, lambda v: _emit_panel(e, kernel, buffers, unit, v))


def _emit_panel(e: Any, kernel: Kernel, buffers: list[Any], unit: Any, vectors: int) -> None:
    x, weight, bias, *residual, out = buffers
    workload, chains = kernel.workload, kernel.schedule["chains"]
    k = workload["k"]
    block = unit * kernel.schedule["vectors"]
    sums = e.sums(chains * vectors)
    for v in range(vectors):
        e.store(sums, e.vector(bias, block + v), v)
        for chain in range(1, chains):
            e.store(sums, e.constant(0.0), chain * vectors + v)

    def step(channel: Any, chain: int) -> None:
        value = e.spread(x, channel)
        for v in range(vectors):
            column = e.vector(weight, panel_row(block, k, channel, vectors, v))
            e.add_to(sums, chain * vectors + v, value * column)

    with e.loop(0, k // chains) as outer:
        for chain in range(chains):
            step(outer * chains + chain, chain)
    for chain in range(k % chains):
        step(k // chains * chains + chain, chain)
    for v in range(vectors):
        value = e.read(sums, v)
        for chain in range(1, chains):
            value = value + e.read(sums, chain * vectors + v)
        value = e.activate(value, workload["activation"])
        if residual:
            value = value + e.vector(residual[0], block + v, 0)
        e.store(out, value, block + v, 0)


def _pack(kernel: Kernel, weight: np.ndarray, place: int = 0) -> np.ndarray:
    return pack_panels(weight.reshape(weight.shape[0], -1), kernel.isa.lanes, kernel.schedule["vectors"])


def _work(workload: Workload) -> int:
    return int(workload["k"] * workload["n"])


KIND = Kind(rule=_rule, shapes=_shapes, units=_units, work=_work, emit=_emit, pack=_pack, others=_others)
