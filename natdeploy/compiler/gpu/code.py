"""What compiling a job for a graphics processor gives: source code and launch sizes, as data.

Imports no TVM; what makes it is :mod:`natdeploy.compiler.gpu.lower`, in a child process.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from natdeploy.compiler.plan import Launch


@dataclass(frozen=True)
class DeviceKernel:
    """One function for the graphics processor.

    Attributes:
        name: its symbol.
        source: its code.
        arguments: places of what it reads and then writes: of the job's arguments, temporaries numbered behind them.
        writes: how many of them it writes.
        launch: its threads.
    """

    name: str
    source: str
    arguments: tuple[int, ...]
    writes: int
    launch: Launch


@dataclass(frozen=True)
class DeviceCode:
    """Kernels that do one job when they run in order; ``temporaries`` are elements and type of what they share."""

    kernels: tuple[DeviceKernel, ...]
    temporaries: tuple[tuple[int, str], ...] = ()

    def to_bytes(self) -> bytes:
        """The form that is kept in the cache."""
        kernels = [
            [kernel.name, kernel.source, kernel.arguments, kernel.writes, [kernel.launch.groups, kernel.launch.threads]]
            for kernel in self.kernels
        ]
        return json.dumps({"kernels": kernels, "temporaries": self.temporaries}, sort_keys=True).encode()

    @staticmethod
    def from_bytes(data: bytes) -> DeviceCode:
        """Read :meth:`to_bytes`' form."""
        value: dict[str, Any] = json.loads(data)
        kernels = (
            DeviceKernel(name, source, tuple(arguments), writes, Launch(tuple(groups), tuple(threads)))
            for name, source, arguments, writes, (groups, threads) in value["kernels"]
        )
        return DeviceCode(tuple(kernels), tuple((size, dtype) for size, dtype in value["temporaries"]))
