"""The mean of a map: one vector of means for every block of channels, from several sums of pixels."""

from __future__ import annotations

from typing import Any

from natdeploy.compiler.kernels.isa import Isa
from natdeploy.compiler.kernels.kind import Kernel, Kind, Schedule, Shape, Workload

#: Two pipes of latency four, shared with loads.
_CHAINS = 4


def _rule(workload: Workload, isa: Isa) -> Schedule:
    return {"chains": min(_CHAINS, workload["m"])}


def _others(workload: Workload, isa: Isa) -> list[Schedule]:
    return [{"chains": chains} for chains in (2, 8, 1, 3, 6) if chains <= workload["m"]]


def _shapes(workload: Workload, isa: Isa) -> tuple[Shape, ...]:
    blocks = isa.blocks(workload["c"])
    return (blocks, workload["m"], isa.lanes), (blocks, 1, isa.lanes)


def _units(kernel: Kernel) -> int:
    return kernel.isa.blocks(kernel.workload["c"])


def _emit(e: Any, kernel: Kernel, buffers: list[Any], unit: Any) -> None:
    x, out = buffers
    m, chains = kernel.workload["m"], kernel.schedule["chains"]
    sums = e.sums(chains)
    for chain in range(chains):
        e.store(sums, e.vector(x, unit, chain), chain)
    with e.loop(1, m // chains) as step:
        for chain in range(chains):
            e.add_to(sums, chain, e.vector(x, unit, step * chains + chain))
    for chain in range(m % chains):
        e.add_to(sums, chain, e.vector(x, unit, m // chains * chains + chain))
    total = e.read(sums, 0)
    for chain in range(1, chains):
        total = total + e.read(sums, chain)
    e.store(out, total * e.constant(1 / m), unit, 0)


def _work(workload: Workload) -> int:
    return int(workload["m"] * workload["c"])


KIND = Kind(rule=_rule, shapes=_shapes, units=_units, work=_work, emit=_emit, others=_others)
