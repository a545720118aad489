"""One arena for all activations: tensors that are never alive together share memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

#: Bytes to which every tensor is aligned: a cache line, and the widest vector.
ALIGNMENT = 64


@dataclass(frozen=True)
class Lifetime:
    """A tensor's size and the steps between which it holds a value, both included."""

    name: str
    bytes: int
    first: int
    last: int

    def meets(self, other: Lifetime) -> bool:
        """Whether both hold values at some step."""
        return self.first <= other.last and other.first <= self.last


def aligned(size: int, alignment: int = ALIGNMENT) -> int:
    """``size`` rounded up to a multiple of ``alignment``."""
    return -(-size // alignment) * alignment


def arena_offsets(lifetimes: Sequence[Lifetime], alignment: int = ALIGNMENT) -> tuple[dict[str, int], int]:
    """Offset of each tensor and the arena's size, in bytes, all multiples of ``alignment``.

    Greedy by size with best fit (Pisarchyk and Lee 2020): the largest tensor first, each into the tightest gap between
    those already placed that are alive with it, or after them.
    """
    placed: list[tuple[Lifetime, int]] = []
    for tensor in sorted(lifetimes, key=lambda item: (-item.bytes, item.first, item.name)):
        need = aligned(tensor.bytes, alignment)
        neighbours = sorted(
            (offset, aligned(other.bytes, alignment)) for other, offset in placed if other.meets(tensor)
        )
        best: tuple[int, int] | None = None
        end = 0
        for offset, size in neighbours:
            gap = offset - end
            if gap >= need and (best is None or gap < best[0]):
                best = (gap, end)
            end = max(end, offset + size)
        placed.append((tensor, best[1] if best else end))
    total = max((offset + aligned(tensor.bytes, alignment) for tensor, offset in placed), default=0)
    return {tensor.name: offset for tensor, offset in placed}, total


def overlaps(lifetimes: Sequence[Lifetime], offsets: Mapping[str, int]) -> tuple[str, str] | None:
    """Names of two tensors that are alive together and share bytes, or None."""
    for index, one in enumerate(lifetimes):
        start = offsets[one.name]
        for other in lifetimes[index + 1 :]:
            begin = offsets[other.name]
            if one.meets(other) and start < begin + other.bytes and begin < start + one.bytes:
                return one.name, other.name
    return None
