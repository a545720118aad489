"""Plans from stock Relax: every layer becomes one small Relax function, a residual sum joins its convolution."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from natdeploy.compiler.fusion import fusible_sums
from natdeploy.compiler.kernel_cache import KernelCache
from natdeploy.compiler.kernel_objects import Progress
from natdeploy.compiler.plan import Call, Kernel, Plan, Port, View, make_plan
from natdeploy.compiler.relax_kernels import compile_kernels
from natdeploy.compiler.relax_workload import (
    Workload,
    argument_shapes,
    conv_weight_shape,
    is_depthwise,
    symbol,
)
from natdeploy.compiler.target import check_target
from natdeploy.ground.files import sha256_bytes
from natdeploy.spaces import INPUT, Layer, Network

PRODUCER = "relax"
_CHANNELS_LAST = f"{INPUT}.channels_last"
#: Output channels of a product of one row are padded to this: whole vectors everywhere, and nobody reads the rest.
_ROW_MULTIPLE = 16


@dataclass(frozen=True)
class _Step:
    """One kernel call to be: the layer that computes, what it reads, the tensor it writes, weights if any."""

    workload: Workload
    reads: tuple[str, ...]
    writes: str
    layer: Layer | None = None

    @property
    def macs(self) -> int:
        return self.layer.macs if self.layer else 0


def produce(network: Network, target: dict[str, Any], cache: KernelCache) -> Plan:
    """The plan of a network; see :data:`natdeploy.compiler.build.PRODUCERS`."""
    steps = _steps(network.layers)
    codes = compile_kernels([step.workload for step in steps], target, cache)
    kernels: dict[str, Kernel] = {}
    objects: dict[str, bytes] = {}
    activations = {INPUT: View(network.input_shape).bytes}
    constants: dict[str, bytes] = {}
    calls = []
    for step in steps:
        name = symbol(step.workload)
        views = tuple(View(shape) for shape in argument_shapes(step.workload))
        digest = sha256_bytes(codes[name])
        objects[digest] = codes[name]
        kernels[name] = Kernel(name, digest, views)
        activations[step.writes] = views[-1].bytes
        reads = step.reads
        if step.layer is not None and step.layer.has_weights:
            weight, bias = f"{step.layer.name}.weight", f"{step.layer.name}.bias"
            constants[weight] = _pack(step.workload, network.weights[weight])
            constants[bias] = _padded(network.weights[bias], views[2].shape).tobytes()
            reads = (reads[0], weight, bias, *reads[1:])
        calls.append(Call(step.writes, name, (*reads, step.writes), step.macs))
    return make_plan(
        producer=PRODUCER,
        target=target,
        kernels=list(kernels.values()),
        objects=objects,
        activations=activations,
        constants=constants,
        calls=calls,
        inputs=[Port("input", INPUT, View(network.input_shape))],
        outputs=[Port("logits", steps[-1].writes, View(network.output_shape))],
    )


def compile_layers(
    networks: Iterable[Sequence[Layer]],
    *,
    target: Mapping[str, Any],
    cache: KernelCache | None = None,
    progress: Progress | None = None,
) -> int:
    """Compile the kernels of many networks at once, which is quicker than one network after another.

    Returns the number of distinct kernels. Raises BadInput for a bad target, ChildFailed.
    """
    workloads = {symbol(step.workload): step.workload for layers in networks for step in _steps(tuple(layers))}
    compile_kernels(workloads.values(), check_target(target), cache or KernelCache(), progress)
    return len(workloads)


def _steps(layers: Sequence[Layer]) -> list[_Step]:
    """Kernel calls in order. Tensors are channels-last and named by the layer whose output they hold."""
    sums = fusible_sums(layers)
    fused = {total.name for total, _ in sums.values()}
    first = layers[0]
    names = {INPUT: INPUT}
    steps = []
    if first.in_c > 1 and first.in_h * first.in_w > 1:
        steps.append(
            _Step(
                {"kind": "channels_last", "c": first.in_c, "h": first.in_h, "w": first.in_w}, (INPUT,), _CHANNELS_LAST
            )
        )
        names[INPUT] = _CHANNELS_LAST
    for layer in layers:
        if layer.name in fused:
            continue
        reads, writes = tuple(names.get(name, name) for name in layer.inputs), layer.name
        if layer.name in sums:
            total, other = sums[layer.name]
            reads, writes = (*reads, names.get(other, other)), total.name
        steps.append(_Step(_workload(layer, residual=layer.name in sums), reads, writes, layer))
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


def _pack(workload: Workload, weight: np.ndarray) -> bytes:
    """A layer's weight in the kernel's layout: output channels innermost."""
    if workload["kind"] == "matmul":
        matrix = weight.reshape(weight.shape[0], -1).T
        return _padded(matrix, argument_shapes(workload)[1]).tobytes()
    axes = (2, 3, 0, 1) if is_depthwise(workload) else (2, 3, 1, 0)
    return _padded(weight.transpose(axes), conv_weight_shape(workload)).tobytes()


def _padded(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Little-endian float32 with zeros after the last column."""
    out = np.zeros(shape, "<f4")
    out[..., : values.shape[-1]] = values
    return out
