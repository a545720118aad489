"""Plans from natdeploy's own kernels: every layer becomes one call, a residual sum joins its convolution."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from natdeploy.compiler.fusion import fusible_sums
from natdeploy.compiler.kernel_cache import KernelCache
from natdeploy.compiler.kernel_objects import Progress
from natdeploy.compiler.kernels.kind import Kernel, Tuning, Workload, default_schedule
from natdeploy.compiler.kernels.layout import pad_channels
from natdeploy.compiler.kernels.objects import isa_for, kernel_code
from natdeploy.compiler.plan import Call, Plan, Port, View, make_plan
from natdeploy.compiler.plan import Kernel as PlanKernel
from natdeploy.compiler.target import check_target
from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import sha256_bytes
from natdeploy.spaces import INPUT, Layer, Network

PRODUCER = "kernels"
_BLOCKED_INPUT = f"{INPUT}.blocked"


@dataclass(frozen=True)
class _Step:
    """One kernel call to be: what it reads, the tensor it writes, and the layer that computes, if one does."""

    workload: Workload
    reads: tuple[str, ...]
    writes: str
    layer: Layer | None = None


def produce(network: Network, target: dict[str, Any], cache: KernelCache, tuning: Tuning = default_schedule) -> Plan:
    """The plan of a network; see :data:`natdeploy.compiler.build.PRODUCERS`. ``tuning`` chooses the tiles.

    Raises BadInput for a layer that no kind of kernel computes.
    """
    isa = isa_for(target, cache)
    steps = _steps(network.layers)
    kernels = [Kernel(step.workload, tuning(step.workload, isa), isa) for step in steps]
    codes = kernel_code(kernels, target, cache)
    plan_kernels: dict[str, PlanKernel] = {}
    activations = {INPUT: View(network.input_shape).bytes}
    constants: dict[str, bytes] = {}
    calls = []
    for step, kernel in zip(steps, kernels):
        name = kernel.symbol
        views = tuple(map(View, kernel.shapes))
        plan_kernels[name] = PlanKernel(name, sha256_bytes(codes[name]), views, parts=kernel.parts)
        activations[step.writes] = views[-1].bytes
        reads = step.reads
        if step.layer is not None and step.layer.has_weights:
            weight, bias = f"{step.layer.name}.weight", f"{step.layer.name}.bias"
            constants[weight] = kernel.pack(network.weights[weight]).astype("<f4").tobytes()
            constants[bias] = pad_channels(network.weights[bias], isa.lanes).tobytes()
            reads = (reads[0], weight, bias, *reads[1:])
        calls.append(Call(step.writes, name, (*reads, step.writes), step.layer.macs if step.layer else 0))
    return make_plan(
        producer=PRODUCER,
        target=target,
        kernels=list(plan_kernels.values()),
        objects={sha256_bytes(code): code for code in codes.values()},
        activations=activations,
        constants=constants,
        calls=calls,
        inputs=[Port("input", INPUT, View(network.input_shape))],
        outputs=[Port("logits", steps[-1].writes, View(network.output_shape))],
    )


def compile_networks(
    networks: Iterable[Sequence[Layer]],
    *,
    target: Mapping[str, Any],
    cache: KernelCache | None = None,
    progress: Progress | None = None,
    tuning: Tuning = default_schedule,
) -> int:
    """Compile the kernels of many networks at once, which is quicker than one network after another.

    Returns the number of distinct kernels. Raises BadInput for a bad target or layer, ChildFailed.
    """
    checked, cache = check_target(target), cache or KernelCache()
    isa = isa_for(checked, cache)
    workloads = [step.workload for layers in networks for step in _steps(layers)]
    kernels = [Kernel(workload, tuning(workload, isa), isa) for workload in workloads]
    return len(kernel_code(kernels, checked, cache, progress))


def _steps(layers: Sequence[Layer]) -> list[_Step]:
    """Kernel calls in order. Tensors are blocked and named by the layer whose output they hold."""
    by_name = {layer.name: layer for layer in layers}
    sums = {name: found for name, found in fusible_sums(layers).items() if not by_name[name].is_depthwise}
    fused = {total.name for total, _ in sums.values()}
    steps: list[_Step] = []

    def blocked(name: str) -> str:
        """The tensor that holds an output in blocks; the network's input is brought over when it is first needed."""
        if name != INPUT:
            return name
        if all(step.writes != _BLOCKED_INPUT for step in steps):
            first = layers[0]
            workload = {"kind": "block", "c": first.in_c, "m": first.in_h * first.in_w}
            steps.append(_Step(workload, (INPUT,), _BLOCKED_INPUT))
        return _BLOCKED_INPUT

    for layer in layers:
        if layer.name in fused:
            continue
        workload = _workload(layer, residual=layer.name in sums)
        planar = workload.get("planar", False)
        reads, writes = tuple(name if planar else blocked(name) for name in layer.inputs), layer.name
        if layer.name in sums:
            total, other = sums[layer.name]
            reads, writes = (*reads, blocked(other)), total.name
        steps.append(_Step(workload, reads, writes, layer))
    return steps


def _workload(layer: Layer, *, residual: bool) -> Workload:
    """The kernel of a layer. Raises BadInput naming a layer that no kind computes."""
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
    if layer.groups != 1:
        raise BadInput(
            f"layer {layer.name!r}: groups is {layer.groups}, but producer {PRODUCER!r} has kernels for dense "
            "convolutions and for one filter per channel only; use producer 'relax'"
        )
    planar = layer.inputs[0] == INPUT
    size = {"in_c": layer.in_c, "out_c": layer.out_c, "planar": planar}
    return {"kind": "conv", **size, **window, "residual": residual}
