"""What of a network's layers one kernel may compute together, whoever writes the kernels."""

from __future__ import annotations

from collections.abc import Sequence

from natdeploy.spaces import INPUT, Layer


def fusible_sums(layers: Sequence[Layer]) -> dict[str, tuple[Layer, str]]:
    """For each convolution that can add a residual itself: the sum's layer, and the sum's other input.

    Nobody else may read the convolution's own output, and the other input has to be there before it.
    """
    places = {INPUT: -1, **{layer.name: index for index, layer in enumerate(layers)}}
    readers = count_readers(layers)
    found: dict[str, tuple[Layer, str]] = {}
    for layer in layers:
        if layer.op != "add":
            continue
        other, last = sorted(layer.inputs, key=places.__getitem__)
        if other != last and last != INPUT and layers[places[last]].op == "conv" and readers[last] == 1:
            found[last] = (layer, other)
    return found


def count_readers(layers: Sequence[Layer]) -> dict[str, int]:
    """How often each output is read; whoever runs the network reads the last one."""
    readers: dict[str, int] = {layers[-1].name: 1}
    for layer in layers:
        for name in layer.inputs:
            readers[name] = readers.get(name, 0) + 1
    return readers
