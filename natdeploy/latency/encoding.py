"""Numbers for architectures of any space, without timing or building them: each gene, and what they amount to.

Kernels over these are what a transferred model knows of a device beyond its likeness to other devices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from natdeploy.latency.standard import Standard
from natdeploy.spaces import Arch, Space


@dataclass(frozen=True, eq=False)
class Encoded:
    """Encoded architectures.

    Attributes:
        structure: the space's factored form, standardised; float64 ``[n, factors]``, rows of mean square norm 1.
        genes: one column per value of each gene, centred; float64 ``[n, gene values]``, rows of mean square norm 1.
    """

    structure: np.ndarray
    genes: np.ndarray

    def __len__(self) -> int:
        return len(self.genes)

    def rows(self, rows: np.ndarray) -> Encoded:
        """Some of the architectures, by index or mask."""
        return Encoded(self.structure[rows], self.genes[rows])


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
    def of(space: Space, archs: Sequence[Arch]) -> Encoding:
        """Encoding under which a pool has mean 0 and rows of mean square norm 1 in both parts."""
        table = _table(space, archs)
        spread = table.std(0)
        factors = table.shape[1] - sum(space.gene_sizes)
        varied = int((spread[:factors] > 1e-9).sum())
        scale = np.where(spread > 1e-9, 1 / np.maximum(spread, 1e-9) / max(varied, 1) ** 0.5, 0.0)
        scale[factors:] = 1 / max(float((spread[factors:] ** 2).sum()), 1e-12) ** 0.5
        return Encoding(space, Standard(table.mean(0), scale))

    def __call__(self, archs: Sequence[Arch]) -> Encoded:
        """Encode. Raises BadInput for an architecture of another space."""
        table = self.standard(_table(self.space, archs))
        return Encoded(*np.split(table, [table.shape[1] - sum(self.space.gene_sizes)], axis=1))

    def to_json(self) -> dict[str, Any]:
        """JSON-ready; the space is not part of it."""
        return self.standard.to_json()

    @staticmethod
    def from_json(value: dict[str, Any], space: Space) -> Encoding:
        """Inverse of :meth:`to_json`. Raises ValueError where the columns are not those of the space."""
        return Encoding(space, Standard.from_json(value, len(_row(space, space.smallest()))))


def _table(space: Space, archs: Sequence[Arch]) -> np.ndarray:
    rows = [_row(space, arch) for arch in (*archs, space.smallest())]
    return np.stack(rows)[:-1]


def _row(space: Space, arch: Arch) -> np.ndarray:
    return _kept_row(space, arch)  # type: ignore[arg-type]  # spaces are frozen values; the protocol cannot say so


@lru_cache(maxsize=1 << 15)
def _kept_row(space: Space, arch: Arch) -> np.ndarray:
    """Structure, then one-hot genes; read-only, since it is kept."""
    genome = space.encode(arch)
    one_hot = np.concatenate([np.arange(size) == gene for gene, size in zip(genome, space.gene_sizes)])
    row = np.concatenate([space.factored(arch), one_hot])
    row.flags.writeable = False
    return row
