"""The moving average of a network's weights, which a search may evaluate in place of the weights themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from natdeploy.runs import AdaptSettings
from natdeploy.supernets import MobileNetV3Supernet, load_supernet

#: Moves averaged tensors towards current ones in place; the third argument is how many steps they have seen.
Averaging = Callable[[Any, Any, Any], None]


def averaging(settings: AdaptSettings) -> Averaging | None:
    """How the weights are averaged by ``ema`` or ``average_age``; None where neither is set."""
    if settings.ema:
        return cast(Averaging, get_ema_multi_avg_fn(settings.ema))
    return None if settings.average_age is None else by_age(settings.average_age)


def by_age(age: float) -> Averaging:
    """An average in which weights are ``age`` times the steps so far old in the mean, however many there are.

    The weights after step s count in proportion to s to the power of 1 / age - 2 (the power function of Karras et al.
    2024, "Analyzing and Improving the Training Dynamics of Diffusion Models", section 3.1): the first ones fade out, as
    they do not from an exponential average whose decay suits longer training.
    """

    @torch.no_grad()
    def average(averaged: Any, current: Any, seen: Any) -> None:
        kept = (1 - 1 / (int(seen) + 1)) ** (1 / age - 1)
        torch._foreach_lerp_(averaged, current, 1 - kept)

    return average


class MovingAverage:
    """An average over steps (Polyak and Juditsky 1992; as in EfficientNet's training).

    Args:
        supernet: whose weights are averaged; the average starts as they are at the first step.
        how: see :func:`averaging`.
    """

    def __init__(self, supernet: MobileNetV3Supernet, how: Averaging) -> None:
        self._of = supernet
        self._average = AveragedModel(supernet, multi_avg_fn=how)

    @property
    def supernet(self) -> MobileNetV3Supernet:
        """A supernet with the averaged weights."""
        return cast(MobileNetV3Supernet, self._average.module)

    @property
    def steps(self) -> int:
        """Steps that the average has seen."""
        return int(self._average.n_averaged)

    def step(self) -> None:
        """After each step of the optimiser."""
        self._average.update_parameters(self._of)

    def restore(self, path: Path, steps: int) -> None:
        """Continue from an average of so many steps, saved as a supernet. Raises BadInput for a file that is none."""
        self.supernet.load_state_dict(load_supernet(path).state_dict())
        self._average.n_averaged.fill_(steps)
