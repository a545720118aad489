"""Genomes of spaces whose networks are stages of inverted residuals with elastic depth, kernel size and expand ratio.

Genome, as in NAT: ``x[0]`` resolution index, ``x[1]`` width index, then as many layer genes for each stage as it may
have blocks. A layer gene is 0 for an absent block, else ``1 + kernel_index + 3 * expand_index``. The first blocks of a
stage are always there, and absent blocks come last.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, pairwise
from typing import TypeVar

import numpy as np

from natdeploy.ground.errors import BadInput
from natdeploy.spaces.arch import Arch
from natdeploy.spaces.layer import Layer

KERNELS = (3, 5, 7)
EXPANDS = (3, 4, 6)
_CHOICES = len(KERNELS) * len(EXPANDS)
#: Active, kernel and expand ratio of each value of a layer gene.
_FACTORED = np.array([(0, 0, 0), *((1, kernel, expand) for expand in EXPANDS for kernel in KERNELS)], np.float64)

SpaceT = TypeVar("SpaceT", bound="StagedSpace")


@dataclass(frozen=True, kw_only=True)
class StagedSpace(ABC):
    """A space of networks in stages.

    Attributes:
        name: registry name.
        resolutions: input resolutions in pixels, ascending.
        width: width multiplier, as in the published checkpoints' names.
        num_classes: classes of the default head.
        depths: of each stage, how many blocks it may have, ascending.
    """

    name: str
    resolutions: tuple[int, ...]
    width: float
    num_classes: int
    depths: tuple[tuple[int, ...], ...]

    @cached_property
    def gene_sizes(self) -> tuple[int, ...]:
        """Resolutions, the width's index fixed, ten choices a layer."""
        places = sum(max(depths) for depths in self.depths)
        return (len(self.resolutions), self._width_gene + 1, *(1 + _CHOICES,) * places)

    @property
    def _width_gene(self) -> int:
        return 0

    def decode(self, genome: Sequence[int] | np.ndarray) -> Arch:
        """Architecture of a canonical genome."""
        genes = self._integers(genome).tolist()
        if self._repaired(genes) != genes:
            raise BadInput(f"space {self.name}: genome {self.text(genes)} is not canonical; repair it first")
        active = [gene - 1 for gene in genes[2:] if gene]
        return Arch(
            self.name,
            ks=tuple(KERNELS[gene % 3] for gene in active),
            e=tuple(EXPANDS[gene // 3] for gene in active),
            d=tuple(sum(map(bool, genes[start:end])) for start, end, _ in self._places),
            r=self.resolutions[genes[0]],
            w=self.width,
        )

    def encode(self, arch: Arch) -> np.ndarray:
        """Canonical genome of an architecture."""
        self.check(arch)
        genes = [self.resolutions.index(arch.r), self._width_gene]
        for blocks, (start, end, _) in zip(self.blocks_of(arch), self._places):
            stage = [1 + KERNELS.index(kernel) + 3 * EXPANDS.index(expand) for kernel, expand in blocks]
            genes += stage + [0] * (end - start - len(stage))
        return np.array(genes, np.int64)

    def repair(self, genome: Sequence[int] | np.ndarray) -> np.ndarray:
        """Move present blocks of a stage before absent ones; give a stage with too few the cheapest blocks."""
        return np.array(self._repaired(self._integers(genome).tolist()), np.int64)

    def text(self, genome: Sequence[int] | np.ndarray) -> str:
        """NAT's ``net.encoding``: two digits of resolution, one of width, one of each layer."""
        genes = [int(gene) for gene in genome]
        return f"{genes[0]:02d}" + "".join(str(gene) for gene in genes[1:])

    def from_text(self, text: str) -> np.ndarray:
        """Genome of a ``net.encoding`` string; blanks in it say nothing."""
        digits, length = "".join(text.split()), len(self.gene_sizes) + 1
        if len(digits) != length or not digits.isascii() or not digits.isdigit():
            raise BadInput(f"space {self.name}: net.encoding {text!r:.80} is not {length} digits")
        return self._integers([int(digits[:2]), *map(int, digits[2:])])

    def check(self, arch: Arch) -> None:
        """Raise BadInput naming the field that is not in this space."""

        def refuse(field: str, value: object, allowed: object) -> None:
            raise BadInput(f"space {self.name}: field {field!r} is {value}, expected {allowed}")

        if arch.space != self.name:
            refuse("space", repr(arch.space), repr(self.name))
        if arch.r not in self.resolutions:
            refuse("r", arch.r, f"one of {self.resolutions}")
        if arch.w != self.width:
            refuse("w", arch.w, self.width)
        if len(arch.d) != len(self.depths) or any(d not in depths for d, depths in zip(arch.d, self.depths)):
            refuse("d", arch.d, f"one of each of {self.depths}")
        if arch.ops:
            refuse("ops", arch.ops, "none: its places choose kernel sizes and expand ratios")
        for field, values, allowed in (("ks", arch.ks, KERNELS), ("e", arch.e, EXPANDS)):
            if len(values) != sum(arch.d) or not set(values) <= set(allowed):
                refuse(field, values, f"{sum(arch.d)} of {allowed}")

    def sample(self, rng: np.random.Generator, *, uniform: str = "gene") -> Arch:
        """A random architecture; ``uniform="phenotype"`` makes every architecture equally likely."""
        if uniform not in ("gene", "phenotype"):
            raise BadInput(f"sampling must be uniform over 'gene' or 'phenotype', not {uniform!r}")
        resolution = self.resolutions[int(rng.integers(len(self.resolutions)))]
        drawn = []
        for chance, depths in zip(rng.random(len(self.depths)), self.depths):
            odds = float(_CHOICES) ** np.array(depths) if uniform == "phenotype" else np.ones(len(depths))
            edges = np.cumsum(odds / odds.sum())
            drawn.append(depths[int(np.searchsorted(edges / edges[-1], chance, side="right"))])
        picks = rng.integers(_CHOICES, size=sum(drawn))
        return Arch(
            self.name,
            ks=tuple(KERNELS[pick % 3] for pick in picks),
            e=tuple(EXPANDS[pick // 3] for pick in picks),
            d=tuple(drawn),
            r=resolution,
            w=self.width,
        )

    def at_resolutions(self: SpaceT, resolutions: Sequence[int]) -> SpaceT:
        """The same space with these of its resolutions only, with all of them where none are given."""
        for resolution in resolutions:
            if resolution not in self.resolutions:
                raise BadInput(f"space {self.name}: no resolution {resolution}, expected some of {self.resolutions}")
        return replace(self, resolutions=tuple(sorted(set(resolutions)))) if resolutions else self

    def smallest(self) -> Arch:
        """Least of every choice."""
        return self._uniform_arch(tuple(map(min, self.depths)), min(KERNELS), min(EXPANDS), self.resolutions[0])

    def largest(self) -> Arch:
        """Most of every choice."""
        return self._uniform_arch(tuple(map(max, self.depths)), max(KERNELS), max(EXPANDS), self.resolutions[-1])

    @abstractmethod
    def layers(self, arch: Arch, num_classes: int | None = None) -> tuple[Layer, ...]:
        """The network, layer by layer."""

    def blocks_of(self, arch: Arch) -> tuple[tuple[tuple[int, int], ...], ...]:
        """Kernel size and expand ratio of the active blocks, stage by stage."""
        starts = (0, *accumulate(arch.d))
        return tuple(tuple(zip(arch.ks[start:end], arch.e[start:end])) for start, end in pairwise(starts))

    def factored(self, arch: Arch) -> np.ndarray:
        """``[r, w, (active, kernel, expand) of each place]``, zeros where absent; float64."""
        return np.concatenate([[arch.r, arch.w], _FACTORED[self.encode(arch)[2:]].reshape(-1)])

    @cached_property
    def _places(self) -> tuple[tuple[int, int, int], ...]:
        """Of each stage: where its layer genes start and end, and how many blocks it has at least."""
        starts = accumulate(map(max, self.depths), initial=2)
        return tuple((*ends, min(depths)) for ends, depths in zip(pairwise(starts), self.depths))

    def _repaired(self, genes: list[int]) -> list[int]:
        """Over so few numbers a list is many times as quick as an array, and searches ask this most of all."""
        repaired = [genes[0], self._width_gene]
        for start, end, least in self._places:
            stage = [gene for gene in genes[start:end] if gene]
            stage += [1] * (least - len(stage))
            repaired += stage + [0] * (end - start - len(stage))
        return repaired

    @cached_property
    def _sizes(self) -> np.ndarray:
        return np.array(self.gene_sizes)

    def _uniform_arch(self, depths: tuple[int, ...], kernel: int, expand: int, resolution: int) -> Arch:
        blocks = sum(depths)
        return Arch(self.name, (kernel,) * blocks, (expand,) * blocks, depths, resolution, self.width)

    def _integers(self, genome: Sequence[int] | np.ndarray) -> np.ndarray:
        """A checked int64 copy."""
        genes, sizes = np.array(genome), self._sizes
        if genes.shape != sizes.shape:
            raise BadInput(f"space {self.name}: a genome has {len(sizes)} genes, not shape {genes.shape}")
        if not np.issubdtype(genes.dtype, np.integer):
            raise BadInput(f"space {self.name}: genes are whole numbers, not {genes.dtype}")
        bad = np.flatnonzero((genes < 0) | (genes >= sizes))
        if len(bad):
            gene = int(bad[0])
            raise BadInput(f"space {self.name}: gene {gene} is {genes[gene]}, expected 0 to {sizes[gene] - 1}")
        return genes.astype(np.int64)
