"""One layer of a network, described without torch: the single source for costs, features, keys and kernels."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

#: The operators a network is made of.
#: ``conv``: convolution with folded batch norm (or its own bias) and activation, padding ``kernel // 2``;
#: ``pool``: global average over height and width; ``scale``: first input times a per-channel second input;
#: ``add``: sum of two inputs of one shape; ``linear``: matrix times a vector, with bias.
OPS = ("conv", "pool", "scale", "add", "linear")
ACTIVATIONS = ("none", "relu", "hswish", "hsigmoid")
#: Operators of published networks that nothing here runs, either; each has one input. ``avg_pool``: average of the
#: image's pixels in a window ``kernel`` wide, padding ``(kernel - 1) // 2``; ``relu``: after batch norm where there is
#: one; ``zero``: zeros of the input's shape.
DESCRIBED_OPS = ("avg_pool", "relu", "zero")
#: An activation of published networks that nothing here runs: it is described for their costs and latencies.
RELU6 = "relu6"
#: The name by which a layer refers to the image that enters the network.
INPUT = "input"


@dataclass(frozen=True)
class Layer:
    """One operator with its shapes. Names are unique in a network and list order is an order of execution.

    Attributes:
        name: path of the layer in the extracted module, for instance ``blocks.3.depth_conv``. Its folded weights are
            ``<name>.weight`` (conv: ``[out_c, in_c / groups, kernel, kernel]``, linear: ``[out_c, in_c]``) and
            ``<name>.bias`` (``[out_c]``).
        op: one of :data:`OPS`, or of :data:`DESCRIBED_OPS` in networks that are not built.
        inputs: names of the layers whose outputs enter, or :data:`INPUT`.
        in_c, in_h, in_w, out_c, out_h, out_w: shape of the first input and of the output, in elements.
        kernel, stride, groups: of a conv; ``groups == in_c`` is a depthwise convolution.
        activation: one of :data:`ACTIVATIONS`, applied to the output; :data:`RELU6` in networks that are not built.
        batch_norm: the trained layer had batch norm (two parameters a channel) folded into weight and bias here.
        bias: the trained layer has a bias of its own.
        block: index of the block the layer belongs to; -1 for stem and head.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    in_c: int
    in_h: int
    in_w: int
    out_c: int
    out_h: int
    out_w: int
    kernel: int = 1
    stride: int = 1
    groups: int = 1
    activation: str = "none"
    batch_norm: bool = False
    bias: bool = False
    block: int = -1

    @property
    def is_depthwise(self) -> bool:
        """Whether each channel is convolved on its own."""
        return self.op == "conv" and self.groups == self.in_c and self.groups > 1

    @property
    def has_weights(self) -> bool:
        """Whether ``<name>.weight`` and ``<name>.bias`` exist."""
        return self.op in ("conv", "linear")

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """Shape of the folded weight; empty for operators without weights."""
        if self.op == "conv":
            return (self.out_c, self.in_c // self.groups, self.kernel, self.kernel)
        if self.op == "linear":
            return (self.out_c, self.in_c)
        return ()

    @property
    def macs(self) -> int:
        """Multiply-accumulates of convolutions and matrix products; other operators count none, as in the field."""
        if self.op == "conv":
            return self.out_h * self.out_w * self.out_c * (self.in_c // self.groups) * self.kernel**2
        if self.op == "linear":
            return self.in_c * self.out_c
        return 0

    @property
    def params(self) -> int:
        """Trained parameters before folding: weight, own bias, scale and shift of batch norm."""
        if not self.has_weights:
            return 2 * self.out_c * int(self.batch_norm)
        count = 1
        for size in self.weight_shape:
            count *= size
        return count + self.out_c * (int(self.bias) + 2 * int(self.batch_norm))

    @property
    def out_elements(self) -> int:
        """Elements of the output of one image."""
        return self.out_c * self.out_h * self.out_w

    def workload(self) -> dict[str, Any]:
        """What a kernel for this layer depends on: everything but its place in the network. JSON-ready."""
        fields = asdict(self)
        for place in ("name", "inputs", "block", "batch_norm", "bias"):
            del fields[place]
        return fields
