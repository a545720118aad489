"""FBNet's space (Wu et al. 2019) as HW-NAS-Bench (Li et al. 2021) times it: 22 places, nine blocks, 32 x 32 images.

Channels and strides follow our reading of HW-NAS-Bench, not its code; they give features of cost, never latencies.
"""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np

from natdeploy.ground.errors import BadInput
from natdeploy.spaces.arch import Arch
from natdeploy.spaces.operators import OperatorSpace

OPERATORS = ("skip", "k3_e1_g2", "k3_e1", "k5_e1_g2", "k5_e1", "k3_e3", "k5_e3", "k3_e6", "k5_e6")
STAGE_BLOCKS = (1, 4, 4, 4, 4, 4, 1)
STAGE_C = (16, 24, 32, 64, 112, 184, 352)
STAGE_STRIDE = (1, 1, 2, 2, 1, 2, 1)
STEM_C = 16
#: What a block costs: blocks that are there, grouped ones, MACs of 1 x 1 convolutions, of 3 x 3 and of 5 x 5 depthwise
#: convolutions, elements written, weights.
COSTS = 7


class FBNet(OperatorSpace):
    """The blocks' operators, in order of execution."""

    def from_text(self, text: str) -> Arch:
        """Architecture of operators' names joined by commas."""
        if not re.fullmatch(r"\w+(,\w+)*", text):
            raise BadInput(f"space {self.name}: {text!r} is not a list of operators joined by commas")
        return self.arch(text.split(","))

    def costs(self, arch: Arch) -> np.ndarray:
        """:data:`COSTS` of the network, without the count of grouped blocks."""
        return np.delete(_block_costs()[np.arange(self.places), self.encode(arch)].sum(0), 1)

    def factored(self, arch: Arch) -> np.ndarray:
        """:data:`COSTS` of the network, then of each stage."""
        costs = _block_costs()[np.arange(self.places), self.encode(arch)]
        stages = np.repeat(np.arange(len(STAGE_BLOCKS)), STAGE_BLOCKS)
        per_stage = np.stack([costs[stages == stage].sum(0) for stage in range(len(STAGE_BLOCKS))])
        return np.concatenate([costs.sum(0), per_stage.reshape(-1)])


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
