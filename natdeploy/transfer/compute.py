"""Where training and evaluation run: a GPU where there is one, the CPU otherwise, channels last on both."""

from __future__ import annotations

from typing import Any, TypeVar, cast

import torch
from torch import nn

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def compute_device() -> torch.device:
    """The first CUDA device, or the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def placed(module: ModuleT, device: torch.device) -> ModuleT:
    """Move a module to a device in channels-last memory, which is about three times faster for depthwise layers."""
    cast(Any, module).to(device, memory_format=torch.channels_last)
    return module
