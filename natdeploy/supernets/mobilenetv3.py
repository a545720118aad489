"""The OFA-MobileNetV3 supernet: one network that holds the weights of every architecture of its space."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from natdeploy.ground.errors import BadInput
from natdeploy.ground.registry import Registry
from natdeploy.spaces.arch import Arch
from natdeploy.spaces.mobilenetv3 import EXPANDS, KERNELS, PLACES, MobileNetV3Space
from natdeploy.spaces.mobilenetv3_layers import make_divisible
from natdeploy.spaces.space import Space
from natdeploy.supernets.elastic import ElasticBlock


class ConvNorm(nn.Sequential):
    """Convolution, batch norm (or none) and hard swish, under the names ``conv`` and ``bn``."""

    def __init__(self, in_c: int, out_c: int, kernel: int, stride: int, *, batch_norm: bool) -> None:
        super().__init__()
        self.add_module("conv", nn.Conv2d(in_c, out_c, kernel, stride, kernel // 2, bias=False))
        if batch_norm:
            self.add_module("bn", nn.BatchNorm2d(out_c))
        self.add_module("act", nn.Hardswish())


class MobileNetV3Supernet(nn.Module):
    """Elastic kernel size, expand ratio, depth and resolution; runs the architecture set by :meth:`set_active`.

    Input ``[N, 3, r, r]`` (any ``r``; the architecture's resolution is the caller's to provide), output
    ``[N, num_classes]`` logits. Starts with the largest architecture active.
    """

    def __init__(self, space: MobileNetV3Space, num_classes: int) -> None:
        super().__init__()
        self.space = space
        self.num_classes = num_classes
        self.first_conv = ConvNorm(3, space.stem_c, 3, 2, batch_norm=True)
        blocks = [_fixed_block(space.stem_c)]
        in_c = space.stem_c
        for stage, out_c in enumerate(space.stage_c):
            for place in range(PLACES):
                blocks.append(
                    ElasticBlock(
                        in_c,
                        out_c,
                        make_divisible(in_c * max(EXPANDS)),
                        kernels=KERNELS,
                        stride=space.stage_stride[stage] if place == 0 else 1,
                        activation=space.stage_act[stage],
                        squeeze=space.stage_se[stage],
                        expands=True,
                    )
                )
                in_c = out_c
        self.blocks = nn.ModuleList(blocks)
        self.final_expand_layer = ConvNorm(in_c, space.final_c, 1, 1, batch_norm=True)
        self.feature_mix_layer = ConvNorm(space.final_c, space.feature_c, 1, 1, batch_norm=False)
        self.classifier = nn.Linear(space.feature_c, num_classes)
        self.active = space.largest()
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """He initialisation by fan-out; batch norm at one and zero; a small random classifier."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()
        self.reset_classifier(self.num_classes)

    def reset_classifier(self, num_classes: int) -> None:
        """A fresh head for another set of classes."""
        self.num_classes = num_classes
        self.classifier = nn.Linear(self.space.feature_c, num_classes)
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)

    def set_active(self, arch: Arch) -> None:
        """Choose the architecture that :meth:`forward` runs. Raises BadInput when it is not in the space."""
        self.space.check(arch)
        self.active = arch

    def active_blocks(self, arch: Arch) -> list[tuple[int, int, int]]:
        """``(index into self.blocks, middle channels, kernel)`` of each searchable block that runs, in order."""
        found = []
        choices = iter(zip(arch.ks, arch.e))
        for stage, depth in enumerate(arch.d):
            for place in range(depth):
                kernel, expand = next(choices)
                in_c = self.space.stage_c[stage] if place else (self.space.stem_c, *self.space.stage_c)[stage]
                found.append((1 + stage * PLACES + place, make_divisible(in_c * expand), kernel))
        return found

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the active architecture."""
        x = self.first_conv(x)
        x = self.blocks[0](x, self.space.stem_c, 3)
        for index, middle_c, kernel in self.active_blocks(self.active):
            x = self.blocks[index](x, middle_c, kernel)
        x = self.final_expand_layer(x)
        x = self.feature_mix_layer(x.mean((2, 3), keepdim=True))
        return self.classifier(torch.flatten(x, 1))


def _fixed_block(channels: int) -> ElasticBlock:
    """The first block: 3x3, no expansion, the same in every architecture."""
    return ElasticBlock(
        channels, channels, channels, kernels=(3,), stride=1, activation="relu", squeeze=False, expands=False
    )


#: Space's name to a callable ``(space, num_classes) -> supernet``, for spaces whose supernet is not this room's own.
#: What it gives does all that a :class:`MobileNetV3Supernet` does, and its ``extract(arch)`` gives a ``Subnet``.
SUPERNETS = Registry("supernet", {})


def has_supernet(space: Space) -> bool:
    """Whether a space's networks can be trained: some spaces only describe networks whose latencies are published."""
    return isinstance(space, MobileNetV3Space) or space.name in SUPERNETS.names()


def build_supernet(space: Space, num_classes: int | None = None) -> MobileNetV3Supernet:
    """A supernet with fresh weights (drawn from torch's current generator). Raises BadInput for a space without one."""
    classes = space.num_classes if num_classes is None else num_classes
    if space.name in SUPERNETS.names():
        supernet: MobileNetV3Supernet = SUPERNETS.get(space.name)(space, classes)
        return supernet
    if not isinstance(space, MobileNetV3Space):
        raise BadInput(f"space {space.name}: there is no supernet for this space")
    return MobileNetV3Supernet(space, classes)
