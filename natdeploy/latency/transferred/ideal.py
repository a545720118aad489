"""Ideal devices: each pays for one thing alone, be it blocks, multiply-adds of a kind, or bytes moved.

They stand beside the source devices, so that a device that is like none of these is at least known to be a device.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from natdeploy.latency.inputs.features import feature_names
from natdeploy.latency.inputs.gene_sums import Archs, ArchSums, feature_sums
from natdeploy.latency.inputs.standard import Standard
from natdeploy.spaces import Arch, OperatorSpace, Space

#: Sums over layers that ideal devices pay for, where a space lists layers.
SUMS = (
    "layers",
    "dense_macs",
    "depthwise_k3_macs",
    "depthwise_k5_macs",
    "depthwise_k7_macs",
    "activation_bytes",
    "weight_bytes",
)


@dataclass(frozen=True, eq=False)
class IdealDevices:
    """Latencies on ideal devices, standardised over a pool of architectures.

    Attributes:
        space: the architectures' space.
        standard: of each device's latencies.
    """

    space: Space
    standard: Standard

    def __len__(self) -> int:
        return len(self.standard)

    @staticmethod
    def of(space: Space, archs: Archs) -> IdealDevices:
        """Those under which the pool has mean 0 and variance 1; a device that tells nothing apart is always 0."""
        costs = _costs(space, archs)
        spread = costs.std(0)
        varied = spread > 1e-9 * np.maximum(np.abs(costs).max(0), 1e-300)
        return IdealDevices(space, Standard(costs.mean(0), np.where(varied, 1 / np.where(varied, spread, 1), 0.0)))

    def __call__(self, archs: Archs) -> np.ndarray:
        """Standardised latencies, float64 ``[n, devices]``."""
        return self.standard(_costs(self.space, archs))

    def to_json(self) -> dict[str, Any]:
        """JSON-ready; the space is not part of it."""
        return self.standard.to_json()

    @staticmethod
    def from_json(value: dict[str, Any], space: Space) -> IdealDevices:
        """Inverse of :meth:`to_json`. Raises ValueError where the devices are not this version's."""
        return IdealDevices(space, Standard.from_json(value, _costs(space, [space.smallest()]).shape[1]))


def _costs(space: Space, archs: Archs) -> np.ndarray:
    if isinstance(space, OperatorSpace):
        found: np.ndarray = _operator_costs(space)(archs)
        return found
    return feature_sums(space)(archs, [feature_names().index(name) for name in SUMS])


@lru_cache(maxsize=8)
def _operator_costs(space: OperatorSpace) -> _OperatorCosts:
    return _OperatorCosts(space)


class _OperatorCosts(ArchSums):
    """:meth:`OperatorSpace.costs` of many architectures."""

    def of_arch(self, arch: Arch) -> np.ndarray:
        assert isinstance(self.space, OperatorSpace)
        return _kept_costs(self.space, arch)


@lru_cache(maxsize=1 << 15)
def _kept_costs(space: OperatorSpace, arch: Arch) -> np.ndarray:
    """Read-only, since it is kept."""
    costs = space.costs(arch)
    costs.flags.writeable = False
    return costs
