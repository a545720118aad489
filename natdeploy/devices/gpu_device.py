"""What running a plan on a graphics processor takes: memory, copies, kernels and their launches, waiting."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True)
class Place:
    """Bytes of the device's memory: those behind ``offset`` of something that was allocated."""

    memory: Any
    offset: int


class GpuDevice(Protocol):
    """A device with one queue: what is asked for happens in that order, and nothing is over before a wait."""

    @property
    def name(self) -> str:
        """What the vendor calls it."""
        ...

    @property
    def max_threads(self) -> int:
        """Most threads of a group."""
        ...

    def allocate(self, size: int) -> Any:
        """Memory of so many bytes. Raises DeviceNotReachable where there is too little."""
        ...

    def write(self, place: Place, array: np.ndarray) -> None:
        """Copy an array to the device."""
        ...

    def read(self, place: Place, array: np.ndarray) -> None:
        """Fill an array from the device; waits for what was asked for before."""
        ...

    def load(self, code: bytes, arguments: Mapping[str, int]) -> None:
        """Load compiled code. ``arguments``: kernels in it that will be launched, and how many places each takes."""
        ...

    def launcher(
        self, kernel: str, places: Sequence[Place], groups: tuple[int, int, int], threads: tuple[int, int, int]
    ) -> Callable[[], None]:
        """What starts a kernel whenever it is called: ``groups`` of ``threads``, in x, y and z."""
        ...

    def wait(self) -> None:
        """Until all that was asked for is done. Raises DeviceNotReachable where a kernel failed."""
        ...
