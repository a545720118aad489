"""Plans from stock Relax: every layer becomes one small Relax function, a residual sum joins its convolution."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from natdeploy.compiler.assemble import Producer, Step
from natdeploy.compiler.fusion import fusible_sums
from natdeploy.compiler.kernel_cache import KernelCache
from natdeploy.compiler.kernel_objects import Progress
from natdeploy.compiler.relax_kernels import compile_kernels
from natdeploy.compiler.relax_workload import (
    Workload,
    argument_shapes,
    conv_weight_shape,
    is_depthwise,
    symbol,
)
from natdeploy.spaces import INPUT, Layer

_CHANNELS_LAST = f"{INPUT}.channels_last"
#: Output channels of a product of one row are padded to this: whole vectors everywhere, and nobody reads the rest.
_ROW_MULTIPLE = 16


@dataclass(frozen=True)
class _Kernel:
    """A workload as an assembled plan sees it; one thread computes all of it, and TVM chose its tile."""

    workload: Workload
    parts: int = 1
    tuned: bool = False

    @property
    def symbol(self) -> str:
        return symbol(self.workload)

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        return argument_shapes(self.workload)

    def pack(self, weight: np.ndarray, place: int = 0) -> np.ndarray:
        """Output channels innermost."""
        if self.workload["kind"] == "matmul":
            return _padded(weight.reshape(weight.shape[0], -1).T, self.shapes[1])
        axes = (2, 3, 0, 1) if is_depthwise(self.workload) else (2, 3, 1, 0)
        return _padded(weight.transpose(axes), conv_weight_shape(self.workload))


def _kernels(steps: Sequence[Step], target: Mapping[str, Any], cache: KernelCache, tuning: object) -> list[_Kernel]:
    return [_Kernel(step.workload) for step in steps]


def _code(
    kernels: Iterable[_Kernel], target: Mapping[str, Any], cache: KernelCache, progress: Progress | None
) -> dict[str, bytes]:
    return compile_kernels([kernel.workload for kernel in kernels], target, cache, progress)


def _steps(layers: Sequence[Layer]) -> list[Step]:
    """Kernel calls in order. Tensors are channels-last and named by the layer whose output they hold."""
    sums = fusible_sums(layers)
    fused = {total.name for total, _ in sums.values()}
    first = layers[0]
    names = {INPUT: INPUT}
    steps = []
    if first.in_c > 1 and first.in_h * first.in_w > 1:
        steps.append(
            Step({"kind": "channels_last", "c": first.in_c, "h": first.in_h, "w": first.in_w}, (INPUT,), _CHANNELS_LAST)
        )
        names[INPUT] = _CHANNELS_LAST
    for layer in layers:
        if layer.name in fused:
            continue
        reads, writes = tuple(names.get(name, name) for name in layer.inputs), layer.name
        if layer.name in sums:
            total, other = sums[layer.name]
            reads, writes = (*reads, names.get(other, other)), total.name
        steps.append(Step(_workload(layer, residual=layer.name in sums), reads, writes, (layer,)))
    return steps


def _workload(layer: Layer, *, residual: bool) -> Workload:
    """The kernel of a layer: its own workload, brought to the forms that kernels are written for."""
    rows = layer.in_h * layer.in_w
    if layer.op in ("pool", "scale", "add"):
        return {"kind": layer.op, "m": rows, "c": layer.in_c}
    if layer.op == "linear" or (layer.kernel == 1 and layer.stride == 1 and layer.groups == 1):
        columns = layer.out_c if rows > 1 or residual else -(-layer.out_c // _ROW_MULTIPLE) * _ROW_MULTIPLE
        return {
            "kind": "matmul",
            "m": rows,
            "k": layer.in_c,
            "n": columns,
            "activation": layer.activation,
            "residual": residual,
        }
    workload = {field: value for field, value in layer.workload().items() if field != "op"}
    return {"kind": "conv", **workload, "residual": residual}


def _padded(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Little-endian float32 with zeros after the last column."""
    out = np.zeros(shape, "<f4")
    out[..., : values.shape[-1]] = values
    return out


PRODUCER = Producer("relax", _steps, _kernels, _code)
