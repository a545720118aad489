"""What a network costs before anybody runs it: MACs, parameters, peak activation memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from natdeploy.spaces.layer import INPUT, Layer


@dataclass(frozen=True)
class Costs:
    """Static costs of one image's inference.

    Attributes:
        macs: multiply-accumulates.
        params: trained parameters.
        peak_activation_bytes: largest sum of live float32 activations, input included, at any layer.
    """

    macs: int
    params: int
    peak_activation_bytes: int


def costs(layers: Sequence[Layer]) -> Costs:
    """Static costs of a network."""
    return Costs(
        macs=sum(layer.macs for layer in layers),
        params=sum(layer.params for layer in layers),
        peak_activation_bytes=peak_activation_bytes(layers),
    )


def last_uses(layers: Sequence[Layer]) -> dict[str, int]:
    """Index of the last layer that reads each tensor; the network's output lives to the end."""
    last = {name: index for index, layer in enumerate(layers) for name in layer.inputs}
    last[layers[-1].name] = len(layers)
    return last


def peak_activation_bytes(layers: Sequence[Layer], element_bytes: int = 4) -> int:
    """Largest number of bytes of activations alive at once when layers run in order, none in place."""
    last = last_uses(layers)
    ending = [0] * (len(layers) + 1)  # elements that no layer reads after this one
    alive = layers[0].in_c * layers[0].in_h * layers[0].in_w
    ending[last.get(INPUT, 0)] = alive
    peak = 0
    for index, layer in enumerate(layers):
        alive += layer.out_elements
        ending[last.get(layer.name, index)] += layer.out_elements
        peak = max(peak, alive)
        alive -= ending[index]
    return peak * element_bytes


#: What the graph takes in an ONNX file beside the weights, a layer: names, shapes, operators.
GRAPH_BYTES_PER_LAYER = 288


def file_bytes(layers: Sequence[Layer]) -> int:
    """Size of ``model.onnx``, which holds folded weights in float32; exact but for the graph, within a percent."""
    weights = sum(prod(layer.weight_shape) + layer.out_c for layer in layers if layer.has_weights)
    return 4 * weights + GRAPH_BYTES_PER_LAYER * len(layers)
