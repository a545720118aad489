"""The moving average of a network's weights, which a search may evaluate in place of the weights themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from natdeploy.runs import AdaptSettings

Network = TypeVar("Network", bound=nn.Module)
Tensors = tuple[Tensor, ...] | list[Tensor]
#: Moves averaged tensors towards current ones in place; the number is of the steps that they have seen, at least 1.
Averaging = Callable[[Tensors, Tensors, Tensor | int], None]


def averaging(settings: AdaptSettings) -> Averaging | None:
    """How weights are averaged: exponentially by ``ema`` (as EfficientNet's), or by ``average_age``; or not at all."""
    if settings.ema:
        return cast(Averaging, get_ema_multi_avg_fn(settings.ema))
    return None if settings.average_age is None else by_age(settings.average_age)


def by_age(age: float) -> Averaging:
    """An average whose weights approach a mean age of ``age`` times the steps so far, however many these are.

    The weights after step s count about in proportion to s to the power of 1 / age - 2 (the power function of Karras et
    al. 2024, "Analyzing and Improving the Training Dynamics of Diffusion Models", section 3.1, which is told by a
    width). The first ones fade out, as they do not where an exponential average's decay suits longer training.
    """

    @torch.no_grad()
    def average(averaged: Tensors, current: Tensors, seen: Tensor | int) -> None:
        kept = (1 - 1 / (int(seen) + 1)) ** (1 / age - 1)
        torch._foreach_lerp_(averaged, current, 1 - kept)

    return average


class MovingAverage(Generic[Network]):
    """An average over steps (Polyak and Juditsky 1992).

    Args:
        network: whose weights are averaged; the average starts as they are after the first step.
        how: see :func:`averaging`.
    """

    def __init__(self, network: Network, how: Averaging) -> None:
        self._of = network
        self._average = AveragedModel(network, multi_avg_fn=how)

    @property
    def network(self) -> Network:
        """One with the averaged weights."""
        return cast(Network, self._average.module)

    @property
    def steps(self) -> int:
        """Steps that the average has seen."""
        return int(self._average.n_averaged)

    def step(self) -> None:
        """After each step of the optimiser."""
        self._average.update_parameters(self._of)

    def restore(self, weights: Mapping[str, Tensor], steps: int) -> None:
        """Continue from an average of so many steps."""
        self.network.load_state_dict(weights)
        self._average.n_averaged.fill_(steps)
