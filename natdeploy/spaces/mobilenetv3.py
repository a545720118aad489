"""OFA-MobileNetV3: one parametrised space, full size as published (Cai et al. 2020; Lu et al. 2020) and micro.

Genome, as in NAT: ``x[0]`` resolution index, ``x[1]`` width index, then four layer genes for each of five stages. A
layer gene is 0 for an absent block, else ``1 + kernel_index + 3 * expand_index``. The first two blocks of a stage are
always there, and absent blocks come last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate, pairwise

import numpy as np

from natdeploy.ground.errors import BadInput
from natdeploy.spaces.arch import Arch
from natdeploy.spaces.layer import Layer
from natdeploy.spaces.mobilenetv3_layers import MobileNetV3Shape, mobilenetv3_layers

KERNELS = (3, 5, 7)
EXPANDS = (3, 4, 6)
DEPTHS = (2, 3, 4)
STAGES = 5
PLACES = max(DEPTHS)
#: Widths that NAT's genome numbers, by its ``x[1]``.
WIDTHS = (1.0, 1.2)


@dataclass(frozen=True, kw_only=True)
class MobileNetV3Space(MobileNetV3Shape):
    """A MobileNetV3 search space with elastic kernel size, expand ratio, depth and resolution.

    Attributes:
        name: registry name.
        resolutions: input resolutions in pixels, ascending.
        width: width multiplier, as in the published checkpoints' names.
        num_classes: classes of the default head.
    """

    name: str
    resolutions: tuple[int, ...]
    width: float
    num_classes: int

    @property
    def gene_sizes(self) -> tuple[int, ...]:
        """17 resolutions (or fewer), the width's index fixed, ten choices a layer."""
        choices = 1 + len(KERNELS) * len(EXPANDS)
        return (len(self.resolutions), self._width_gene + 1, *(choices,) * (STAGES * PLACES))

    @property
    def _width_gene(self) -> int:
        return WIDTHS.index(self.width)

    def decode(self, genome: Sequence[int] | np.ndarray) -> Arch:
        """Architecture of a canonical genome."""
        genes = self._integers(genome)
        if not np.array_equal(self.repair(genes), genes):
            raise BadInput(f"space {self.name}: genome {self.text(genes)} is not canonical; repair it first")
        stages = genes[2:].reshape(STAGES, PLACES)
        active = [int(gene) - 1 for gene in genes[2:] if gene]
        return Arch(
            self.name,
            ks=tuple(KERNELS[gene % 3] for gene in active),
            e=tuple(EXPANDS[gene // 3] for gene in active),
            d=tuple(int(depth) for depth in (stages > 0).sum(1)),
            r=self.resolutions[genes[0]],
            w=self.width,
        )

    def encode(self, arch: Arch) -> np.ndarray:
        """Canonical genome of an architecture."""
        self.check(arch)
        genes = np.zeros(2 + STAGES * PLACES, np.int64)
        genes[:2] = self.resolutions.index(arch.r), self._width_gene
        blocks = iter(zip(arch.ks, arch.e))
        for stage, depth in enumerate(arch.d):
            for place in range(depth):
                kernel, expand = next(blocks)
                genes[2 + stage * PLACES + place] = 1 + KERNELS.index(kernel) + 3 * EXPANDS.index(expand)
        return genes

    def repair(self, genome: Sequence[int] | np.ndarray) -> np.ndarray:
        """Move present blocks of a stage before absent ones; give a stage with fewer than two the cheapest blocks."""
        genes = self._integers(genome)
        genes[1] = self._width_gene
        for stage in genes[2:].reshape(STAGES, PLACES):
            present = stage[stage > 0]
            stage[:] = 0
            stage[: min(DEPTHS)] = 1
            stage[: len(present)] = present
        return genes

    def text(self, genome: Sequence[int] | np.ndarray) -> str:
        """NAT's ``net.encoding``: two digits of resolution, one of width, twenty of layers."""
        genes = [int(gene) for gene in genome]
        return f"{genes[0]:02d}" + "".join(str(gene) for gene in genes[1:])

    def from_text(self, text: str) -> np.ndarray:
        """Genome of a ``net.encoding`` string."""
        if len(text) != 3 + STAGES * PLACES or not text.isascii() or not text.isdigit():
            raise BadInput(f"space {self.name}: net.encoding {text!r} is not {3 + STAGES * PLACES} digits")
        return self._integers([int(text[:2]), *map(int, text[2:])])

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
        if len(arch.d) != STAGES or any(depth not in DEPTHS for depth in arch.d):
            refuse("d", arch.d, f"{STAGES} of {DEPTHS}")
        for field, values, allowed in (("ks", arch.ks, KERNELS), ("e", arch.e, EXPANDS)):
            if len(values) != sum(arch.d) or any(value not in allowed for value in values):
                refuse(field, values, f"{sum(arch.d)} of {allowed}")

    def sample(self, rng: np.random.Generator, *, uniform: str = "gene") -> Arch:
        """A random architecture; ``uniform="phenotype"`` makes every architecture equally likely."""
        choices = len(KERNELS) * len(EXPANDS)
        if uniform == "gene":
            odds = np.ones(len(DEPTHS))
        elif uniform == "phenotype":
            odds = float(choices) ** np.array(DEPTHS)
        else:
            raise BadInput(f"sampling must be uniform over 'gene' or 'phenotype', not {uniform!r}")
        resolution = self.resolutions[int(rng.integers(len(self.resolutions)))]
        depths = tuple(int(depth) for depth in rng.choice(DEPTHS, size=STAGES, p=odds / odds.sum()))
        picks = rng.integers(choices, size=sum(depths))
        return Arch(
            self.name,
            ks=tuple(KERNELS[pick % 3] for pick in picks),
            e=tuple(EXPANDS[pick // 3] for pick in picks),
            d=depths,
            r=resolution,
            w=self.width,
        )

    def at_resolutions(self, resolutions: Sequence[int]) -> MobileNetV3Space:
        """The same space with these of its resolutions only, with all of them where none are given."""
        for resolution in resolutions:
            if resolution not in self.resolutions:
                raise BadInput(f"space {self.name}: no resolution {resolution}, expected some of {self.resolutions}")
        return replace(self, resolutions=tuple(sorted(set(resolutions)))) if resolutions else self

    def smallest(self) -> Arch:
        """Least of every choice."""
        return self._uniform_arch(min(DEPTHS), min(KERNELS), min(EXPANDS), self.resolutions[0])

    def largest(self) -> Arch:
        """Most of every choice."""
        return self._uniform_arch(max(DEPTHS), max(KERNELS), max(EXPANDS), self.resolutions[-1])

    def layers(self, arch: Arch, num_classes: int | None = None) -> tuple[Layer, ...]:
        """The network, layer by layer."""
        self.check(arch)
        starts = (0, *accumulate(arch.d))
        stages = tuple(tuple(zip(arch.ks[start:end], arch.e[start:end])) for start, end in pairwise(starts))
        classes = self.num_classes if num_classes is None else num_classes
        return mobilenetv3_layers(self, stages, arch.r, classes)

    def factored(self, arch: Arch) -> np.ndarray:
        """``[r, w, (active, kernel, expand) x 20]``, zeros where absent; float64."""
        genes = self.encode(arch)[2:] - 1
        active = genes >= 0
        table = np.stack(
            [
                active,
                np.where(active, np.array(KERNELS)[genes % 3], 0),
                np.where(active, np.array(EXPANDS)[genes // 3], 0),
            ],
            axis=1,
        )
        return np.concatenate([[arch.r, arch.w], table.reshape(-1)]).astype(np.float64)

    def _uniform_arch(self, depth: int, kernel: int, expand: int, resolution: int) -> Arch:
        blocks = depth * STAGES
        return Arch(self.name, (kernel,) * blocks, (expand,) * blocks, (depth,) * STAGES, resolution, self.width)

    def _integers(self, genome: Sequence[int] | np.ndarray) -> np.ndarray:
        """A checked int64 copy."""
        genes = np.array(genome)
        sizes = np.array(self.gene_sizes)
        if genes.shape != sizes.shape:
            raise BadInput(f"space {self.name}: a genome has {len(sizes)} genes, not shape {genes.shape}")
        if not np.issubdtype(genes.dtype, np.integer):
            raise BadInput(f"space {self.name}: genes are whole numbers, not {genes.dtype}")
        bad = np.flatnonzero((genes < 0) | (genes >= sizes))
        if len(bad):
            gene = int(bad[0])
            raise BadInput(f"space {self.name}: gene {gene} is {genes[gene]}, expected 0 to {sizes[gene] - 1}")
        return genes.astype(np.int64)


@lru_cache(maxsize=1)
def micro() -> MobileNetV3Space:
    """``mbv3-micro``: the same structure for images of 32 pixels; the largest subnet has 14.7 M MACs.

    Its strides leave the last two stages 4 x 4 pixels, where those of the full-size spaces would leave the last one.
    """
    return MobileNetV3Space(
        name="mbv3-micro",
        resolutions=(24, 28, 32),
        width=1.0,
        stem_c=16,
        stage_c=(16, 16, 24, 40, 64),
        stage_stride=(2, 1, 1, 2, 1),
        final_c=480,
        feature_c=640,
        num_classes=10,
    )


@lru_cache(maxsize=1)
def ofa_w10() -> MobileNetV3Space:
    """``ofa-mbv3-w1.0``: the published space of width 1.0 at NAT's 17 resolutions."""
    return MobileNetV3Space(
        name="ofa-mbv3-w1.0",
        resolutions=tuple(range(192, 257, 4)),
        width=1.0,
        stem_c=16,
        stage_c=(24, 40, 80, 112, 160),
        final_c=960,
        feature_c=1280,
        num_classes=1000,
    )


@lru_cache(maxsize=1)
def ofa_w12() -> MobileNetV3Space:
    """``ofa-mbv3-w1.2``: the published space of width 1.2 at NAT's 17 resolutions."""
    return MobileNetV3Space(
        name="ofa-mbv3-w1.2",
        resolutions=tuple(range(192, 257, 4)),
        width=1.2,
        stem_c=24,
        stage_c=(32, 48, 96, 136, 192),
        final_c=1152,
        feature_c=1536,
        num_classes=1000,
    )
