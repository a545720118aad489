"""OFA-ProxylessNAS (Cai et al. 2019, 2020): MobileNetV2's blocks in five elastic stages and a last one of one block.

Its networks are described for costs and latencies. No supernet of it is loaded, and ReLU6 is compiled by nothing here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from natdeploy.spaces.arch import Arch
from natdeploy.spaces.layer import RELU6, Layer
from natdeploy.spaces.mobilenetv3_layers import NetworkBuilder, make_divisible
from natdeploy.spaces.staged import StagedSpace

#: Channels at width 1: stem, first block, stages, features.
_STEM_C, _FIRST_C, _FEATURE_C = 32, 16, 1280
_STAGE_C = (24, 40, 80, 96, 192, 320)
_STAGE_STRIDE = (2, 2, 2, 1, 2, 1)


@dataclass(frozen=True, kw_only=True)
class ProxylessSpace(StagedSpace):
    """A ProxylessNAS space with elastic kernel size, expand ratio, depth and resolution."""

    depths: tuple[tuple[int, ...], ...] = (*((2, 3, 4),) * 5, (1,))

    def layers(self, arch: Arch, num_classes: int | None = None) -> tuple[Layer, ...]:
        """The network, layer by layer."""
        self.check(arch)
        net = NetworkBuilder(c=3, h=arch.r, w=arch.r)
        net.conv("first_conv", self._wide(_STEM_C), kernel=3, stride=2, activation=RELU6)
        net.block(self._wide(_FIRST_C), kernel=3, expand=1, stride=1, activation=RELU6, squeeze=False)
        for blocks, channels, stride in zip(self.blocks_of(arch), _STAGE_C, _STAGE_STRIDE):
            for place, (kernel, expand) in enumerate(blocks):
                net.block(
                    self._wide(channels),
                    kernel=kernel,
                    expand=expand,
                    stride=1 if place else stride,
                    activation=RELU6,
                    squeeze=False,
                )
        net.index = -1
        net.conv("feature_mix_layer", self._wide(_FEATURE_C), activation=RELU6)
        net.pool("global_pool")
        net.linear("classifier", self.num_classes if num_classes is None else num_classes)
        return tuple(net.layers)

    def _wide(self, channels: int) -> int:
        return make_divisible(channels * self.width)


@lru_cache(maxsize=1)
def ofa_proxyless() -> ProxylessSpace:
    """``ofa-proxyless``: the space of Once-for-All's published supernet of width 1.3."""
    return ProxylessSpace(name="ofa-proxyless", resolutions=tuple(range(128, 225, 4)), width=1.3, num_classes=1000)
