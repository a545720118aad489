"""What every kind of kernel has to say of itself, and the list of kinds.

Activations between kernels are blocked by channels: ``[ceil(channels / lanes), pixels, lanes]``, pixels in row-major
order, so that a vector is ``lanes`` channels of one pixel and every access is whole and aligned. Lanes behind the last
channel never reach a real channel. Weights are packed by each kind as ``[rows, lanes]`` in the order of use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from natdeploy.compiler.kernels.isa import Isa
from natdeploy.compiler.plan_check import MAX_PARTS
from natdeploy.ground.files import content_key
from natdeploy.ground.registry import Registry

Workload = dict[str, Any]
Schedule = dict[str, int]
Shape = tuple[int, ...]

#: Threads share a kernel that does more multiply-accumulates or moves more values than this.
WORTH_SHARING = 1 << 16
#: The most tiles that are measured for one workload, the rule's included.
MOST_CANDIDATES = 10

KINDS = Registry(
    "kernel kind",
    {
        "gemm": "natdeploy.compiler.kernels.gemm:KIND",
        "gemv": "natdeploy.compiler.kernels.gemv:KIND",
        "conv": "natdeploy.compiler.kernels.conv:KIND",
        "grouped": "natdeploy.compiler.kernels.grouped:KIND",
        "depthwise": "natdeploy.compiler.kernels.depthwise:KIND",
        "expand": "natdeploy.compiler.kernels.expand:KIND",
        "pool": "natdeploy.compiler.kernels.pool:KIND",
        "scale": "natdeploy.compiler.kernels.elementwise:SCALE",
        "add": "natdeploy.compiler.kernels.elementwise:ADD",
        "block": "natdeploy.compiler.kernels.elementwise:BLOCK",
    },
)


@dataclass(frozen=True)
class Kernel:
    """One kernel to be compiled: what it computes, how it is tiled, for which vectors. Equal ones share object code."""

    workload: Workload
    schedule: Schedule
    isa: Isa

    @property
    def kind(self) -> Kind:
        """Its generator."""
        kind: Kind = KINDS.get(self.workload["kind"])
        return kind

    @property
    def symbol(self) -> str:
        """Its name in plans and object files, unique by content."""
        key = content_key([self.workload, self.schedule, self.isa.lanes, self.isa.registers])
        return f"{self.workload['kind']}_{key[:16]}"

    @property
    def tuned(self) -> bool:
        """Whether its tile is another than the rule's."""
        return self.schedule != default_schedule(self.workload, self.isa)

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """Shapes of its float32 arguments, the output last."""
        return self.kind.shapes(self.workload, self.isa)

    @property
    def units(self) -> int:
        """Independent pieces of its work."""
        return self.kind.units(self)

    @property
    def parts(self) -> int:
        """Pieces that threads may share: one for little work, else at most what a plan allows."""
        if self.kind.work(self.workload) <= WORTH_SHARING:
            return 1
        return -(-self.units // self.units_per_part)

    @property
    def units_per_part(self) -> int:
        """Units that one part takes together; all of them where there is one part only."""
        if self.kind.work(self.workload) <= WORTH_SHARING:
            return self.units
        return -(-self.units // MAX_PARTS)

    @property
    def scratch(self) -> Shape | None:
        """Shape of the memory that it needs while it computes, if any."""
        return self.kind.scratch(self) if self.kind.scratch else None

    def pack(self, weight: np.ndarray, place: int = 0) -> np.ndarray:
        """A layer's weight in the order in which the kernel reads it: float32 ``[rows, lanes]``. ``place``: of the
        layer among those that the kernel computes."""
        if self.kind.pack is None:
            raise ValueError(f"{self.symbol} has no weights")
        return self.kind.pack(self, weight, place)


@dataclass(frozen=True)
class Kind:
    """A kind's generator.

    Attributes:
        rule: the tile for a workload where no measurement says better.
        shapes: of the arguments, the output last.
        units: how many independent pieces of work :attr:`emit` can be asked for.
        work: multiply-accumulates, or values moved.
        emit: writes the code of one unit through an emitter: ``emit(emitter, kernel, buffers, unit)``. Called in
            child processes only, but needs no TVM itself.
        pack: see :meth:`Kernel.pack`.
        scratch: see :attr:`Kernel.scratch`; :attr:`emit` gets it behind the other buffers.
        others: tiles that a device may run faster than the rule's, the likeliest first; None where there is nothing to
            choose.
    """

    rule: Callable[[Workload, Isa], Schedule]
    shapes: Callable[[Workload, Isa], tuple[Shape, ...]]
    units: Callable[[Kernel], int]
    work: Callable[[Workload], int]
    emit: Callable[[Any, Kernel, list[Any], Any], None]
    pack: Callable[[Kernel, np.ndarray, int], np.ndarray] | None = None
    scratch: Callable[[Kernel], Shape] | None = None
    others: Callable[[Workload, Isa], Iterable[Schedule]] | None = None


def default_schedule(workload: Workload, isa: Isa) -> Schedule:
    """The tile that the kind's own rule chooses."""
    kind: Kind = KINDS.get(workload["kind"])
    return kind.rule(workload, isa)


def candidate_schedules(workload: Workload, isa: Isa) -> list[Schedule]:
    """Tiles worth measuring: the rule's first, then others, each once, :data:`MOST_CANDIDATES` in all."""
    kind: Kind = KINDS.get(workload["kind"])
    found = [kind.rule(workload, isa)]
    for schedule in kind.others(workload, isa) if kind.others else ():
        if schedule not in found:
            found.append(schedule)
    return found[:MOST_CANDIDATES]
