"""Whether a network's layers make sense together, before anything is built from them."""

from __future__ import annotations

from natdeploy.ground.errors import BadInput
from natdeploy.spaces import INPUT, Layer, Network
from natdeploy.spaces.layer import ACTIVATIONS, OPS

_INPUTS = {"conv": 1, "pool": 1, "linear": 1, "scale": 2, "add": 2}


def check_network(network: Network) -> None:
    """Raise BadInput naming the layer and field at fault; a network that passes can be built."""
    if not network.layers:
        raise BadInput("network: it has no layers")
    first = network.layers[0]
    shapes = {INPUT: (first.in_c, first.in_h, first.in_w)}
    for layer in network.layers:
        if layer.name in shapes:
            raise BadInput(f"network: two layers are named {layer.name!r}")
        _check_layer(layer, shapes)
        shapes[layer.name] = (layer.out_c, layer.out_h, layer.out_w)
    if (last := network.layers[-1]).out_h * last.out_w != 1:
        raise BadInput(f"layer {last.name!r}: the last layer must give a vector, not a {last.out_h}x{last.out_w} map")


def _check_layer(layer: Layer, shapes: dict[str, tuple[int, int, int]]) -> None:
    def refuse(field: str, expected: object) -> None:
        raise BadInput(f"layer {layer.name!r}: {field} is {getattr(layer, field)!r}, expected {expected}")

    if layer.op not in OPS:
        refuse("op", f"one of {', '.join(OPS)}")
    if layer.activation not in ACTIVATIONS or (layer.activation != "none" and layer.op != "conv"):
        refuse("activation", f"one of {', '.join(ACTIVATIONS)} of a conv")
    if len(layer.inputs) != _INPUTS[layer.op] or any(name not in shapes for name in layer.inputs):
        refuse("inputs", f"{_INPUTS[layer.op]} names of earlier layers")
    entry = (layer.in_c, layer.in_h, layer.in_w)
    if min(*entry, layer.out_c) < 1 or shapes[layer.inputs[0]] != entry:
        raise BadInput(
            f"layer {layer.name!r}: its input is {entry}, but {layer.inputs[0]!r} gives {shapes[layer.inputs[0]]}"
        )
    out = (layer.out_c, layer.out_h, layer.out_w)
    expected: tuple[int, ...] = entry
    if layer.op == "conv":
        if layer.kernel < 1 or layer.kernel % 2 == 0:
            refuse("kernel", "an odd number of pixels")
        if layer.stride < 1:
            refuse("stride", "1 or more")
        if layer.groups < 1 or layer.in_c % layer.groups or layer.out_c % layer.groups:
            refuse("groups", "a divisor of in_c and out_c")
        expected = (layer.out_c, (layer.in_h - 1) // layer.stride + 1, (layer.in_w - 1) // layer.stride + 1)
    elif layer.op == "pool":
        expected = (layer.in_c, 1, 1)
    elif layer.op == "linear":
        expected = (layer.out_c, 1, 1)
        if entry[1:] != (1, 1):
            refuse("in_h", "1: a linear layer takes a vector")
    if out != expected:
        raise BadInput(f"layer {layer.name!r}: its output is {out}, expected {expected}")
    if layer.op in ("scale", "add"):
        second = (layer.in_c, 1, 1) if layer.op == "scale" else entry
        if shapes[layer.inputs[1]] != second:
            raise BadInput(f"layer {layer.name!r}: its second input is {shapes[layer.inputs[1]]}, expected {second}")
