"""What a latency predictor knows of a network: sums over its layers, taken from ``layers(arch)`` alone.

Every feature but the resolution is a sum over layers of something that depends on the layer's workload only, so a
network's features are the sum of its blocks' features. :mod:`natdeploy.latency.inputs.gene_sums` makes use of that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache, lru_cache

import numpy as np

from natdeploy.spaces import Layer

#: Bytes of one float32 element.
ELEMENT_BYTES = 4
#: Kinds of layers that run at rates of their own.
KINDS = (
    "spatial",  # convolution over channels and positions (the stem)
    "dense",  # 1 x 1 convolution of a feature map
    "grouped",
    "depthwise_k3",
    "depthwise_k5",
    "depthwise_k7",
    "depthwise_other",
    "vector",  # a matrix times one vector: classifier, squeeze-excite, feature mix
    "pool",
    "scale",
    "add",
)
#: Downsampling levels: level ``i`` is a feature map 2^i times smaller than the image; the last takes all smaller ones.
LEVELS = 6
#: Upper ends of the ranges of input channels over which dense MACs are split: short sums run less efficiently.
CHANNEL_RANGES = (32, 96, 256)
#: Lanes to which vector code rounds channels up.
LANES = (8, 16)


@cache
def feature_names() -> tuple[str, ...]:
    """Names of the columns of :func:`features`, in order."""
    ranges = (*(f"upto{limit}" for limit in CHANNEL_RANGES), "more")
    return (
        "resolution_px",
        "macs",
        "weight_bytes",
        "activation_bytes",
        "layers",
        *(f"{kind}_{what}" for kind in KINDS for what in ("layers", "macs", "read_bytes", "written_bytes", "weights")),
        *(f"level{i}_{what}" for i in range(LEVELS) for what in ("layers", "dense_macs", "depthwise_macs", "bytes")),
        *(f"{activation}_elements" for activation in ("relu", "hswish", "hsigmoid")),
        *(f"dense_macs_in_c_{name}" for name in ranges),
        *(f"dense_macs_lanes{lanes}" for lanes in LANES),
        "dense_expanding_macs",
        "dense_small_map_macs",
        "depthwise_strided_macs",
        "depthwise_padded_macs",
    )


def features(layers: Sequence[Layer]) -> np.ndarray:
    """Features of a network: float64 of shape ``[len(feature_names())]``; every entry is a whole number.

    MACs, elements, bytes of float32 read and written, and counts, each summed over all layers, over the layers of a
    kind, and over the layers of a downsampling level. Column 0 is the input's height in pixels.
    """
    total = np.zeros(len(feature_names()))
    for layer in layers:
        total += _layer_features(layer, _level(layer, layers[0].in_h))
    if layers:
        total[0] = layers[0].in_h
    return total


def _level(layer: Layer, input_h: int) -> int:
    """How many times the map that enters a layer was halved since the image."""
    return min(LEVELS - 1, max(0, round(math.log2(input_h / layer.in_h))))


def layer_kind(layer: Layer) -> str:
    """One of :data:`KINDS`."""
    if layer.op == "linear":
        return "vector"
    if layer.op != "conv":
        return layer.op
    if layer.is_depthwise:
        return f"depthwise_k{layer.kernel}" if layer.kernel in (3, 5, 7) else "depthwise_other"
    if layer.groups > 1:
        return "grouped"
    if layer.in_h * layer.in_w == 1:
        return "vector"
    return "dense" if layer.kernel == 1 else "spatial"


@lru_cache(maxsize=1 << 16)
def _layer_features(layer: Layer, level: int) -> np.ndarray:
    """Features of a network of this one layer; read-only, since it is kept."""
    kind, macs = layer_kind(layer), layer.macs
    inputs = layer.in_c * layer.in_h * layer.in_w
    outputs = layer.out_elements
    if layer.op == "add":
        inputs *= 2
    weights = math.prod(layer.weight_shape) if layer.has_weights else 0
    read, written = inputs * ELEMENT_BYTES, outputs * ELEMENT_BYTES
    sums: dict[str, float] = {
        "macs": macs,
        "weight_bytes": weights * ELEMENT_BYTES,
        "activation_bytes": read + written,
        "layers": 1,
        f"{kind}_layers": 1,
        f"{kind}_macs": macs,
        f"{kind}_read_bytes": read,
        f"{kind}_written_bytes": written,
        f"{kind}_weights": weights,
        f"level{level}_layers": 1,
        f"level{level}_bytes": read + written,
    }
    if layer.activation != "none":
        sums[f"{layer.activation}_elements"] = outputs
    if kind == "dense":
        sums |= _dense_features(layer, level)
    elif layer.is_depthwise:
        sums[f"level{level}_depthwise_macs"] = macs
        if layer.stride > 1:
            sums["depthwise_strided_macs"] = macs
        tiles = _ceil(layer.out_w, 7) * layer.out_h * _ceil(layer.out_c, LANES[-1])
        sums["depthwise_padded_macs"] = tiles * layer.kernel**2
    vector = np.zeros(len(feature_names()))
    for name, value in sums.items():
        vector[_column(name)] = value
    vector.flags.writeable = False
    return vector


def _dense_features(layer: Layer, level: int) -> dict[str, float]:
    macs, positions = layer.macs, layer.out_h * layer.out_w
    name = next((f"upto{limit}" for limit in CHANNEL_RANGES if layer.in_c <= limit), "more")
    sums: dict[str, float] = {f"level{level}_dense_macs": macs, f"dense_macs_in_c_{name}": macs}
    for lanes in LANES:
        sums[f"dense_macs_lanes{lanes}"] = positions * layer.in_c * _ceil(layer.out_c, lanes)
    if layer.out_c > layer.in_c:
        sums["dense_expanding_macs"] = macs
    if positions <= 64:
        sums["dense_small_map_macs"] = macs
    return sums


def _ceil(value: int, step: int) -> int:
    """Next multiple of ``step``."""
    return -(-value // step) * step


@cache
def _columns() -> dict[str, int]:
    return {name: index for index, name in enumerate(feature_names())}


def _column(name: str) -> int:
    return _columns()[name]
