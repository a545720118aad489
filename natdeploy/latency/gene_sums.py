"""Sums over layers for many architectures at once, without listing the layers of each.

Where a space's blocks do not change each other's shapes, a sum over layers is a sum over genes of something that only
depends on the gene's value and the resolution. The tables are made by probing ``space.layers`` with one gene changed
at a time, and proven on random architectures before they are used; a space that is not like that is summed layer by
layer, which gives the same numbers, only slower.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from natdeploy.latency.features import features
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


class GeneSums:
    """Evaluates a sum over layers for batches of architectures.

    Args:
        space: the space of the architectures.
        layer_sum: network's layers to a float64 vector: a constant of the resolution plus a sum over layers of whole
            numbers (so that sums are exact), for instance :func:`natdeploy.latency.features.features`.
        num_classes: classes of the networks; the space's own number if not given.
    """

    def __init__(
        self, space: Space, layer_sum: Callable[[Sequence[Layer]], np.ndarray], num_classes: int | None = None
    ) -> None:
        self.space = space
        self._num_classes = num_classes
        self._layer_sum = layer_sum
        self._tables: dict[tuple[int, ...], tuple[np.ndarray, np.ndarray] | None] = {}
        self._smallest = space.encode(space.smallest())
        self._largest = space.encode(space.largest())
        self._global = [gene for gene, size in enumerate(space.gene_sizes) if size > 1 and self._is_global(gene)]

    def __call__(self, archs: Archs) -> np.ndarray:
        """Sums of each architecture, float64 ``[len(archs), length]``. Raises BadInput for one not of the space."""
        if not len(archs):
            return np.zeros((0, len(self._direct(self.space.smallest()))))
        if isinstance(archs, np.ndarray):
            return self.of_genomes(archs)
        return self.of_genomes(np.stack([self.space.encode(arch) for arch in archs]))

    def of_genomes(self, genomes: np.ndarray) -> np.ndarray:
        """Sums of canonical genomes, int64 ``[n, genes]``; float64 ``[n, length]``.

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
                sums = np.stack([self._direct(self.space.decode(genomes[row])) for row in rows])
            else:
                base, deltas = table
                # Which values there are, times what each adds: whole numbers, so that no order of summation matters.
                chosen = np.zeros((len(rows), len(deltas)))
                chosen[np.arange(len(rows))[:, None], genomes[rows] + offsets] = 1
                unknown = np.isnan(deltas)
                sums = base + chosen @ np.where(unknown, 0.0, deltas)
                sums[chosen[:, unknown.any(1)].any(1)] = np.nan
            if result is None:
                result = np.empty((len(genomes), sums.shape[1]))
            result[rows] = sums
        assert result is not None
        return result

    def _direct(self, arch: Arch) -> np.ndarray:
        return self._layer_sum(self.space.layers(arch, self._num_classes))

    def _is_global(self, gene: int) -> bool:
        """Whether a gene sets what all layers depend on: resolution or width."""
        probe = self._smallest.copy()
        probe[gene] = self.space.gene_sizes[gene] - 1
        if not np.array_equal(self.space.repair(probe), probe):
            return False
        small, changed = self.space.smallest(), self.space.decode(probe)
        return (small.r, small.w) != (changed.r, changed.w)

    def _table(self, key: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray] | None:
        if key not in self._tables:
            self._tables[key] = self._proven(key)
        return self._tables[key]

    def _proven(self, key: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray] | None:
        """The smallest network's sums and every gene value's difference to it; None where genes do not add up."""
        space, offsets = self.space, np.cumsum((0, *self.space.gene_sizes[:-1]))
        small, large = self._smallest.copy(), self._largest.copy()
        small[self._global] = large[self._global] = key
        base = self._direct(space.decode(small))
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
            if not np.array_equal(found, self._direct(space.decode(genome))):
                return None
        return base, deltas

    def _vary(self, background: np.ndarray, gene: int, needed: int) -> dict[int, np.ndarray]:
        """Sums of the background with each value of one gene that leaves it canonical."""
        found: dict[int, np.ndarray] = {}
        probe = background.copy()
        order = (int(needed), *(value for value in range(self.space.gene_sizes[gene]) if value != needed))
        for value in order:
            probe[gene] = value
            if np.array_equal(self.space.repair(probe), probe):
                found[value] = self._direct(self.space.decode(probe))
            elif value == needed:
                return found
        return found
