"""Sorting the middle channels of every block by importance, so that narrower subnets keep the channels that matter."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from natdeploy.supernets.elastic import ElasticBlock
from natdeploy.supernets.mobilenetv3 import MobileNetV3Supernet


@torch.no_grad()
def sort_channels(supernet: MobileNetV3Supernet) -> None:
    """Reorder middle channels by the L1 norm of the weights that read them (Cai et al. 2020, section 3.3).

    The largest architecture computes what it did before; squeeze-excite's own middle is sorted the same way.
    """
    for block in supernet.blocks:
        assert isinstance(block, ElasticBlock)
        if block.inverted_bottleneck is None:
            continue
        importance = block.point_linear.conv.weight.abs().sum((0, 2, 3))
        order = torch.argsort(importance, descending=True, stable=True)
        _permute(block.inverted_bottleneck.conv.weight, order, 0)
        _permute_norm(block.inverted_bottleneck.bn, order)
        _permute(block.depth_conv.conv.weight, order, 0)
        _permute_norm(block.depth_conv.bn, order)
        _permute(block.point_linear.conv.weight, order, 1)
        if block.se is not None:
            _permute(block.se.reduce.weight, order, 1)
            _permute(block.se.expand.weight, order, 0)
            _permute(block.se.expand.bias, order, 0)
            inner = torch.argsort(block.se.expand.weight.abs().sum((0, 2, 3)), descending=True, stable=True)
            _permute(block.se.reduce.weight, inner, 0)
            _permute(block.se.reduce.bias, inner, 0)
            _permute(block.se.expand.weight, inner, 1)


def _permute(tensor: Tensor | None, order: Tensor, axis: int) -> None:
    assert tensor is not None
    tensor.copy_(tensor.index_select(axis, order))


def _permute_norm(bn: nn.BatchNorm2d, order: Tensor) -> None:
    for tensor in (bn.weight, bn.bias, bn.running_mean, bn.running_var):
        _permute(tensor, order, 0)
