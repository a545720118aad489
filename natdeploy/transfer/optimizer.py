"""Stochastic gradient descent over a supernet, its learning rate, and its state as tensors with names."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import write_bytes


def sgd(module: nn.Module, *, weight_decay: float, momentum: float = 0.9) -> torch.optim.SGD:
    """SGD with Nesterov momentum; biases, batch norm and kernel transforms do not decay."""
    decayed: list[nn.Parameter] = []
    kept: list[nn.Parameter] = []
    for name, parameter in module.named_parameters():
        (decayed if parameter.ndim >= 2 and "transforms" not in name else kept).append(parameter)
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": kept, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, lr=0.1, momentum=momentum, nesterov=True)


def set_learning_rate(optimizer: torch.optim.Optimizer, value: float) -> None:
    """Set the learning rate of all parameters."""
    for group in optimizer.param_groups:
        group["lr"] = value


def cosine(progress: float, peak: float, warm_up: float = 0.0) -> float:
    """Learning rate at ``progress`` (0..1): linear up to ``peak`` over ``warm_up``, then a half cosine down to 0."""
    if progress < warm_up:
        return peak * progress / warm_up
    return peak * 0.5 * (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up)))


def save_momentum(path: Path, module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Write the momentum of each named parameter, atomically; parameters never stepped have none."""
    buffers = {
        name: optimizer.state[parameter]["momentum_buffer"].contiguous()
        for name, parameter in module.named_parameters()
        if optimizer.state.get(parameter, {}).get("momentum_buffer") is not None
    }
    write_bytes(path, save(buffers))


def load_momentum(path: Path, module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Read what :func:`save_momentum` wrote. Raises BadInput naming the file and the tensor at fault."""
    try:
        buffers = load_file(path)
    except (SafetensorError, OSError) as error:
        raise BadInput(f"{path}: not a readable optimizer state ({error})") from None
    parameters = dict(module.named_parameters())
    for name, buffer in buffers.items():
        if name not in parameters or parameters[name].shape != buffer.shape:
            raise BadInput(f"{path}: momentum of {name!r} does not fit the supernet")
        optimizer.state[parameters[name]]["momentum_buffer"] = buffer.to(parameters[name].device)
