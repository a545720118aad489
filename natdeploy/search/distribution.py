"""What the supernet's training subnets are drawn from: the archive, gene by gene, or the best of its members."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from natdeploy.spaces import Arch, Space


class ArchiveDistribution:
    """Each gene on its own, as often as it takes each value in the archive (Lu et al. 2021, section 3.4).

    Args:
        space: the architectures' space.
        archs: at least one.
    """

    def __init__(self, space: Space, archs: Sequence[Arch]) -> None:
        if not archs:
            raise ValueError("an empty archive has no distribution")
        self._space = space
        genomes = np.array([space.encode(arch) for arch in archs])
        self.odds = tuple(
            np.bincount(column, minlength=size) / len(genomes) for column, size in zip(genomes.T, space.gene_sizes)
        )

    def sample(self, rng: np.random.Generator) -> Arch:
        """An architecture of the space: genes drawn one by one, then repaired to a canonical genome."""
        genome = np.array([rng.choice(len(odds), p=odds) for odds in self.odds], dtype=np.int64)
        return self._space.decode(self._space.repair(genome))


class Members:
    """These architectures themselves, each equally likely: those of an archive's first fronts, say.

    Genes drawn one by one forget which of them go together; of an archive that holds most of what was evaluated they
    are nearly uniform.

    Args:
        archs: at least one.
    """

    def __init__(self, archs: Sequence[Arch]) -> None:
        if not archs:
            raise ValueError("there is no architecture to draw")
        self._archs = tuple(archs)

    def sample(self, rng: np.random.Generator) -> Arch:
        """One of them."""
        return self._archs[rng.integers(len(self._archs))]
