"""Batch-norm calibration: statistics of the very subnet that will run, not of the mixture the supernet saw."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


@torch.no_grad()
def calibrate(module: nn.Module, batches: Iterable[Tensor]) -> None:
    """Replace a network's batch-norm statistics by those of ``batches`` (each ``[N, 3, r, r]``, normalised).

    As in Once-for-All's ``set_running_statistics``, a batch counts by its images, and variances are those that the
    batches themselves were normalised with (torch's running ones are larger by ``n / (n - 1)``). The network is left in
    evaluation mode, also where a batch fails; statistics are worth nothing then.
    """
    norms = [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]
    values: dict[nn.Module, int] = {}  # per channel, in the batch that went through last
    hooks = [
        norm.register_forward_pre_hook(lambda norm, x: values.update({norm: x[0][:, 0].numel()})) for norm in norms
    ]
    momenta = [norm.momentum for norm in norms]
    module.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = 1.0
        norm.train()
    sums = [torch.zeros(2, norm.num_features, device=norm.weight.device) for norm in norms]
    images = 0
    try:
        for batch in batches:
            module(batch)
            images += len(batch)
            for norm, total in zip(norms, sums):
                assert norm.running_mean is not None and norm.running_var is not None
                biased = norm.running_var * ((values[norm] - 1) / values[norm])
                total += len(batch) * torch.stack([norm.running_mean, biased])
    finally:
        for norm, momentum, hook in zip(norms, momenta, hooks):
            hook.remove()
            norm.momentum = momentum
            norm.eval()
    if images:
        for norm, total in zip(norms, sums):
            assert norm.running_mean is not None and norm.running_var is not None
            norm.running_mean.copy_(total[0] / images)
            norm.running_var.copy_(total[1] / images)
