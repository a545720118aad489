"""Numbers for architectures of any space, without timing or building them: each gene, and what they amount to.

Kernels over these are what a transferred model knows of a device beyond its likeness to other devices.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from natdeploy.latency.inputs.gene_sums import Archs, ArchSums
from natdeploy.latency.inputs.standard import Standard
from natdeploy.spaces import Arch, Space


@dataclass(frozen=True, eq=False)
class Encoded:
    """Encoded architectures.

    Attributes:
        table: structure and genes beside each other, float64 ``[n, factors + gene values]``.
        factors: columns of the structure.
    """

    table: np.ndarray
    factors: int

    def __len__(self) -> int:
        return len(self.table)

    @property
    def structure(self) -> np.ndarray:
        """The space's factored form, standardised; float64 ``[n, factors]``, rows of mean square norm 1."""
        return self.table[:, : self.factors]

    @property
    def genes(self) -> np.ndarray:
        """One column per value of each gene, centred; float64 ``[n, gene values]``, rows of mean square norm 1."""
        return self.table[:, self.factors :]

    def rows(self, rows: np.ndarray | slice) -> Encoded:
        """Some of the architectures, by index, mask or range."""
        return Encoded(self.table[rows], self.factors)


@dataclass(frozen=True, eq=False)
class Encoding:
    """Centre and scale of each column over a pool of architectures.

    Attributes:
        space: the architectures' space.
        standard: of the structure's columns, then of the genes'.
    """

    space: Space
    standard: Standard

    @staticmethod
    def of(space: Space, archs: Archs) -> Encoding:
        """Encoding under which a pool has mean 0 and rows of mean square norm 1 in both parts."""
        table = _table(space, archs)
        spread = table.std(0)
        factors = table.shape[1] - sum(space.gene_sizes)
        varied = int((spread[:factors] > 1e-9).sum())
        scale = np.where(spread > 1e-9, 1 / np.maximum(spread, 1e-9) / max(varied, 1) ** 0.5, 0.0)
        scale[factors:] = 1 / max(float((spread[factors:] ** 2).sum()), 1e-12) ** 0.5
        return Encoding(space, Standard(table.mean(0), scale))

    def __call__(self, archs: Archs) -> Encoded:
        """Encode architectures or canonical genomes. Raises BadInput for an architecture of another space."""
        table = _table(self.space, archs)
        table -= self.standard.centre
        table *= self.standard.scale
        return Encoded(table, table.shape[1] - sum(self.space.gene_sizes))

    def to_json(self) -> dict[str, Any]:
        """JSON-ready; the space is not part of it."""
        return self.standard.to_json()

    @staticmethod
    def from_json(value: dict[str, Any], space: Space) -> Encoding:
        """Inverse of :meth:`to_json`. Raises ValueError where the columns are not those of the space."""
        return Encoding(space, Standard.from_json(value, _table(space, [space.smallest()]).shape[1]))


def _table(space: Space, archs: Archs) -> np.ndarray:
    """Structure, then one-hot genes; float64 ``[n, columns]``."""
    if not isinstance(archs, np.ndarray):
        archs = np.array([space.encode(arch) for arch in archs], np.int64).reshape(-1, len(space.gene_sizes))
    structure: np.ndarray = _factors(space)(archs)  # type: ignore[arg-type]  # spaces are frozen values
    factors = structure.shape[1]
    table = np.zeros((len(archs), factors + sum(space.gene_sizes)))
    table[:, :factors] = structure
    table[np.arange(len(archs))[:, None], archs + np.cumsum((factors, *space.gene_sizes[:-1]))] = 1
    return table


@lru_cache(maxsize=8)
def _factors(space: Space) -> _Factors:
    return _Factors(space)


class _Factors(ArchSums):
    """:meth:`Space.factored` of many architectures."""

    def of_arch(self, arch: Arch) -> np.ndarray:
        return _factored(self.space, arch)  # type: ignore[arg-type]  # spaces are frozen values


@lru_cache(maxsize=1 << 15)
def _factored(space: Space, arch: Arch) -> np.ndarray:
    """Read-only, since it is kept: a space whose genes do not add up is small."""
    row = space.factored(arch)
    row.flags.writeable = False
    return row
