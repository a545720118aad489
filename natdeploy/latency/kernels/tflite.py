"""Kernels that TFLite's GPU delegate makes of a network's layers, described as its published timings describe them.

What the published lists of kernels (Li et al., EdgeSys 2024) show of the runtime: an activation is computed by the
kernel before it, and so is a sum, by the convolution that runs just before. A gate of a hard sigmoid is called ``relu``
and ``mul``. Convolutions of vectors have a kernel of their own; those of 3 x 3 pixels are Winograd's from some size on.
What stands alone and computes number by number (a squeeze-excite's multiplication) is in no list: whole networks tell
whether it takes as long as a copy, or nothing beside the kernel whose output it reads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from natdeploy.ground.errors import BadInput
from natdeploy.spaces import Layer

#: What is called so in the names of kernels, by activation of a layer.
WORDS: dict[str, tuple[str, ...]] = {
    "none": (),
    "relu": ("relu",),
    "relu6": ("relu",),
    "hswish": ("hard_swish",),
    "hsigmoid": ("relu", "mul"),
}
#: The operator that a copy is priced as.
COPY = "CONCATENATION"


@dataclass(frozen=True)
class KernelRules:
    """What differs between devices.

    Attributes:
        winograd: input channels, output channels and pixels across from which on convolutions are Winograd's; None
            where none is.
        copies: whether lone elementwise operators take as long as copies; else they take nothing of their own.
    """

    winograd: tuple[int, int, int] | None
    copies: bool

    def __str__(self) -> str:
        lone = "lone elementwise operators as copies" if self.copies else "lone elementwise ones into what they read"
        return f"layers joined as TFLite's published lists show: activations and sums into convolutions, {lone}"


@dataclass(frozen=True)
class RuntimeKernel:
    """One kernel.

    Attributes:
        what: as published timings describe it.
        layers: names of the layers that it computes.
    """

    what: Mapping[str, Any]
    layers: tuple[str, ...]

    @property
    def operation(self) -> str:
        """The runtime's name of its first operator."""
        return str(self.what["operation"])

    def joined(self, layer: str) -> RuntimeKernel:
        """With one more layer, which takes nothing of its own."""
        return replace(self, layers=(*self.layers, layer))


def described(
    name: str, operation: str, called: str, feature: Mapping[str, Any], linked: Sequence[str] = ()
) -> RuntimeKernel:
    """A kernel of a layer, called after what it computes, and with what is linked to it."""
    words = "".join(f"_linked_:_{word}" for word in linked)
    what = {"model": name, "operation": operation, "kernel": f"{called}{words}", "feature": dict(feature)}
    return RuntimeKernel(what, (name,))


def convolution(layer: Layer, linked: Sequence[str], rules: KernelRules) -> RuntimeKernel:
    """A convolution of any kind."""
    size, written = (float(np.sqrt(h * w)) for h, w in ((layer.in_h, layer.in_w), (layer.out_h, layer.out_w)))
    shape: dict[str, float] = {
        "output_shape": written,
        "stride": layer.stride,
        "kernel": layer.kernel,
        "input_channel": layer.in_c,
    }
    if layer.is_depthwise and layer.out_c == layer.in_c:
        # The lists have the shape after padding, which TFLite's converters make an operator of its own.
        shape |= {"input_shape": size + 2 * (layer.kernel // 2), "filter": 1, "group": 1}
        return described(layer.name, "DEPTHWISE_CONV_2D", "depthwise_convolution", shape, linked)
    shape |= {"input_shape": size, "filter": layer.out_c, "group": layer.groups}
    if layer.groups > 1:
        return described(layer.name, "CONV_2D_GROUP", "convolution_2d_grouped", shape, linked)
    called = "convolution_2d"
    if size == written == 1:
        called = "fully_connected"
    elif (layer.kernel, layer.stride) == (3, 1) and _reaches((layer.in_c, layer.out_c, written), rules):
        called, linked = "convolution_winograd_4x4_6x6", ()  # what follows is computed where its result is turned back
    return described(layer.name, "CONV_2D", called, shape, linked)


def _reaches(sizes: Sequence[float], rules: KernelRules) -> bool:
    return rules.winograd is not None and all(size >= least for size, least in zip(sizes, rules.winograd))


def product(name: str, in_c: int, out_c: int, linked: Sequence[str] = ()) -> RuntimeKernel:
    """A matrix times a vector."""
    absent = dict.fromkeys(("input_shape", "output_shape", "stride", "kernel", "group"), "-")
    shape = {**absent, "input_channel": in_c, "filter": out_c}
    return described(name, "FULLY_CONNECTED", "fully_connected", shape, linked)


def mean(name: str, channels: int, size: float) -> RuntimeKernel:
    """The average over a map."""
    absent = dict.fromkeys(("stride", "filter", "group"), "-")
    shape = {"input_shape": size, "input_channel": channels, "output_shape": channels, "kernel": 1}
    return described(name, "MEAN", "mean", {**absent, **shape})


def pool(
    name: str, operation: str, channels: int, in_size: float, out_size: float, window: int, linked: Sequence[str] = ()
) -> RuntimeKernel:
    """An average or a maximum over windows, ``AVERAGE_POOL_2D`` or ``MAX_POOL_2D``."""
    shape = {"input_shape": in_size, "input_channel": channels, "output_shape": out_size, "kernel": window}
    stride = max(round(in_size / out_size), 1)
    return described(name, operation, "pooling_2d", {**shape, "stride": stride, "filter": "-", "group": "-"}, linked)


def joined_maps(name: str, first_c: int, out_c: int, size: float, inputs: int) -> RuntimeKernel:
    """Maps one behind the other."""
    shape = {"input_shape": size, "input_channel": first_c, "output_shape": size, "kernel": inputs, "filter": out_c}
    return described(name, COPY, "concat", {**shape, "stride": "-", "group": "-"})


def copy(name: str, channels: int, size: float) -> RuntimeKernel:
    """What reads a map and writes one of the same size."""
    return joined_maps(name, channels, channels, size, 2)


def kernels_of_layers(layers: Sequence[Layer], rules: KernelRules) -> list[RuntimeKernel]:
    """Kernels of a network of a search space, in order.

    Raises BadInput naming each layer of which there is no kernel.
    """
    refuse({layer.name: f"operator {layer.op}" for layer in layers if layer.op not in (*_MAKERS, *_LONE)})
    readers = Counter(name for layer in layers for name in layer.inputs)
    place: dict[str, int] = {}
    heads: list[Layer] = []
    words: list[list[str]] = []
    members: list[list[str]] = []
    for layer in layers:
        # Of several inputs the one that was computed last is there to be worked on.
        before = max((name for name in layer.inputs if name in place), key=lambda name: place[name], default=None)
        if layer.op in _LONE and before is not None:
            at = place[before]
            linked = layer.op != "scale" and readers[before] == 1 and heads[at].op in ("conv", "linear")
            if linked or not rules.copies:
                words[at] += _linked(layer) if linked else []
                members[at].append(layer.name)
                place[layer.name] = at
                continue
        place[layer.name] = len(heads)
        heads.append(layer)
        words.append(list(WORDS[layer.activation]))
        members.append([layer.name])
    made = [_MAKERS.get(layer.op, _copy)(layer, linked, rules) for layer, linked in zip(heads, words)]
    return [replace(kernel, layers=tuple(names)) for kernel, names in zip(made, members)]


def refuse(strange: Mapping[str, str], known: Collection[str] = ()) -> None:
    """Raise BadInput naming every layer that has no kernel, by name and reason; nothing where there is none."""
    if strange:
        named = "; ".join(f"layer {name!r} ({reason})" for name, reason in strange.items())
        told = f"; known kernels: {', '.join(known)}" if known else ""
        raise BadInput(f"published kernels: there is none for {named}, and no layer takes 0 ms{told}")


#: Elementwise operators that are layers of their own.
_LONE = ("add", "relu", "scale")


def _linked(layer: Layer) -> list[str]:
    normalised = ["mul", "add"] if layer.batch_norm else []
    return [*(["add"] if layer.op == "add" else []), *normalised, *(["relu"] if layer.op == "relu" else [])]


def _size(layer: Layer) -> float:
    """Pixels across of a square map that has as many as the layer's input."""
    return float(np.sqrt(layer.in_h * layer.in_w))


def _copy(layer: Layer, linked: Sequence[str], rules: KernelRules) -> RuntimeKernel:
    return copy(layer.name, layer.out_c, _size(layer))


def _average(layer: Layer, linked: Sequence[str], rules: KernelRules) -> RuntimeKernel:
    out_size = float(np.sqrt(layer.out_h * layer.out_w))
    return pool(layer.name, "AVERAGE_POOL_2D", layer.in_c, _size(layer), out_size, layer.kernel)


_MAKERS = {
    "conv": convolution,
    "linear": lambda layer, linked, rules: product(layer.name, layer.in_c, layer.out_c, linked),
    "pool": lambda layer, linked, rules: mean(layer.name, layer.in_c, _size(layer)),
    "avg_pool": _average,
}
