"""Sums over layers for many architectures at once, without listing the layers of each.

Where a space's blocks do not change each other's shapes, a sum over layers is a sum over genes of something that only
depends on the gene's value and the resolution. The tables are made by probing the sum with one gene changed at a time,
and proven on random architectures before they are used; a space that is not like that is summed architecture by
architecture, which gives the same numbers, only slower.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from natdeploy.latency.inputs.features import features
from natdeploy.spaces import Arch, Layer, Space

#: Architectures, or their canonical genomes as int64 ``[n, genes]``.
Archs = Sequence[Arch] | np.ndarray
#: Random architectures of a resolution on which its table must agree exactly with the layers' own sums.
PROOF = 6


def feature_sums(space: Space, num_classes: int | None = None) -> GeneSums:
    """Features of a space's architectures with so many classes (the space's own number if not given).

    One object per space and number, so that its tables are made once.
    """
    classes = space.num_classes if num_classes is None else num_classes
    return _feature_sums(space, classes)  # type: ignore[arg-type]  # spaces are frozen values; the protocol cannot say so


@lru_cache(maxsize=8)
def _feature_sums(space: Space, num_classes: int) -> GeneSums:
    return GeneSums(space, features, num_classes)


class _Table(NamedTuple):
    """The smallest network's sums, every gene value's difference to it, and 1 for values of which none is known."""

    base: np.ndarray
    deltas: np.ndarray
    unknown: np.ndarray


class ArchSums(ABC):
    """Evaluates a sum for batches of architectures.

    Args:
        space: the space of the architectures.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self._tables: dict[tuple[int, ...], _Table | None] = {}
        self._smallest = space.encode(space.smallest())
        self._largest = space.encode(space.largest())
        self._global = [gene for gene, size in enumerate(space.gene_sizes) if size > 1 and self._is_global(gene)]

    @abstractmethod
    def of_arch(self, arch: Arch) -> np.ndarray:
        """One architecture's sum, float64: a constant of resolution and width plus whole numbers (so that sums are
        exact) that its other genes add."""

    def __call__(self, archs: Archs, columns: Sequence[int] | slice = slice(None)) -> np.ndarray:
        """Sums of each architecture, or some of their ``columns``, float64 ``[len(archs), length]``.

        Raises BadInput for one not of the space.
        """
        if not len(archs):
            return np.zeros((0, len(self.of_arch(self.space.smallest())[columns])))
        if isinstance(archs, np.ndarray):
            return self.of_genomes(archs, columns)
        return self.of_genomes(np.stack([self.space.encode(arch) for arch in archs]), columns)

    def of_genomes(self, genomes: np.ndarray, columns: Sequence[int] | slice = slice(None)) -> np.ndarray:
        """Sums of canonical genomes, int64 ``[n, genes]``, or some of their ``columns``; float64 ``[n, length]``.

        What :meth:`Space.repair` would change gives a sum of no network: this is not looked for.
        """
        keys, group = np.unique(genomes[:, self._global], axis=0, return_inverse=True)
        group = group.reshape(-1)
        offsets = np.cumsum((0, *self.space.gene_sizes[:-1]))
        result: np.ndarray | None = None
        for index, key in enumerate(keys):
            rows = np.flatnonzero(group == index)
            table = self._table(tuple(int(value) for value in key))
            if table is None:
                sums = np.stack([self.of_arch(self.space.decode(genomes[row])) for row in rows])[:, columns]
            else:
                base, deltas, unknown = table
                # Which values there are, times what each adds: whole numbers, so that no order of summation matters.
                chosen = np.zeros((len(rows), len(deltas)))
                chosen[np.arange(len(rows))[:, None], genomes[rows] + offsets] = 1
                sums = base[columns] + chosen @ deltas[:, columns]
                sums[(chosen @ unknown) > 0] = np.nan
            if result is None:
                result = np.empty((len(genomes), sums.shape[1]))
            result[rows] = sums
        assert result is not None
        return result

    def _is_global(self, gene: int) -> bool:
        """Whether a gene sets what all layers depend on: resolution or width."""
        probe = self._smallest.copy()
        probe[gene] = self.space.gene_sizes[gene] - 1
        if not np.array_equal(self.space.repair(probe), probe):
            return False
        small, changed = self.space.smallest(), self.space.decode(probe)
        return (small.r, small.w) != (changed.r, changed.w)

    def _table(self, key: tuple[int, ...]) -> _Table | None:
        if key not in self._tables:
            self._tables[key] = self._proven(key)
        return self._tables[key]

    def _proven(self, key: tuple[int, ...]) -> _Table | None:
        """None where genes do not add up."""
        space, offsets = self.space, np.cumsum((0, *self.space.gene_sizes[:-1]))
        small, large = self._smallest.copy(), self._largest.copy()
        small[self._global] = large[self._global] = key
        base = self.of_arch(space.decode(small))
        deltas = np.full((sum(space.gene_sizes), len(base)), np.nan)
        for gene, size in enumerate(space.gene_sizes):
            if gene in self._global or size == 1:
                deltas[offsets[gene] : offsets[gene] + size] = 0
                continue
            sums = max(
                (self._vary(background, gene, small[gene]) for background in (small, large)),
                key=len,
            )
            if small[gene] not in sums:
                return None
            for value, total in sums.items():
                deltas[offsets[gene] + value] = total - sums[small[gene]]
        rng = np.random.default_rng(0)
        for _ in range(PROOF):
            genome = space.encode(space.sample(rng))
            genome[self._global] = key
            found = base + deltas[genome + offsets].sum(0)
            if not np.array_equal(found, self.of_arch(space.decode(genome))):
                return None
        unknown = np.isnan(deltas)
        return _Table(base, np.where(unknown, 0.0, deltas), unknown.any(1).astype(np.float64))

    def _vary(self, background: np.ndarray, gene: int, needed: int) -> dict[int, np.ndarray]:
        """Sums of the background with each value of one gene that leaves it canonical."""
        found: dict[int, np.ndarray] = {}
        probe = background.copy()
        order = (int(needed), *(value for value in range(self.space.gene_sizes[gene]) if value != needed))
        for value in order:
            probe[gene] = value
            if np.array_equal(self.space.repair(probe), probe):
                found[value] = self.of_arch(self.space.decode(probe))
            elif value == needed:
                return found
        return found


class GeneSums(ArchSums):
    """Evaluates a sum over layers for batches of architectures.

    Args:
        space: the space of the architectures.
        layer_sum: network's layers to a float64 vector: a constant of the resolution plus a sum over layers of whole
            numbers, for instance :func:`natdeploy.latency.inputs.features.features`.
        num_classes: classes of the networks; the space's own number if not given.
    """

    def __init__(
        self, space: Space, layer_sum: Callable[[Sequence[Layer]], np.ndarray], num_classes: int | None = None
    ) -> None:
        super().__init__(space)
        self._layer_sum, self._num_classes = layer_sum, num_classes

    def of_arch(self, arch: Arch) -> np.ndarray:
        """Sum over an architecture's layers."""
        return self._layer_sum(self.space.layers(arch, self._num_classes))
