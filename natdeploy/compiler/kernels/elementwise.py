"""What is left of a network between its convolutions: products and sums of maps, and a planar input made blocked."""

from __future__ import annotations

from typing import Any

from natdeploy.compiler.kernels.isa import Isa
from natdeploy.compiler.kernels.kind import Kernel, Kind, Schedule, Shape, Workload


def _rule(workload: Workload, isa: Isa) -> Schedule:
    return {}


def _units(kernel: Kernel) -> int:
    return kernel.isa.blocks(kernel.workload["c"])


def _work(workload: Workload) -> int:
    return int(workload["m"] * workload["c"])


def _map(workload: Workload, isa: Isa) -> Shape:
    return (isa.blocks(workload["c"]), workload["m"], isa.lanes)


def _scale_shapes(workload: Workload, isa: Isa) -> tuple[Shape, ...]:
    blocks, m, lanes = _map(workload, isa)
    return (blocks, m, lanes), (blocks, 1, lanes), (blocks, m, lanes)


def _emit_scale(e: Any, kernel: Kernel, buffers: list[Any], unit: Any) -> None:
    x, gate, out = buffers
    factor = e.vector(gate, unit, 0)
    with e.loop(0, kernel.workload["m"]) as pixel:
        e.store(out, e.vector(x, unit, pixel) * factor, unit, pixel)


def _add_shapes(workload: Workload, isa: Isa) -> tuple[Shape, ...]:
    return (_map(workload, isa),) * 3


def _emit_add(e: Any, kernel: Kernel, buffers: list[Any], unit: Any) -> None:
    one, other, out = buffers
    with e.loop(0, kernel.workload["m"]) as pixel:
        e.store(out, e.vector(one, unit, pixel) + e.vector(other, unit, pixel), unit, pixel)


def _block_shapes(workload: Workload, isa: Isa) -> tuple[Shape, ...]:
    return (workload["c"], workload["m"]), _map(workload, isa)


def _emit_block(e: Any, kernel: Kernel, buffers: list[Any], unit: Any) -> None:
    x, out = buffers
    c, lanes = kernel.workload["c"], kernel.isa.lanes
    with e.loop(0, kernel.workload["m"]) as pixel:
        e.store(out, e.constant(0.0), unit, pixel)
        with e.loop(0, e.least(lanes, c - unit * lanes)) as lane:
            e.store_element(out, e.element(x, unit * lanes + lane, pixel), unit, pixel, lane)


SCALE = Kind(rule=_rule, shapes=_scale_shapes, units=_units, work=_work, emit=_emit_scale)
ADD = Kind(rule=_rule, shapes=_add_shapes, units=_units, work=_work, emit=_emit_add)
BLOCK = Kind(rule=_rule, shapes=_block_shapes, units=_units, work=_work, emit=_emit_block)
