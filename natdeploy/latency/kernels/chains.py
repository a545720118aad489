"""Which chains of layers tell what single kernels take, and what a runtime saves by computing two layers together.

A kernel's time is that of a chain less what the rest of the chain takes by itself. Everything that gives a map is
followed by a tail (a small 1 x 1 convolution and the mean), since what is timed ends in a vector.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from natdeploy.latency.inputs.features import layer_kind
from natdeploy.latency.measured.lookup_table import workload_key
from natdeploy.spaces import INPUT, Arch, Layer, Space

Chain = tuple[Layer, ...]
#: Channels that a tail narrows a map to; networks from which kernels are drawn.
TAIL_CHANNELS, NETWORKS = 8, 200


@dataclass(frozen=True)
class Kernels:
    """What a space's networks are made of.

    Attributes:
        singles: one layer of each workload, by kind, the most frequent first.
        pairs: producers and consumers that follow each other, by their kinds, the most frequent first.
        frequency: how often a workload stands in a network, by :func:`workload_key`.
    """

    singles: dict[str, list[Layer]]
    pairs: dict[tuple[str, str], list[tuple[Layer, Layer]]]
    frequency: dict[str, float]


@dataclass(frozen=True)
class Split:
    """A chain, and the chains that its layers make without those that are asked for."""

    chain: Chain
    rest: tuple[Chain, ...]

    @property
    def chains(self) -> tuple[Chain, ...]:
        """All that has to be timed."""
        return (self.chain, *self.rest)

    @property
    def asked(self) -> tuple[Layer, ...]:
        """The layers that are asked for."""
        return tuple(layer for layer in self.chain if layer.name in ("one", "two"))


def kernels_of(space: Space, archs: Sequence[Arch], num_classes: int | None = None) -> Kernels:
    """Kernels of these networks, drawn from the space's own distribution."""
    counted: Counter[str] = Counter()
    layers: dict[str, Layer] = {}
    joints: Counter[tuple[str, str]] = Counter()
    for arch in archs:
        network = space.layers(arch, num_classes)
        for layer in network:
            counted[workload_key(layer)] += 1
            layers.setdefault(workload_key(layer), layer)
        joints.update((workload_key(first), workload_key(second)) for first, second in joined(network))
    singles: dict[str, list[Layer]] = {}
    for key, _ in counted.most_common():
        singles.setdefault(layer_kind(layers[key]), []).append(layers[key])
    pairs: dict[tuple[str, str], list[tuple[Layer, Layer]]] = {}
    for keys, _ in joints.most_common():
        first, second = (layers[key] for key in keys)
        pairs.setdefault((layer_kind(first), layer_kind(second)), []).append((first, second))
    return Kernels(singles, pairs, {key: count / len(archs) for key, count in counted.items()})


def joined(network: Sequence[Layer]) -> list[tuple[Layer, Layer]]:
    """Layers and the one reader each that could be computed together with it.

    The mean that a scale reads is joined to what it is the mean of, though that has two readers.
    """
    readers: dict[str, list[Layer]] = {}
    for layer in network:
        for name in layer.inputs:
            readers.setdefault(name, []).append(layer)
    found = []
    for layer in network:
        after = readers.get(layer.name, [])
        if len(after) == 1:
            found.append((layer, after[0]))
        elif sorted(reader.op for reader in after) == ["pool", "scale"]:
            found.append((layer, next(reader for reader in after if reader.op == "pool")))
    return found


def single_chain(layer: Layer) -> Split:
    """A chain with one kernel, and what else it is made of."""
    if layer.op == "scale":
        mean = _pool("gate", INPUT, layer.in_c, layer.in_h, layer.in_w)
        body = (mean, replace(layer, name="one", inputs=(INPUT, "gate")))
        return Split((*body, *_tail("one", layer)), (_alone(mean), _tail(INPUT, layer)))
    inputs = (INPUT, INPUT) if layer.op == "add" else (INPUT,)
    one = replace(layer, name="one", inputs=inputs)
    if layer.out_h * layer.out_w == 1:
        return Split((one,), ())
    return Split((one, *_tail("one", layer)), (_tail(INPUT, layer),))


def pair_chain(first: Layer, second: Layer) -> Split | None:
    """A chain with two layers that follow each other, and what else it is made of; None where they cannot stand alone.

    Before a sum stands a layer whose output has its input's shape: the image is the other input.
    """
    if first.op == "scale" and second.op == "conv":
        mean = _pool("gate", INPUT, first.in_c, first.in_h, first.in_w)
        one = replace(first, name="one", inputs=(INPUT, "gate"))
        two = replace(second, name="two", inputs=("one",))
        return Split((mean, one, two, *_tail("two", two)), (_alone(mean), _tail(INPUT, two)))
    if first.op in ("scale", "add") or second.op == "scale":
        return None
    if second.op == "add":
        if first.is_depthwise and first.stride > 1:
            return None
        same = {"in_c": first.out_c, "in_h": first.out_h, "in_w": first.out_w, "stride": 1}
        first = replace(first, **same)  # type: ignore[arg-type]  # all whole numbers
    one = replace(first, name="one", inputs=(INPUT,))
    two = replace(second, name="two", inputs=("one", INPUT) if second.op == "add" else ("one",))
    if two.out_h * two.out_w == 1:
        return Split((one, two), ())
    return Split((one, two, *_tail("two", two)), (_tail(INPUT, two),))


def _alone(layer: Layer) -> Chain:
    return (replace(layer, name="one"),)


def _tail(name: str, layer: Layer) -> Chain:
    """What makes a vector of a layer's map."""
    narrow = Layer(
        "tail", "conv", (name,), layer.out_c, layer.out_h, layer.out_w, TAIL_CHANNELS, layer.out_h, layer.out_w
    )
    return (narrow, _pool("mean", "tail", TAIL_CHANNELS, layer.out_h, layer.out_w))


def _pool(name: str, before: str, channels: int, height: int, width: int) -> Layer:
    return Layer(name, "pool", (before,), channels, height, width, channels, 1, 1)


def empty_chains() -> tuple[Chain, Chain]:
    """Next to nothing, once and twice: what a runtime takes to be called is the first less what the second adds."""
    once = Layer("one", "linear", (INPUT,), 8, 1, 1, 8, 1, 1)
    return (once,), (once, replace(once, name="two", inputs=("one",)))


def random_archs(space: Space, *, seed: int = 0) -> list[Arch]:
    """Networks that kernels are drawn from."""
    rng = np.random.default_rng([seed, 18])
    return list(dict.fromkeys(space.sample(rng, uniform=("gene", "phenotype")[i % 2]) for i in range(NETWORKS)))
