"""FBNet's space (Wu et al. 2019) as HW-NAS-Bench (Li et al. 2021) times it: 22 places, nine blocks, 32 x 32 images.

Channels and strides follow our reading of HW-NAS-Bench, not its code; they give features of cost, never latencies.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from natdeploy.ground.errors import BadInput
from natdeploy.spaces.arch import Arch
from natdeploy.spaces.layer import Layer
from natdeploy.spaces.mobilenetv3_layers import NetworkBuilder
from natdeploy.spaces.operators import OperatorSpace

OPERATORS = ("skip", "k3_e1_g2", "k3_e1", "k5_e1_g2", "k5_e1", "k3_e3", "k5_e3", "k3_e6", "k5_e6")
STAGE_BLOCKS = (1, 4, 4, 4, 4, 4, 1)
STAGE_C = (16, 24, 32, 64, 112, 184, 352)
STAGE_STRIDE = (1, 1, 2, 2, 1, 2, 1)
STEM_C = 16
#: What a block costs: blocks that are there, grouped ones, MACs of 1 x 1 convolutions, of 3 x 3 and of 5 x 5 depthwise
#: convolutions, elements written, weights.
COSTS = 7


@dataclass(frozen=True)
class FBNet(OperatorSpace):
    """The blocks' operators, in order of execution.

    Attributes:
        stem_stride, stage_stride: strides of the stem and of each stage's first block.
        header_c: channels of the last convolution.
    """

    stem_stride: int = 1
    stage_stride: tuple[int, ...] = STAGE_STRIDE
    header_c: int = 1504

    def from_text(self, text: str) -> Arch:
        """Architecture of operators' names joined by commas."""
        if not re.fullmatch(r"\w+(,\w+)*", text):
            raise BadInput(f"space {self.name}: {text!r} is not a list of operators joined by commas")
        return self.arch(text.split(","))

    def layers(self, arch: Arch, num_classes: int | None = None) -> tuple[Layer, ...]:
        """The network; a skipped block is a 1 x 1 convolution where the shape changes, and else not there."""
        self.check(arch)
        net = NetworkBuilder(c=3, h=self.resolution, w=self.resolution)
        net.conv("stem", STEM_C, kernel=3, stride=self.stem_stride, activation="relu")
        ops = iter(arch.ops)
        for blocks, out_c, stage_stride in zip(STAGE_BLOCKS, STAGE_C, self.stage_stride):
            for block in range(blocks):
                _block(net, next(ops), out_c, 1 if block else stage_stride)
        net.index = -1
        net.conv("header", self.header_c, activation="relu")
        net.pool("global_pool")
        net.linear("classifier", self.num_classes if num_classes is None else num_classes)
        return tuple(net.layers)

    def costs(self, arch: Arch) -> np.ndarray:
        """:data:`COSTS` of the network, without the count of grouped blocks."""
        return np.delete(_block_costs()[np.arange(self.places), self.encode(arch)].sum(0), 1)

    def factored(self, arch: Arch) -> np.ndarray:
        """:data:`COSTS` of the network, then of each stage."""
        costs = _block_costs()[np.arange(self.places), self.encode(arch)]
        stages = np.repeat(np.arange(len(STAGE_BLOCKS)), STAGE_BLOCKS)
        per_stage = np.stack([costs[stages == stage].sum(0) for stage in range(len(STAGE_BLOCKS))])
        return np.concatenate([costs.sum(0), per_stage.reshape(-1)])


def _block(net: NetworkBuilder, op: str, out_c: int, stride: int) -> None:
    """Expand, depthwise, project, add; the 1 x 1 convolutions in groups where the operator says so."""
    net.index, net.next_block = net.next_block, net.next_block + 1
    path, entry, in_c = f"blocks.{net.index}", net.last, net.c
    same = stride == 1 and in_c == out_c
    if op == "skip":
        if not same:
            net.conv(f"{path}.skip", out_c, stride=stride, activation="relu")
        return
    kernel, mid, groups = int(op[1]), in_c * int(op[4]), 2 if op.endswith("g2") else 1
    net.conv(f"{path}.expand", mid, groups=groups, activation="relu")
    net.conv(f"{path}.depth_conv", mid, kernel=kernel, stride=stride, groups=mid, activation="relu")
    net.conv(f"{path}.project", out_c, groups=groups)
    if same:
        net.join(f"{path}.shortcut", "add", (net.last, entry))


@lru_cache(maxsize=1)
def _block_costs() -> np.ndarray:
    """Costs of each operator at each place, float64 ``[22, 9, COSTS]``."""
    table = np.zeros((sum(STAGE_BLOCKS), len(OPERATORS), COSTS))
    in_c, size, place = STEM_C, 32, 0
    for blocks, out_c, stage_stride in zip(STAGE_BLOCKS, STAGE_C, STAGE_STRIDE):
        for block in range(blocks):
            stride = stage_stride if block == 0 else 1
            out = size // stride
            for index, name in enumerate(OPERATORS):
                if name == "skip":
                    # Where the shape changes, a 1 x 1 convolution stands in for the block that is skipped.
                    if stride > 1 or in_c != out_c:
                        table[place, index] = 0, 0, out**2 * in_c * out_c, 0, 0, out**2 * out_c, in_c * out_c
                    continue
                kernel, expand = int(name[1]), int(name[4])
                groups = 2 if name.endswith("g2") else 1
                mid = in_c * expand
                dense = (size**2 * in_c * mid + out**2 * mid * out_c) / groups
                depthwise = out**2 * mid * kernel**2
                written = size**2 * mid + out**2 * (mid + out_c)
                three, five = (depthwise, 0) if kernel == 3 else (0, depthwise)
                weights = mid * (in_c + out_c) / groups + mid * kernel**2
                table[place, index] = 1, groups - 1, dense, three, five, written, weights
            in_c, size, place = out_c, out, place + 1
    return table


@lru_cache(maxsize=1)
def fbnet() -> FBNet:
    """``fbnet``: 9^22 networks for CIFAR-100."""
    return FBNet("fbnet", OPERATORS, places=sum(STAGE_BLOCKS), resolution=32, num_classes=100)
