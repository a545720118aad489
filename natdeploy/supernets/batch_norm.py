"""Batch-norm calibration: statistics of the very subnet that will run, not of the mixture the supernet saw."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


@torch.no_grad()
def calibrate(module: nn.Module, batches: Iterable[Tensor]) -> None:
    """Replace a network's batch-norm statistics by those of ``batches`` (each ``[N, 3, r, r]``, normalised).

    Each batch counts the same, as in Once-for-All's ``set_running_statistics``. The network is left in evaluation mode.
    """
    norms = [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    module.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    for batch in batches:
        module(batch)
    for norm, momentum in zip(norms, momenta):
        norm.momentum = momentum
        norm.eval()
