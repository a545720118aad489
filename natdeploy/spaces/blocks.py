"""A network as the blocks whose latencies lookup tables publish: inverted residuals and what stands around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from natdeploy.spaces.layer import Layer

#: ``mbconv`` is a whole inverted residual (expand, depthwise, squeeze-excite, project, add).
BLOCK_OPS = ("conv", "mbconv", "pool", "linear")


@dataclass(frozen=True)
class Block:
    """Shape of one block.

    Attributes:
        op: one of :data:`BLOCK_OPS`.
        in_h, in_w, in_c, out_h, out_w, out_c: shapes of input and output, in elements.
        mid_c: channels of an mbconv's depthwise convolution; else 0.
        kernel, stride: of a conv, or of an mbconv's depthwise convolution; else 1.
        skip, se: whether an mbconv adds its input, and has squeeze-excite.
        hswish: whether an mbconv's activation is h-swish; None where that is not known, and for other blocks.
    """

    op: str
    in_h: int
    in_w: int
    in_c: int
    out_h: int
    out_w: int
    out_c: int
    mid_c: int = 0
    kernel: int = 1
    stride: int = 1
    skip: bool = False
    se: bool = False
    hswish: bool | None = None

    def __str__(self) -> str:
        text = f"{self.op} {self.in_h}x{self.in_w}x{self.in_c} to {self.out_h}x{self.out_w}x{self.out_c}"
        if self.op == "mbconv":
            text += f" ({self.mid_c} channels within{', squeeze-excite' if self.se else ''})"
        return text + (f", kernel {self.kernel}, stride {self.stride}" if self.op in ("conv", "mbconv") else "")

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def blocks(layers: Sequence[Layer]) -> tuple[Block, ...]:
    """Blocks of a network in order. Layers of one ``block`` number belong together, others stand alone.

    Raises ValueError for a lone layer that is no conv, pool or linear.
    """
    found = []
    for (_, inside), group in groupby(layers, key=lambda layer: (layer.block, layer.block >= 0 or layer.name)):
        members = list(group)
        found.append(_residual(members) if inside is True else _lone(members[0]))
    return tuple(found)


def _lone(layer: Layer) -> Block:
    if layer.op not in BLOCK_OPS:
        raise ValueError(f"layer {layer.name!r}: a lone {layer.op} is no block")
    shape = (layer.in_h, layer.in_w, layer.in_c, layer.out_h, layer.out_w, layer.out_c)
    return Block(layer.op, *shape, kernel=layer.kernel, stride=layer.stride)


def _residual(layers: Sequence[Layer]) -> Block:
    first, last = layers[0], layers[-1]
    depthwise = next(layer for layer in layers if layer.is_depthwise)
    return Block(
        "mbconv",
        *(first.in_h, first.in_w, first.in_c, last.out_h, last.out_w, last.out_c),
        mid_c=depthwise.in_c,
        kernel=depthwise.kernel,
        stride=depthwise.stride,
        skip=last.op == "add",
        se=any(layer.op == "scale" for layer in layers),
        hswish=depthwise.activation == "hswish",
    )
