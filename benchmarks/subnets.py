"""Random subnets of Once-for-All's two spaces, for the benchmarks of the compiler."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from natdeploy.spaces import Arch, Layer, Network
    from natdeploy.spaces.mobilenetv3 import MobileNetV3Space

#: Who writes the kernels that are judged.
PRODUCER = "kernels"
SPACES = ("ofa-mbv3-w1.0", "ofa-mbv3-w1.2")
RESOLUTIONS = (160, 192, 208, 224, 240, 256)
#: Images on which a subnet's batch norms are calibrated, so that activations of random weights keep their size.
CALIBRATION_IMAGES = 2


@dataclass(frozen=True)
class RandomSubnet:
    """A subnet with random weights: the torch module, the same with batch norms folded, and an image it may be run on.

    Attributes:
        arch: the architecture.
        module: ``natdeploy.supernets.Subnet``, calibrated, in evaluation mode.
        network: what ``build`` makes of it.
        image: float32 ``[1, 3, r, r]``.
    """

    arch: Arch
    module: Any
    network: Network
    image: np.ndarray

    @property
    def name(self) -> str:
        """For people and file names: width, resolution and the architecture's id."""
        return f"w{self.arch.w}-r{self.arch.r}-{self.arch.id}"


def wider_space(name: str) -> MobileNetV3Space:
    """A space with all of :data:`RESOLUTIONS`; NAT's own begins at 192 pixels."""
    from natdeploy.spaces import get_space

    space: Any = get_space(name)
    return replace(space, resolutions=tuple(sorted({*space.resolutions, *RESOLUTIONS})))


def random_archs(count: int, seed: int, resolutions: tuple[int, ...] = RESOLUTIONS) -> list[Arch]:
    """Architectures of both spaces in turn, whose resolutions take turns too; the first twelve have every pair."""
    rng = np.random.default_rng(seed)
    archs = []
    for index in range(count):
        space = wider_space(SPACES[index % len(SPACES)])
        # Without the second term, a space would meet every other resolution only.
        turn = index + index // len(resolutions)
        arch = replace(space.sample(rng), r=resolutions[turn % len(resolutions)])
        space.check(arch)
        archs.append(arch)
    return archs


def random_subnets(archs: list[Arch], seed: int) -> Iterator[RandomSubnet]:
    """The subnets of random supernets, one after another (each takes some 100 MB)."""
    import torch

    from natdeploy.supernets import build_supernet, calibrate, extract, to_network

    supernets = {}
    for index, arch in enumerate(archs):
        if arch.space not in supernets:
            torch.manual_seed(seed)
            supernets[arch.space] = build_supernet(wider_space(arch.space))
        module = extract(supernets[arch.space], arch)
        rng = np.random.default_rng([seed, index])
        images = rng.standard_normal((1 + CALIBRATION_IMAGES, 3, arch.r, arch.r), dtype=np.float32)
        with torch.no_grad():
            calibrate(module, [torch.from_numpy(images[1:])])
        yield RandomSubnet(arch, module, to_network(module), images[:1])


def every_workload(space_name: str, resolution: int) -> list[tuple[Layer, ...]]:
    """Networks that together have every layer of a space at one resolution.

    What a block computes depends on its place, kernel size and expand ratio, not on its neighbours', so networks of
    full depth suffice in which all blocks are alike.
    """
    from natdeploy.spaces.mobilenetv3 import EXPANDS, KERNELS

    space = wider_space(space_name)
    largest = replace(space.largest(), r=resolution)
    blocks = len(largest.ks)
    return [
        space.layers(replace(largest, ks=(kernel,) * blocks, e=(expand,) * blocks))
        for kernel in KERNELS
        for expand in EXPANDS
    ]
