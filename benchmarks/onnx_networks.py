"""Networks that any_onnx.py exports: ResNet-18, EfficientNet-B0, a ViT-Tiny, a pretrained MobileNetV3 minimalistic.

The first three have random weights; batch normalisations get random statistics, so that folding them has something to
do. The last reads Google's uint8 weights from ``../shared/data/weights`` beside the checkout (its README says how).
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: EfficientNet-B0 (Tan and Le 2019, table 1): expand ratio, output channels, blocks, stride, kernel.
EFFICIENTNET_B0 = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)


def resnet18() -> nn.Module:
    """ResNet-18 (He et al. 2015, table 1)."""
    stages: list[nn.Module] = []
    in_c = 64
    for out_c, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        stages += [BasicBlock(in_c, out_c, stride), BasicBlock(out_c, out_c, 1)]
        in_c = out_c
    stem = [*conv(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    return nn.Sequential(*stem, *stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000))


def efficientnet_b0() -> nn.Module:
    """EfficientNet-B0 with squeeze-excite and SiLU."""
    blocks: list[nn.Module] = []
    in_c = 32
    for expand, out_c, count, stride, kernel in EFFICIENTNET_B0:
        for index in range(count):
            blocks.append(MbConv(in_c, out_c, expand, stride if index == 0 else 1, kernel))
            in_c = out_c
    head = [*conv(in_c, 1280, 1, 1), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 1000)]
    return nn.Sequential(*conv(3, 32, 3, 2), nn.SiLU(), *blocks, *head)


class VitTiny(nn.Module):
    """ViT-Tiny/16 (Touvron et al. 2021): twelve blocks of width 192 with three heads."""

    def __init__(self, width: int = 192, heads: int = 3, depth: int = 12, resolution: int = 224) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 16, 16)
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.places = nn.Parameter(0.02 * torch.randn(1, (resolution // 16) ** 2 + 1, width))
        self.blocks = nn.Sequential(*(VitBlock(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 1000)

    def forward(self, image: Tensor) -> Tensor:
        """``[1, 3, r, r]`` to ``[1, 1000]``."""
        x = torch.cat((self.token, self.patches(image).flatten(2).transpose(1, 2)), 1) + self.places
        return self.head(self.norm(self.blocks(x))[:, 0])


class MobileNetV3Minimalistic(nn.Module):
    """MobileNetV3-Large minimalistic with Google's ImageNet weights: 3x3 kernels, ReLU, TensorFlow's padding."""

    def __init__(self, weights: Path) -> None:
        super().__init__()
        self.layers = json.loads((weights / "mobilenetv3_large_minimalistic_layers.json").read_text())
        stored = np.load(weights / "mobilenetv3_large_minimalistic_uint8.npz")
        self.convolutions = nn.ModuleList()
        for layer in self.layers:
            name, in_c, out_c = layer["name"], layer["in_c"], layer["out_c"]
            weight_scale, weight_zero, bias_scale = stored[f"{name}.qparams"]
            groups = in_c if layer["op"] == "dwconv" else 1
            module = nn.Conv2d(in_c, out_c, layer["k"], layer["stride"], groups=groups)
            weight = (stored[f"{name}.weight_q"].astype(np.float64) - weight_zero) * weight_scale
            module.weight.data = torch.from_numpy(weight).float()
            module.bias.data = torch.from_numpy(stored[f"{name}.bias_q"] * bias_scale).float()
            self.convolutions.append(module)

    def forward(self, image: Tensor) -> Tensor:
        """``[1, 3, 224, 224]``, ``(pixel - 128) / 127`` nearly, to ``[1, 1001]``; output 0 is the background."""
        x = entry = image
        last = ""
        for layer, module in zip(self.layers, self.convolutions):
            block, _, part = layer["name"].partition(".")
            if block == "Conv_2":
                x = x.mean((2, 3), keepdim=True)
            if part in ("expand", "depthwise") and block != last:
                entry = x  # a block begins
            last = block
            x = module(same_padding(x, layer["k"], layer["stride"]))
            if layer["act"] == "relu":
                x = F.relu(x)
            if part == "project" and entry.shape == x.shape:
                x = x + entry
        return x.flatten(1)


def same_padding(x: Tensor, kernel: int, stride: int) -> Tensor:
    """TensorFlow's: as many output pixels as strides fit in, the odd pixel to the right and below."""
    height, width = (max(0, (-(-size // stride) - 1) * stride + kernel - size) for size in x.shape[2:])
    if not height and not width:
        return x
    return F.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, in_c: int, out_c: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*conv(in_c, out_c, 3, stride), nn.ReLU(), *conv(out_c, out_c, 3, 1))
        self.shortcut = nn.Sequential(*(conv(in_c, out_c, 1, stride) if stride > 1 or in_c != out_c else ()))

    def forward(self, x: Tensor) -> Tensor:
        """The block's output."""
        return F.relu(self.body(x) + self.shortcut(x))


class MbConv(nn.Module):
    """Inverted residual with squeeze-excite."""

    def __init__(self, in_c: int, out_c: int, expand: int, stride: int, kernel: int) -> None:
        super().__init__()
        middle = in_c * expand
        wider = [*conv(in_c, middle, 1, 1), nn.SiLU()] if expand > 1 else []
        self.wide = nn.Sequential(*wider, *conv(middle, middle, kernel, stride, middle), nn.SiLU())
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(middle, in_c // 4, 1),
            nn.SiLU(),
            nn.Conv2d(in_c // 4, middle, 1),
            nn.Sigmoid(),
        )
        self.narrow = nn.Sequential(*conv(middle, out_c, 1, 1))
        self.residual = stride == 1 and in_c == out_c

    def forward(self, x: Tensor) -> Tensor:
        """The block's output."""
        wide = self.wide(x)
        out = self.narrow(wide * self.gate(wide))
        return x + out if self.residual else out


class VitBlock(nn.Module):
    """Attention and a perceptron, each after a normalisation and beside a shortcut."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """``[1, tokens, width]`` to the same."""
        _, tokens, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).reshape(1, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        scores = (q @ k.transpose(2, 3) * (width // self.heads) ** -0.5).softmax(3)
        x = x + self.out((scores @ v).transpose(1, 2).reshape(1, tokens, width))
        return x + self.mlp(self.norm2(x))


def conv(in_c: int, out_c: int, kernel: int, stride: int, groups: int = 1) -> list[nn.Module]:
    """Convolution and batch normalisation."""
    return [nn.Conv2d(in_c, out_c, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(out_c)]


def randomise(network: nn.Module, seed: int) -> nn.Module:
    """Seeded statistics for every batch normalisation; in evaluation mode."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            size = module.num_features
            module.running_mean = 0.1 * torch.randn(size, generator=generator)
            module.running_var = 0.5 + torch.rand(size, generator=generator)
            module.weight.data = 0.8 + 0.4 * torch.rand(size, generator=generator)
            module.bias.data = 0.1 * torch.randn(size, generator=generator)
    return network.eval()
