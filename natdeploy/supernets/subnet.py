"""A stand-alone subnet: a plain ``nn.Module`` made from a list of layers, free of everything elastic."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from natdeploy.spaces.costs import last_uses
from natdeploy.spaces.layer import INPUT, Layer
from natdeploy.supernets.depthwise import depthwise
from natdeploy.supernets.elastic import activated


class Subnet(nn.Module):
    """Runs layers in order. Submodules sit at the layers' own paths (``blocks.3.depth_conv`` and so on).

    A convolution is a module with ``conv`` and, where the layer has batch norm, ``bn``; a linear layer is the
    ``nn.Linear`` itself. Input ``[N, 3, r, r]``, output ``[N, num_classes]``. Without gradients, activations are freed
    once no layer reads them, and an activation function overwrites what a module gave: a hook copies what it keeps.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        super().__init__()
        self.layers = tuple(layers)
        last = last_uses(self.layers)
        #: By layer: names of what it is the last one to read.
        self._last_read = [[name for name, end in last.items() if end == index] for index in range(len(self.layers))]
        for layer in self.layers:
            if layer.op == "conv":
                _place(self, layer.name, _conv_module(layer))
            elif layer.op == "linear":
                _place(self, layer.name, nn.Linear(layer.in_c, layer.out_c))

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        values = {INPUT: x}
        for index, layer in enumerate(self.layers):
            values[layer.name] = self._run(layer, *(values[name] for name in layer.inputs))
            for name in self._last_read[index]:  # its memory is the next one's, still in the processor's cache
                del values[name]
        return values[self.layers[-1].name]

    def _run(self, layer: Layer, x: Tensor, other: Tensor | None = None) -> Tensor:
        if layer.op == "conv":
            return activated(self.get_submodule(layer.name)(x), layer.activation)
        if layer.op == "pool":
            return x.mean((2, 3), keepdim=True)
        if layer.op == "linear":
            return self.get_submodule(layer.name)(torch.flatten(x, 1))
        assert other is not None
        return x * other if layer.op == "scale" else x + other


class DepthwiseConv2d(nn.Conv2d):
    """A depthwise convolution that is trained as the supernet's are, by our own code where there is some."""

    def forward(self, x: Tensor) -> Tensor:
        """Torch's own in evaluation mode, so that what is exported and compared is torch's."""
        return depthwise(x, self.weight, self.stride[0]) if self.training else super().forward(x)


def _conv_module(layer: Layer) -> nn.Sequential:
    module = nn.Sequential()
    is_depthwise = layer.groups == layer.in_c == layer.out_c and layer.groups > 1 and not layer.bias
    module.add_module(
        "conv",
        (DepthwiseConv2d if is_depthwise else nn.Conv2d)(
            layer.in_c,
            layer.out_c,
            layer.kernel,
            layer.stride,
            layer.kernel // 2,
            groups=layer.groups,
            bias=layer.bias,
        ),
    )
    if layer.batch_norm:
        module.add_module("bn", nn.BatchNorm2d(layer.out_c))
    return module


def _place(root: nn.Module, path: str, module: nn.Module) -> None:
    """Register a module below nested plain containers."""
    *parents, name = path.split(".")
    for parent in parents:
        if not hasattr(root, parent):
            root.add_module(parent, nn.Module())
        root = root.get_submodule(parent)
    root.add_module(name, module)
