"""A network ready to be compiled: layers, and one folded weight and bias for each that has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from natdeploy.ground.errors import BadInput
from natdeploy.spaces.layer import Layer


@dataclass(frozen=True)
class Network:
    """Layers in order of execution and their float32 weights (see :class:`Layer` for names and shapes).

    The input is one image ``[1, in_c, in_h, in_w]``, normalised; the output is ``[1, num_classes]`` logits.
    """

    layers: tuple[Layer, ...]
    weights: Mapping[str, np.ndarray]

    def __post_init__(self) -> None:
        for layer in self.layers:
            if not layer.has_weights:
                continue
            for name, shape in ((f"{layer.name}.weight", layer.weight_shape), (f"{layer.name}.bias", (layer.out_c,))):
                if name not in self.weights:
                    raise BadInput(f"network: weights of {name!r} are missing")
                found = self.weights[name]
                if found.shape != shape or found.dtype != np.float32:
                    raise BadInput(
                        f"network: {name!r} is {found.dtype}{list(found.shape)}, expected float32{list(shape)}"
                    )

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """``[1, channels, height, width]``."""
        first = self.layers[0]
        return (1, first.in_c, first.in_h, first.in_w)

    @property
    def output_shape(self) -> tuple[int, int]:
        """``[1, num_classes]``."""
        return (1, self.layers[-1].out_c)


def random_network(layers: Sequence[Layer], seed: int = 0) -> Network:
    """A network with random weights, scaled so that activations keep their size (He et al. 2015).

    Latency does not depend on the values of weights as long as no activation is denormal, so this is what is timed.
    """
    rng = np.random.default_rng(seed)
    weights: dict[str, np.ndarray] = {}
    for layer in layers:
        if layer.has_weights:
            fan_in = int(np.prod(layer.weight_shape[1:]))
            scale = np.float32(np.sqrt(2 / fan_in))
            weights[f"{layer.name}.weight"] = rng.standard_normal(layer.weight_shape, dtype=np.float32) * scale
            weights[f"{layer.name}.bias"] = rng.standard_normal(layer.out_c, dtype=np.float32) * np.float32(0.1)
    return Network(tuple(layers), weights)
