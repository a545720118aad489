"""Spaces whose architectures choose one operator of a list at each place, of which latencies have been published."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from natdeploy.ground.errors import BadInput
from natdeploy.spaces.arch import Arch
from natdeploy.spaces.layer import Layer


@dataclass(frozen=True)
class OperatorSpace(ABC):
    """One operator at each place; a genome holds the operators' indices and every genome is canonical.

    These spaces are there to learn from published latencies. Their networks are described, and not built.

    Attributes:
        name: registry name.
        operators: names of the operators, the cheapest first and the costliest last.
        places: how many operators an architecture has.
        resolution: input's height and width in pixels.
        num_classes: classes of the networks that were timed.
    """

    name: str
    operators: tuple[str, ...]
    places: int
    resolution: int
    num_classes: int

    @property
    def gene_sizes(self) -> tuple[int, ...]:
        """As many values a gene as there are operators."""
        return (len(self.operators),) * self.places

    @property
    def resolutions(self) -> tuple[int, ...]:
        """The one resolution."""
        return (self.resolution,)

    def arch(self, operators: Sequence[str]) -> Arch:
        """Architecture of operators by name. Raises BadInput for unknown ones or another number of them."""
        arch = Arch(self.name, (), (), (), self.resolution, 1.0, tuple(operators))
        self.check(arch)
        return arch

    def decode(self, genome: Sequence[int] | np.ndarray) -> Arch:
        """Architecture of a genome."""
        return self.arch([self.operators[gene] for gene in self.repair(genome)])

    def encode(self, arch: Arch) -> np.ndarray:
        """Indices of the operators, int64."""
        self.check(arch)
        return np.array([self.operators.index(name) for name in arch.ops], np.int64)

    def repair(self, genome: Sequence[int] | np.ndarray) -> np.ndarray:
        """A checked copy: every genome is canonical."""
        genes = np.array(genome)
        if genes.shape != (self.places,) or not np.issubdtype(genes.dtype, np.integer):
            raise BadInput(
                f"space {self.name}: a genome is {self.places} whole numbers, not {genes.dtype}{genes.shape}"
            )
        bad = np.flatnonzero((genes < 0) | (genes >= len(self.operators)))
        if len(bad):
            expected = f"expected 0 to {len(self.operators) - 1}"
            raise BadInput(f"space {self.name}: gene {bad[0]} is {genes[bad[0]]}, {expected}")
        return genes.astype(np.int64)

    def check(self, arch: Arch) -> None:
        """Raise BadInput naming the field that is not in this space."""
        if arch.space != self.name:
            raise BadInput(f"space {self.name}: field 'space' is {arch.space!r}, expected {self.name!r}")
        if (arch.r, arch.w, arch.ks, arch.e, arch.d) != (self.resolution, 1.0, (), (), ()):
            raise BadInput(f"space {self.name}: expected r {self.resolution}, w 1.0 and no ks, e and d")
        if len(arch.ops) != self.places:
            raise BadInput(f"space {self.name}: field 'ops' has {len(arch.ops)} entries, expected {self.places}")
        for name in arch.ops:
            if name not in self.operators:
                raise BadInput(f"space {self.name}: field 'ops' holds {name!r}, expected one of {self.operators}")

    def sample(self, rng: np.random.Generator, *, uniform: str = "gene") -> Arch:
        """A random architecture; uniform over genes is uniform over phenotypes here."""
        if uniform not in ("gene", "phenotype"):
            raise BadInput(f"sampling must be uniform over 'gene' or 'phenotype', not {uniform!r}")
        return self.decode(rng.integers(len(self.operators), size=self.places))

    def at_resolutions(self, resolutions: Sequence[int]) -> OperatorSpace:
        """The space as it is: there is one resolution. Raises BadInput for another."""
        for resolution in resolutions:
            if resolution != self.resolution:
                raise BadInput(f"space {self.name}: no resolution {resolution}, expected {self.resolution}")
        return self

    def smallest(self) -> Arch:
        """The cheapest operator everywhere."""
        return self.decode([0] * self.places)

    def largest(self) -> Arch:
        """The costliest operator everywhere."""
        return self.decode([len(self.operators) - 1] * self.places)

    @abstractmethod
    def layers(self, arch: Arch, num_classes: int | None = None) -> tuple[Layer, ...]:
        """The network, layer by layer."""

    @abstractmethod
    def costs(self, arch: Arch) -> np.ndarray:
        """What devices may spend their time on, each summed over the network; float64, none negative."""

    @abstractmethod
    def factored(self, arch: Arch) -> np.ndarray:
        """What the operators amount to together, float64."""
