"""A network computed by torch in float64, straight from its layers."""

import numpy as np
import torch
import torch.nn.functional as F

from natdeploy.spaces import INPUT, Layer, Network


def reference(network: Network, image: np.ndarray) -> np.ndarray:
    """Logits ``[1, classes]`` of an image ``[1, c, h, w]``."""
    torch.set_num_threads(1)  # on a busy machine, threads that wait for each other take many times longer
    values = {INPUT: torch.from_numpy(image).double()}
    for layer in network.layers:
        inputs = [values[name] for name in layer.inputs]
        weights = [
            torch.from_numpy(network.weights[f"{layer.name}.{part}"]).double()
            for part in ("weight", "bias")
            if layer.has_weights
        ]
        values[layer.name] = _activate(_apply(layer, inputs, weights), layer.activation)
    return values[network.layers[-1].name].flatten(1).numpy()


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference, relative to the largest value."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def _apply(layer: Layer, inputs: list[torch.Tensor], weights: list[torch.Tensor]) -> torch.Tensor:
    if layer.op == "conv":
        return F.conv2d(inputs[0], *weights, stride=layer.stride, padding=layer.kernel // 2, groups=layer.groups)
    if layer.op == "linear":
        return F.linear(inputs[0].flatten(1), *weights)[:, :, None, None]
    if layer.op == "pool":
        return inputs[0].mean((2, 3), keepdim=True)
    return inputs[0] * inputs[1] if layer.op == "scale" else inputs[0] + inputs[1]


def _activate(x: torch.Tensor, activation: str) -> torch.Tensor:
    if activation == "relu":
        return x.relu()
    gate = F.relu6(x + 3) / 6
    return {"none": x, "hsigmoid": gate, "hswish": x * gate}[activation]
