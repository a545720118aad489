"""Layers of a block that a published table has, so that a table's blocks can be reckoned like networks."""

from __future__ import annotations

from natdeploy.spaces import Block, Layer
from natdeploy.spaces.mobilenetv3_layers import squeeze_channels


def block_layers(block: Block) -> tuple[Layer, ...]:
    """Layers of a block in order; inverse of :func:`natdeploy.spaces.blocks` but for names."""
    if block.op != "mbconv":
        shape = (block.in_c, block.in_h, block.in_w, block.out_c, block.out_h, block.out_w)
        return (Layer(block.op, block.op, ("input",), *shape, block.kernel, block.stride),)
    wide, narrow = (block.mid_c, block.in_h, block.in_w), (block.mid_c, block.out_h, block.out_w)
    out, vector = (block.out_c, block.out_h, block.out_w), (block.mid_c, 1, 1)
    activation = "hswish" if block.hswish else "relu"
    found = []
    if block.mid_c != block.in_c:
        entry = (block.in_c, block.in_h, block.in_w)
        found.append(Layer("expand", "conv", ("input",), *entry, *wide, activation=activation, block=0))
    convolution = (block.kernel, block.stride, block.mid_c)
    found.append(Layer("depthwise", "conv", ("expand",), *wide, *narrow, *convolution, activation, block=0))
    if block.se:
        squeezed = (squeeze_channels(block.mid_c), 1, 1)
        found += [
            Layer("pool", "pool", ("depthwise",), *narrow, *vector, block=0),
            Layer("reduce", "conv", ("pool",), *vector, *squeezed, activation="relu", block=0),
            Layer("gate", "conv", ("reduce",), *squeezed, *vector, activation="hsigmoid", block=0),
            Layer("scale", "scale", ("depthwise", "gate"), *narrow, *narrow, block=0),
        ]
    found.append(Layer("project", "conv", (found[-1].name,), *narrow, *out, block=0))
    if block.skip:
        found.append(Layer("add", "add", ("project", "input"), *out, *out, block=0))
    return tuple(found)
