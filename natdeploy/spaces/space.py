"""The interface of a search space: integer genomes to architectures and back, and architectures to layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from natdeploy.ground.registry import Registry
from natdeploy.spaces.arch import Arch
from natdeploy.spaces.layer import Layer

SPACES = Registry(
    "space",
    {
        "mbv3-micro": "natdeploy.spaces.mobilenetv3:micro",
        "ofa-mbv3-w1.0": "natdeploy.spaces.mobilenetv3:ofa_w10",
        "ofa-mbv3-w1.2": "natdeploy.spaces.mobilenetv3:ofa_w12",
        "ofa-proxyless": "natdeploy.spaces.proxyless:ofa_proxyless",
        "nasbench201": "natdeploy.spaces.nasbench201:nasbench201",
        "fbnet": "natdeploy.spaces.fbnet:fbnet",
    },
)


class Space(Protocol):
    """What may be built. Free of torch; every method is pure."""

    @property
    def name(self) -> str:
        """Name in the registry."""
        ...

    @property
    def gene_sizes(self) -> tuple[int, ...]:
        """How many values each gene takes: gene ``i`` is in ``[0, gene_sizes[i])``."""
        ...

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Input resolutions in pixels, ascending."""
        ...

    @property
    def num_classes(self) -> int:
        """Classes that :meth:`layers` assumes when none are given."""
        ...

    def decode(self, genome: Sequence[int] | np.ndarray) -> Arch:
        """Architecture of a canonical genome. Raises BadInput for one that is not in the space."""
        ...

    def encode(self, arch: Arch) -> np.ndarray:
        """Canonical genome, int64. Raises BadInput for an architecture that is not in the space."""
        ...

    def repair(self, genome: Sequence[int] | np.ndarray) -> np.ndarray:
        """Nearest canonical genome; idempotent."""
        ...

    def check(self, arch: Arch) -> None:
        """Raise BadInput naming the field when an architecture is not in the space."""
        ...

    def sample(self, rng: np.random.Generator, *, uniform: str = "gene") -> Arch:
        """A random architecture, uniform over each gene's choices or over ``"phenotype"``s."""
        ...

    def at_resolutions(self, resolutions: Sequence[int]) -> Space:
        """The same space with these of its resolutions only, with all of them where none are given.

        What it decodes, samples, repairs and mutates stays at these. Raises BadInput for a resolution it does not have.
        """
        ...

    def smallest(self) -> Arch:
        """The architecture with the fewest MACs."""
        ...

    def largest(self) -> Arch:
        """The architecture with the most MACs; every other one shares its weights."""
        ...

    def layers(self, arch: Arch, num_classes: int | None = None) -> tuple[Layer, ...]:
        """The network, layer by layer, at the architecture's resolution."""
        ...

    def factored(self, arch: Arch) -> np.ndarray:
        """Numbers for an accuracy surrogate: resolution, width and per place active, kernel size, expand ratio."""
        ...


def get_space(name: str) -> Space:
    """The space of that name. Raises BadInput listing the known ones."""
    return SPACES.get(name)()
