"""Taking a subnet out of its supernet, and its weights out of torch."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from natdeploy.spaces.arch import Arch
from natdeploy.spaces.layer import Layer
from natdeploy.spaces.mobilenetv3_layers import squeeze_channels
from natdeploy.spaces.network import Network
from natdeploy.supernets.elastic import ElasticBlock, ElasticPointwise
from natdeploy.supernets.mobilenetv3 import MobileNetV3Supernet
from natdeploy.supernets.subnet import Subnet


def extract(supernet: MobileNetV3Supernet, arch: Arch) -> Subnet:
    """A stand-alone copy of one subnet, batch-norm statistics included, in evaluation mode.

    It gives the supernet's own outputs for that architecture; nothing is shared with the supernet afterwards. A
    supernet of another package says itself how it is done, by a method ``extract(arch)``.
    """
    if not isinstance(supernet, MobileNetV3Supernet):
        subnet: Subnet = supernet.extract(arch)
        return subnet.eval()
    layers = supernet.space.layers(arch, supernet.num_classes)
    with torch.device("meta"):
        subnet = Subnet(layers)
    state = _subnet_state(supernet, arch)
    subnet.load_state_dict({name: value.detach().clone() for name, value in state.items()}, assign=True)
    return subnet.eval()


def to_network(subnet: Subnet) -> Network:
    """Folded float32 weights of a subnet: each batch norm becomes part of the convolution before it."""
    weights: dict[str, np.ndarray] = {}
    for layer in subnet.layers:
        if layer.has_weights:
            weight, bias = _folded(layer, subnet.get_submodule(layer.name))
            weights[f"{layer.name}.weight"] = np.ascontiguousarray(weight.detach().float().numpy())
            weights[f"{layer.name}.bias"] = np.ascontiguousarray(bias.detach().float().numpy())
    return Network(subnet.layers, weights)


def _folded(layer: Layer, module: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight and bias in double precision, so that folding adds no rounding of its own."""
    conv = module if layer.op == "linear" else module.get_submodule("conv")
    assert isinstance(conv, (nn.Conv2d, nn.Linear))
    weight = conv.weight.double()
    bias = torch.zeros(layer.out_c, dtype=torch.float64) if conv.bias is None else conv.bias.double()
    if layer.batch_norm:
        bn = module.get_submodule("bn")
        assert isinstance(bn, nn.BatchNorm2d) and bn.running_mean is not None and bn.running_var is not None
        scale = bn.weight.double() / torch.sqrt(bn.running_var.double() + bn.eps)
        weight = weight * scale[:, None, None, None]
        bias = bn.bias.double() + (bias - bn.running_mean.double()) * scale
    return weight, bias


def _subnet_state(supernet: MobileNetV3Supernet, arch: Arch) -> dict[str, Tensor]:
    """The subnet's state dict: slices of the supernet's tensors under the subnet's names."""
    state: dict[str, Tensor] = {}
    for name in ("first_conv", "final_expand_layer", "feature_mix_layer", "classifier"):
        state.update({f"{name}.{key}": value for key, value in supernet.get_submodule(name).state_dict().items()})
    blocks = [(0, supernet.space.stem_c, 3), *supernet.active_blocks(arch)]
    for position, (index, middle_c, kernel) in enumerate(blocks):
        block = supernet.blocks[index]
        assert isinstance(block, ElasticBlock)
        path = f"blocks.{position}"
        if block.inverted_bottleneck is not None:
            expand = block.inverted_bottleneck
            _pointwise(state, f"{path}.inverted_bottleneck", expand, expand.conv.in_channels, middle_c)
        state[f"{path}.depth_conv.conv.weight"] = block.depth_conv.kernel_weight(middle_c, kernel)
        _batch_norm(state, f"{path}.depth_conv.bn", block.depth_conv.bn, middle_c)
        if block.se is not None:
            squeezed = block.se
            middle = squeeze_channels(middle_c)
            assert squeezed.reduce.bias is not None and squeezed.expand.bias is not None
            state[f"{path}.se.reduce.conv.weight"] = squeezed.reduce.weight[:middle, :middle_c]
            state[f"{path}.se.reduce.conv.bias"] = squeezed.reduce.bias[:middle]
            state[f"{path}.se.expand.conv.weight"] = squeezed.expand.weight[:middle_c, :middle]
            state[f"{path}.se.expand.conv.bias"] = squeezed.expand.bias[:middle_c]
        _pointwise(state, f"{path}.point_linear", block.point_linear, middle_c, block.out_c)
    return state


def _pointwise(state: dict[str, Tensor], path: str, layer: ElasticPointwise, in_c: int, out_c: int) -> None:
    state[f"{path}.conv.weight"] = layer.conv.weight[:out_c, :in_c]
    _batch_norm(state, f"{path}.bn", layer.bn, out_c)


def _batch_norm(state: dict[str, Tensor], path: str, bn: nn.BatchNorm2d, channels: int) -> None:
    for key, value in bn.state_dict().items():
        state[f"{path}.{key}"] = value if value.ndim == 0 else value[:channels]
