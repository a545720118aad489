"""Adaptations of a small supernet, the same at each call, and what tests ask of them."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from natdeploy.data import Dataset
from natdeploy.spaces import Arch, get_space
from natdeploy.supernets import build_supernet
from natdeploy.transfer import Adaptation, AdaptConfig

SPACE = get_space("mbv3-micro")
#: Of stripes, 4 steps an epoch.
CONFIG = {"warm_up_epochs": 1, "iterations": 2, "epochs_per_iteration": 1, "batch_size": 40, "subnets_per_step": 1}


def fresh(dataset: Dataset, seed: int = 0, **fields: object) -> Adaptation:
    """An adaptation to two classes that has not begun; ``fields`` are settings other than CONFIG's."""
    torch.manual_seed(0)
    return Adaptation(build_supernet(SPACE, 2), dataset, AdaptConfig(**{**CONFIG, "lr": 0.05, **fields}), seed)


def weights(network: nn.Module) -> dict[str, torch.Tensor]:
    """A copy, for afterwards."""
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(one: nn.Module, other: nn.Module | dict[str, torch.Tensor]) -> bool:
    """Whether weights of the same names are equal to the last bit."""
    mine, others = one.state_dict(), other if isinstance(other, dict) else other.state_dict()
    assert mine.keys() == others.keys()
    return all(torch.equal(value, others[name]) for name, value in mine.items())


def smallest(rng: np.random.Generator) -> Arch:
    """A student that is always the same."""
    return SPACE.smallest()
