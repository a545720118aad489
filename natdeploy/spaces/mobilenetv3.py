"""OFA-MobileNetV3: one parametrised space, full size as published (Cai et al. 2020; Lu et al. 2020) and micro.

Genomes are NAT's, see :mod:`natdeploy.spaces.staged`: five stages of two to four blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from natdeploy.spaces.arch import Arch
from natdeploy.spaces.layer import Layer
from natdeploy.spaces.mobilenetv3_layers import MobileNetV3Shape, mobilenetv3_layers
from natdeploy.spaces.staged import EXPANDS, KERNELS, StagedSpace

__all__ = ["DEPTHS", "EXPANDS", "KERNELS", "PLACES", "STAGES", "WIDTHS", "MobileNetV3Space"]

DEPTHS = (2, 3, 4)
STAGES = 5
PLACES = max(DEPTHS)
#: Widths that NAT's genome numbers, by its ``x[1]``.
WIDTHS = (1.0, 1.2)


@dataclass(frozen=True, kw_only=True)
class MobileNetV3Space(MobileNetV3Shape, StagedSpace):
    """A MobileNetV3 search space with elastic kernel size, expand ratio, depth and resolution."""

    depths: tuple[tuple[int, ...], ...] = (DEPTHS,) * STAGES

    @property
    def _width_gene(self) -> int:
        return WIDTHS.index(self.width)

    def layers(self, arch: Arch, num_classes: int | None = None) -> tuple[Layer, ...]:
        """The network, layer by layer."""
        self.check(arch)
        classes = self.num_classes if num_classes is None else num_classes
        return mobilenetv3_layers(self, self.blocks_of(arch), arch.r, classes)


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
