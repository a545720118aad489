"""Plans from natdeploy's own kernels: every layer becomes one call, a residual sum joins its convolution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from natdeploy.compiler.assemble import Producer, Step
from natdeploy.compiler.fusion import count_readers, fusible_sums
from natdeploy.compiler.kernel_cache import KernelCache
from natdeploy.compiler.kernels.kind import Kernel, Workload, default_schedule
from natdeploy.compiler.kernels.objects import isa_for, kernel_code
from natdeploy.spaces import INPUT, Layer

if TYPE_CHECKING:
    from natdeploy.compiler.tuning import TuningRecord

NAME = "kernels"
#: Values of a map that no second-level cache holds.
_LARGE = 1 << 18
_BLOCKED_INPUT = f"{INPUT}.blocked"


def _kernels(
    steps: Sequence[Step], target: Mapping[str, Any], cache: KernelCache, tuning: TuningRecord | None
) -> list[Kernel]:
    isa = isa_for(target, cache)
    choose = tuning.schedule if tuning else default_schedule
    return [Kernel(step.workload, choose(step.workload, isa), isa) for step in steps]


def _steps(layers: Sequence[Layer]) -> list[Step]:
    """Kernel calls in order. Tensors are blocked and named by the layer whose output they hold."""
    by_name = {layer.name: layer for layer in layers}
    sums = {name: found for name, found in fusible_sums(layers).items() if not by_name[name].is_depthwise}
    fused = {total.name for total, _ in sums.values()}
    steps: list[Step] = []

    def blocked(name: str) -> str:
        """The tensor that holds an output in blocks; the network's input is brought over when it is first needed."""
        if name != INPUT:
            return name
        if all(step.writes != _BLOCKED_INPUT for step in steps):
            first = layers[0]
            workload = {"kind": "block", "c": first.in_c, "m": first.in_h * first.in_w}
            steps.append(Step(workload, (INPUT,), _BLOCKED_INPUT))
        return _BLOCKED_INPUT

    expansions = _expansions(layers)
    for layer in layers:
        if layer.name in fused or layer.name in {expansion.name for expansion in expansions.values()}:
            continue
        if layer.name in expansions:
            expansion = expansions[layer.name]
            steps.append(
                Step(_expand(expansion, layer), (blocked(expansion.inputs[0]),), layer.name, (expansion, layer))
            )
            continue
        workload = _workload(layer, residual=layer.name in sums)
        planar = workload.get("planar", False)
        reads, writes = tuple(name if planar else blocked(name) for name in layer.inputs), layer.name
        if layer.name in sums:
            total, other = sums[layer.name]
            reads, writes = (*reads, blocked(other)), total.name
        steps.append(Step(workload, reads, writes, (layer,)))
    return steps


def _expansions(layers: Sequence[Layer]) -> dict[str, Layer]:
    """For each depthwise convolution that a kernel computes together with the 1x1 convolution before it, the latter."""
    readers, found = count_readers(layers), {}
    for before, layer in pairwise(layers):
        point = before.op == "conv" and before.kernel == before.stride == before.groups == 1
        depthwise = layer.is_depthwise and layer.out_c == layer.in_c and layer.kernel >= layer.stride
        follows = layer.inputs == (before.name,) and readers[before.name] == 1
        large = before.out_elements >= _LARGE
        if point and depthwise and follows and large and before.activation == layer.activation:
            found[layer.name] = before
    return found


def _expand(expansion: Layer, depthwise: Layer) -> Workload:
    return {**_workload(depthwise, residual=False), "kind": "expand", "in_c": expansion.in_c}


def _workload(layer: Layer, *, residual: bool) -> Workload:
    """The kernel of a layer."""
    pixels = layer.in_h * layer.in_w
    if layer.op in ("pool", "scale", "add"):
        return {"kind": layer.op, "m": pixels, "c": layer.in_c}
    if layer.op == "linear" or (layer.kernel == layer.stride == layer.groups == 1):
        kind = "gemv" if pixels == 1 else "gemm"
        size = {"m": pixels, "k": layer.in_c, "n": layer.out_c}
        return {"kind": kind, **size, "activation": layer.activation, "residual": residual}
    window = {
        field: getattr(layer, field) for field in ("in_h", "in_w", "out_h", "out_w", "kernel", "stride", "activation")
    }
    if layer.is_depthwise and layer.out_c == layer.in_c:
        return {"kind": "depthwise", "c": layer.in_c, **window}
    size = {"in_c": layer.in_c, "out_c": layer.out_c, "planar": layer.inputs[0] == INPUT}
    if layer.groups != 1:
        return {"kind": "grouped", "groups": layer.groups, **size, **window, "residual": residual}
    return {"kind": "conv", **size, **window, "residual": residual}


PRODUCER = Producer(NAME, _steps, _kernels, kernel_code)
