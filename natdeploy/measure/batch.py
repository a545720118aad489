"""Batches of artifacts that are timed together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from natdeploy.devices import HardwareProfile, Runnable
from natdeploy.devices.units import Access
from natdeploy.measure.turns import BatchTiming
from natdeploy.spaces import Arch, Space, costs

#: Networks in a batch: more spread their visits over a longer time, fewer are stored sooner.
_NETWORKS = 40
#: Limit on the weights of a batch, all of which are loaded at once, and on those that lie on another device's disk.
_BYTES, _REMOTE_BYTES = 1 << 30, 1 << 28


@dataclass(frozen=True)
class Batch:
    """What is timed together.

    Attributes:
        archs: what it is made of; None for an artifact that comes from no architecture.
        build: makes the artifacts, in this order.
    """

    archs: tuple[Arch | None, ...]
    build: Callable[[], Sequence[Runnable]]


@dataclass(frozen=True)
class TimedBatch:
    """A batch, its artifacts, what they took, and under what conditions."""

    batch: Batch
    runnables: Sequence[Runnable]
    timing: BatchTiming
    conditions: Mapping[str, Any]


def divided(archs: Sequence[Arch], space: Space, profile: HardwareProfile, access: Access) -> Iterator[list[Arch]]:
    """Architectures in batches that fit, and of which there is one for each unit."""
    here = profile.is_this_machine
    units = 1 if here else max(access.matching, len(access.units))
    most = min(_NETWORKS, max(1, -(-len(archs) // units)))
    # Runtimes of this machine keep about three copies of the weights.
    copies, limit = (3, _BYTES) if here else (1, _REMOTE_BYTES)
    batch: list[Arch] = []
    size = 0
    for arch in archs:
        weights = copies * 4 * costs(space.layers(arch)).params
        if batch and (len(batch) == most or size + weights > limit):
            yield batch
            batch, size = [], 0
        batch.append(arch)
        size += weights
    if batch:
        yield batch
