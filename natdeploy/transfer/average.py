"""The moving average of a supernet's weights, which a search may evaluate in place of the weights themselves."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from natdeploy.supernets import MobileNetV3Supernet, load_supernet


class MovingAverage:
    """An exponential moving average over steps (Polyak and Juditsky 1992; as in EfficientNet's training).

    Args:
        supernet: whose weights are averaged; the average starts as they are at the first step.
        decay: share of the average that a step leaves; 0.99 looks back some hundred steps.
    """

    def __init__(self, supernet: MobileNetV3Supernet, decay: float) -> None:
        self._of = supernet
        self._average = AveragedModel(supernet, multi_avg_fn=get_ema_multi_avg_fn(decay))

    @property
    def supernet(self) -> MobileNetV3Supernet:
        """A supernet with the averaged weights."""
        return cast(MobileNetV3Supernet, self._average.module)

    def step(self) -> None:
        """After each step of the optimiser."""
        self._average.update_parameters(self._of)

    def restore(self, path: Path) -> None:
        """Continue from an average that was saved as a supernet. Raises BadInput for a file that is none."""
        self.supernet.load_state_dict(load_supernet(path).state_dict())
        self._average.n_averaged.fill_(1)
