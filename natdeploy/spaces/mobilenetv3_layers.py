"""From a MobileNetV3 architecture to its list of layers (Howard et al. 2019, as built by Once-for-All)."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from natdeploy.spaces.layer import INPUT, Layer


@dataclass(frozen=True, kw_only=True)
class MobileNetV3Shape:
    """What all networks of a MobileNetV3 space have in common.

    Attributes:
        stem_c: channels of the stem and of the fixed first block.
        stage_c, stage_stride, stage_act, stage_se: per stage: output channels, stride of its first block,
            activation, whether its blocks have squeeze-excite.
        final_c, feature_c: channels of the last convolution and of the feature mix before the classifier.
    """

    stem_c: int
    stage_c: tuple[int, ...]
    final_c: int
    feature_c: int
    stage_stride: tuple[int, ...] = (2, 2, 2, 1, 2)
    stage_act: tuple[str, ...] = ("relu", "relu", "hswish", "hswish", "hswish")
    stage_se: tuple[bool, ...] = (False, True, False, True, True)


def make_divisible(value: float, divisor: int = 8) -> int:
    """Round channels to a multiple of ``divisor``, never more than 10 % down (MobileNet's own rule)."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


def squeeze_channels(channels: int) -> int:
    """Channels between the two convolutions of a squeeze-excite."""
    return make_divisible(channels // 4)


def mobilenetv3_layers(
    shape: MobileNetV3Shape,
    stages: tuple[tuple[tuple[int, int], ...], ...],
    resolution: int,
    num_classes: int,
) -> tuple[Layer, ...]:
    """Layers of a network whose stages hold ``(kernel, expand)`` blocks; names are the extracted module's paths."""
    net = NetworkBuilder(c=3, h=resolution, w=resolution)
    net.conv("first_conv", shape.stem_c, kernel=3, stride=2, activation="hswish")
    net.block(shape.stem_c, kernel=3, expand=1, stride=1, activation="relu", squeeze=False)
    for index, blocks in enumerate(stages):
        for place, (kernel, expand) in enumerate(blocks):
            net.block(
                shape.stage_c[index],
                kernel=kernel,
                expand=expand,
                stride=shape.stage_stride[index] if place == 0 else 1,
                activation=shape.stage_act[index],
                squeeze=shape.stage_se[index],
            )
    net.index = -1
    net.conv("final_expand_layer", shape.final_c, activation="hswish")
    net.pool("global_pool")
    net.conv("feature_mix_layer", shape.feature_c, activation="hswish", batch_norm=False)
    net.linear("classifier", num_classes)
    return tuple(net.layers)


@dataclass
class NetworkBuilder:
    """Appends layers while it follows the shape of the current activation."""

    c: int
    h: int
    w: int
    last: str = INPUT
    index: int = -1
    next_block: int = 0
    layers: list[Layer] = field(default_factory=list)

    def _append(self, layer: Layer) -> None:
        self.layers.append(layer)
        self.last, self.c, self.h, self.w = layer.name, layer.out_c, layer.out_h, layer.out_w

    def conv(
        self,
        name: str,
        out_c: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        activation: str = "none",
        batch_norm: bool = True,
        bias: bool = False,
    ) -> None:
        """A convolution with padding ``kernel // 2``."""
        out_h, out_w = (self.h - 1) // stride + 1, (self.w - 1) // stride + 1
        shape = (self.c, self.h, self.w, out_c, out_h, out_w, kernel, stride, groups, activation, batch_norm, bias)
        self._append(Layer(name, "conv", (self.last,), *shape, self.index))

    def pool(self, name: str) -> None:
        """The global average."""
        self._append(Layer(name, "pool", (self.last,), self.c, self.h, self.w, self.c, 1, 1, block=self.index))

    def linear(self, name: str, out_c: int) -> None:
        """A linear layer with bias."""
        self._append(Layer(name, "linear", (self.last,), self.c, 1, 1, out_c, 1, 1, bias=True, block=self.index))

    def block(self, out_c: int, *, kernel: int, expand: int, stride: int, activation: str, squeeze: bool) -> None:
        """An inverted-residual block: expand, depthwise, squeeze-excite, project, add."""
        # whole numbers of one type: 5, 5.0 and numpy's 5 are one key of the cache
        entry = (self.last, int(self.c), int(self.h), int(self.w))
        choices = (int(out_c), int(kernel), int(expand), int(stride))
        layers = _block_layers(entry, self.next_block, *choices, activation, squeeze)
        self.layers.extend(layers)
        end = layers[-1]
        self.last, self.c, self.h, self.w = end.name, end.out_c, end.out_h, end.out_w
        self.index, self.next_block = self.next_block, self.next_block + 1

    def _block(self, out_c: int, kernel: int, expand: int, stride: int, activation: str, squeeze: bool) -> None:
        path = f"blocks.{self.index}"
        entry, in_c, middle = self.last, self.c, make_divisible(self.c * expand)
        if expand != 1:
            self.conv(f"{path}.inverted_bottleneck", middle, activation=activation)
        self.conv(f"{path}.depth_conv", middle, kernel=kernel, stride=stride, groups=middle, activation=activation)
        if squeeze:
            self._squeeze_excite(path)
        self.conv(f"{path}.point_linear", out_c)
        if stride == 1 and in_c == out_c:
            self.join(f"{path}.shortcut", "add", (self.last, entry))

    def _squeeze_excite(self, path: str) -> None:
        features, c, h, w = self.last, self.c, self.h, self.w
        self.pool(f"{path}.se.pool")
        self.conv(f"{path}.se.reduce", squeeze_channels(c), activation="relu", batch_norm=False, bias=True)
        self.conv(f"{path}.se.expand", c, activation="hsigmoid", batch_norm=False, bias=True)
        gate, self.c, self.h, self.w = self.last, c, h, w
        self.join(f"{path}.se.scale", "scale", (features, gate))

    def join(self, name: str, op: str, inputs: tuple[str, ...]) -> None:
        """An operator whose inputs and output have the current shape, and so has what comes next."""
        shape = (self.c, self.h, self.w, self.c, self.h, self.w)
        self._append(Layer(name, op, inputs, *shape, block=self.index))

    def avg_pool(self, name: str, *, kernel: int, stride: int = 1) -> None:
        """The average of a window."""
        out_h, out_w = (self.h - 1) // stride + 1, (self.w - 1) // stride + 1
        shape = (self.c, self.h, self.w, self.c, out_h, out_w, kernel, stride)
        self._append(Layer(name, "avg_pool", (self.last,), *shape, block=self.index))

    def relu(self, name: str, *, batch_norm: bool = False) -> None:
        """An activation that no convolution precedes."""
        shape = (self.c, self.h, self.w, self.c, self.h, self.w)
        self._append(Layer(name, "relu", (self.last,), *shape, batch_norm=batch_norm, block=self.index))


@lru_cache(maxsize=65_536)
def _block_layers(
    entry: tuple[str, int, int, int],
    index: int,
    out_c: int,
    kernel: int,
    expand: int,
    stride: int,
    activation: str,
    squeeze: bool,
) -> tuple[Layer, ...]:
    """Layers of a block behind a layer of that name and shape: a search's thousands of networks share few of them."""
    last, c, h, w = entry
    net = NetworkBuilder(c, h, w, last, index)
    net._block(out_c, kernel, expand, stride, activation, squeeze)
    return tuple(net.layers)
