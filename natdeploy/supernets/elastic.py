"""Elastic layers: full-size weights of which a subnet uses the first channels and the kernels' centres.

Shapes and rules follow Once-for-All (Cai et al. 2020): the middle channels of a block are a prefix, a smaller kernel is
the centre of the larger one passed through a learned matrix, statistics and scales of batch norm are prefixes too.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from natdeploy.spaces.mobilenetv3_layers import squeeze_channels
from natdeploy.supernets.depthwise import depthwise

_ACTIVATION = {"relu": F.relu, "hswish": F.hardswish, "hsigmoid": F.hardsigmoid}


def activated(y: Tensor, name: str) -> Tensor:
    """An activation by its layer's name, or ``none``. Without gradients the result takes the place of ``y``."""
    return y if name == "none" else _ACTIVATION[name](y, inplace=not torch.is_grad_enabled())


class ElasticBatchNorm(nn.BatchNorm2d):
    """Batch norm over the first channels of ``num_features``."""

    def forward(self, input: Tensor) -> Tensor:
        """``[N, c, H, W]`` with ``c <= num_features``, same shape out."""
        c = input.shape[1]
        assert self.running_mean is not None and self.running_var is not None
        return F.batch_norm(
            input,
            self.running_mean[:c],
            self.running_var[:c],
            self.weight[:c],
            self.bias[:c],
            self.training,
            self.momentum or 0.0,
            self.eps,
        )


class ElasticPointwise(nn.Module):
    """1x1 convolution and batch norm whose input and output channels are prefixes."""

    def __init__(self, in_c: int, out_c: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_c, out_c, 1, bias=False)
        self.bn = ElasticBatchNorm(out_c)

    def forward(self, x: Tensor, out_c: int) -> Tensor:
        """``[N, c, H, W]`` to ``[N, out_c, H, W]``, normalised, not activated."""
        return self.bn(F.conv2d(x, self.conv.weight[:out_c, : x.shape[1]]))


class ElasticDepthwise(nn.Module):
    """Depthwise convolution and batch norm with elastic channels and kernel size.

    ``transforms["7to5"]`` is ``[25, 25]`` and maps the centre 5x5 of the 7x7 kernel to the 5x5 kernel, ``"5to3"``
    ``[9, 9]`` the centre of *that* to the 3x3 kernel; both start as the identity and are shared by all channels.
    """

    def __init__(self, channels: int, kernels: tuple[int, ...], stride: int) -> None:
        super().__init__()
        self.kernels = tuple(sorted(kernels))
        self.stride = stride
        self.conv = nn.Conv2d(channels, channels, self.kernels[-1], groups=channels, bias=False)
        self.bn = ElasticBatchNorm(channels)
        self.transforms = nn.ParameterDict(
            {
                f"{large}to{small}": nn.Parameter(torch.eye(small * small))
                for small, large in zip(self.kernels[:-1], self.kernels[1:])
            }
        )

    def kernel_weight(self, channels: int, kernel: int) -> Tensor:
        """Weight ``[channels, 1, kernel, kernel]`` of the first channels."""
        weight = self.conv.weight[:channels]
        for small, large in zip(reversed(self.kernels[:-1]), reversed(self.kernels[1:])):
            if large <= kernel:
                break
            margin = (large - small) // 2
            centre = weight[:, :, margin : large - margin, margin : large - margin]
            mapped = centre.reshape(channels, small * small) @ self.transforms[f"{large}to{small}"].T
            weight = mapped.view(channels, 1, small, small)
        return weight

    def forward(self, x: Tensor, kernel: int) -> Tensor:
        """``[N, c, H, W]`` to ``[N, c, H / stride, W / stride]``, normalised, not activated."""
        return self.bn(depthwise(x, self.kernel_weight(x.shape[1], kernel), self.stride))


class ElasticSqueezeExcite(nn.Module):
    """Squeeze-excite whose middle follows the active channels: a quarter, made divisible by eight."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        middle = squeeze_channels(channels)
        self.reduce = nn.Conv2d(channels, middle, 1)
        self.expand = nn.Conv2d(middle, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, c, H, W]`` scaled per channel."""
        c = x.shape[1]
        middle = squeeze_channels(c)
        assert self.reduce.bias is not None and self.expand.bias is not None
        gate = x.mean((2, 3), keepdim=True)
        gate = F.relu(F.conv2d(gate, self.reduce.weight[:middle, :c], self.reduce.bias[:middle]))
        gate = F.hardsigmoid(F.conv2d(gate, self.expand.weight[:c, :middle], self.expand.bias[:c]))
        return x * gate


class ElasticBlock(nn.Module):
    """Inverted-residual block with elastic kernel size and expand ratio."""

    def __init__(
        self,
        in_c: int,
        out_c: int,
        middle_c: int,
        *,
        kernels: tuple[int, ...],
        stride: int,
        activation: str,
        squeeze: bool,
        expands: bool,
    ) -> None:
        super().__init__()
        self.activation = activation
        self.shortcut = stride == 1 and in_c == out_c
        self.out_c = out_c
        self.inverted_bottleneck = ElasticPointwise(in_c, middle_c) if expands else None
        self.depth_conv = ElasticDepthwise(middle_c, kernels, stride)
        self.se = ElasticSqueezeExcite(middle_c) if squeeze else None
        self.point_linear = ElasticPointwise(middle_c, out_c)

    def forward(self, x: Tensor, middle_c: int, kernel: int) -> Tensor:
        """``[N, in_c, H, W]`` to ``[N, out_c, H / stride, W / stride]``."""
        y = x
        if self.inverted_bottleneck is not None:
            y = activated(self.inverted_bottleneck(y, middle_c), self.activation)
        y = activated(self.depth_conv(y, kernel), self.activation)
        if self.se is not None:
            y = self.se(y)
        y = self.point_linear(y, self.out_c)
        return x + y if self.shortcut else y
