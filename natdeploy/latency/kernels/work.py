"""What single kernels of a runtime compute and move, from their shapes as publications state them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

#: Words in a kernel's name that tell what is fused into it, or how it is computed.
FUSED = ("relu", "add", "mul", "hard_swish", "sigmoid", "minimum", "winograd", "plus")
#: Words in a kernel's name that make it a kind of its own, whose work has other rates.
WAYS = ("winograd", "plus")
#: Channels that a phone's GPU computes together, threads that it schedules together, and pixels that a thread or a
#: group of them takes in each direction.
LANES, THREADS, TILES = 4, 256, (4, 8)
#: Columns of :func:`kernel_work`: a launch, multiply-adds and values moved, channels rounded up to :data:`LANES`.
WORK = ("launch", "macs", "read", "written", "weights")
#: Operators whose output is a vector, though publications state a length as its shape.
_VECTORS = ("MEAN", "FULLY_CONNECTED")


class KernelShapes:
    """Shapes of many kernels; every attribute is float64 ``[n]`` or a list of that length.

    Args:
        kernels: as published timings describe them.
    """

    def __init__(self, kernels: Sequence[Mapping[str, Any]]) -> None:
        self.operation = [str(what["operation"]) for what in kernels]
        self.name = [re.sub(r"_\d+", "", str(what.get("kernel") or "")) for what in kernels]
        self.kind = [
            " ".join((operation, *(word for word in WAYS if word in name)))
            for operation, name in zip(self.operation, self.name)
        ]

        def column(feature: str) -> np.ndarray:
            return np.array([_number(what["feature"].get(feature)) for what in kernels], np.float64)

        depthwise = np.array([operation == "DEPTHWISE_CONV_2D" for operation in self.operation], bool)
        vector = np.isin(self.operation, _VECTORS)
        filters, channels = column("filter"), column("input_channel")
        self.in_c = np.maximum(channels, 1)
        self.out_c = np.where(depthwise | (filters == 0), self.in_c, filters)
        self.groups = np.where(depthwise, self.in_c, np.maximum(column("group"), 1))
        self.kernel, self.stride = np.maximum(column("kernel"), 1), np.maximum(column("stride"), 1)
        self.in_size = np.maximum(column("input_shape"), 1)
        self.out_size = np.where(vector, 1, np.maximum(column("output_shape"), 1))
        self.depthwise = depthwise


def kernel_work(shapes: KernelShapes) -> np.ndarray:
    """Amounts that a kernel's time is nearly a sum of, float64 ``[n, WORK]``."""
    in_c, out_c = (LANES * _slices(channels) for channels in (shapes.in_c, shapes.out_c))
    pixels = shapes.out_size**2
    deep = np.where(shapes.depthwise, 1, in_c / shapes.groups)
    added = np.array([name.count("_add") for name in shapes.name])
    columns = (
        np.ones(len(in_c)),
        pixels * out_c * deep * shapes.kernel**2,
        shapes.in_size**2 * in_c,
        pixels * out_c * (1 + added),
        _weights(shapes),
    )
    return np.stack(columns, axis=1)


def kernel_features(shapes: KernelShapes, operations: Sequence[str]) -> np.ndarray:
    """What the rates of a kernel's work may depend on, float32 ``[n, features]``; a column for each operator.

    Beside amounts there is how well shapes fill slices of channels, tiles of pixels and rounds of threads, on which the
    choice of a kernel's variant depends, too.
    """
    work = kernel_work(shapes)
    _, macs, read, written, weights = work.T
    in_s, out_s = _slices(shapes.in_c), _slices(shapes.out_c)
    threads = shapes.out_size**2 * out_s
    rounds = threads / THREADS
    sizes = (shapes.in_c, shapes.out_c, in_s, out_s, np.minimum(in_s, out_s), shapes.in_size, shapes.out_size)
    amounts = (*sizes, macs, read, written, weights, threads, np.ceil(rounds))
    ratios = (macs / (read + written + weights), shapes.out_c / shapes.in_c, macs / np.maximum(weights, 1))
    tiled = [np.ceil(shapes.out_size / tile) * tile / shapes.out_size for tile in TILES]
    names = [[word in name for word in FUSED] for name in shapes.name]
    columns = (
        *np.log1p(amounts),
        *np.log(np.maximum(ratios, 1e-9)),
        *(shapes.kernel, shapes.stride, shapes.groups > 1),
        *(shapes.in_c / in_s, shapes.out_c / out_s, *(out_s % count for count in (2, 4, 8)), in_s % 4),
        *(*tiled, *(shapes.out_size % tile for tile in TILES)),
        np.where(rounds < 16, rounds % 1, 0.5),
        [name.count("_linked_:") for name in shapes.name],
        *(np.array([operation == one for one in shapes.operation]) for operation in operations),
        *np.array(names).reshape(-1, len(FUSED)).T,
    )
    return np.stack([np.asarray(column, np.float32) for column in columns], axis=1)


def _weights(shapes: KernelShapes) -> np.ndarray:
    return np.asarray(shapes.in_c * shapes.out_c / shapes.groups * shapes.kernel**2)


def _slices(channels: np.ndarray) -> np.ndarray:
    return np.asarray(np.ceil(channels / LANES))


def _number(value: Any) -> float:
    """Publications write a dash for what an operator does not have."""
    return float(value) if isinstance(value, (int, float)) else 0.0
