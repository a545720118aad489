"""Kernels that TFLite's GPU delegate would make of an ONNX model's layers."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from natdeploy.compiler.onnx_layers import OnnxLayer
from natdeploy.compiler.onnx_operators import ELEMENTWISE, RESHAPES
from natdeploy.latency.kernels.tflite import (
    KernelRules,
    RuntimeKernel,
    convolution,
    copy,
    joined_maps,
    mean,
    pool,
    product,
    refuse,
)

#: What is called so in a kernel's name, by ONNX operator that follows the first one; others leave no trace.
_WORDS = {
    "Relu": ("relu",),
    "LeakyRelu": ("relu",),
    "PRelu": ("relu",),
    "Clip": ("relu",),
    "HardSwish": ("hard_swish",),
    "HardSigmoid": ("relu", "mul"),
    "Sigmoid": ("sigmoid",),
    "Min": ("minimum",),
    "Mul": ("mul",),
    "Div": ("mul",),
}
#: Operators that only read and write a map, where no convolution computes them.
_LONE = ELEMENTWISE | RESHAPES | {"Sum", "Identity", "Pad", "BatchNormalization"}
_MEANS = ("GlobalAveragePool", "ReduceMean")
_POOLS = {"AveragePool": "AVERAGE_POOL_2D", "MaxPool": "MAX_POOL_2D"}


def kernels_of_onnx(layers: Sequence[OnnxLayer], rules: KernelRules) -> list[RuntimeKernel]:
    """Kernels of a model, in order.

    Args:
        layers: of :func:`natdeploy.compiler.onnx_layers.onnx_layers`.
        rules: of the device.

    Raises BadInput naming each layer of which there is no kernel.
    """
    made: list[RuntimeKernel] = []
    strange: dict[str, str] = {}
    for layer in layers:
        if _is_lone(layer) and not rules.copies and made:
            made[-1] = made[-1].joined(layer.name)  # what ran last has written one of its inputs
            continue
        found = _kernel(layer, rules)
        if isinstance(found, str):
            strange[layer.name] = found
        else:
            made.append(RuntimeKernel({**found.what, "model": layer.name}, (layer.name,)))
    refuse(strange)
    return made


def linked_words(layer: OnnxLayer) -> tuple[str, ...]:
    """What follows the first operator, as the runtime calls it.

    Exporters take a hard swish apart into a sum, a clip, a product and a quotient; a sum of constants is a bias. What
    else is read is added.
    """
    rest = layer.operators[1:]
    adds = ("add",) * min(len(layer.reads) - 1, sum(name in ("Add", "Sum") for name in rest))
    if "Clip" in rest and "Mul" in rest:
        return (*adds, "hard_swish")
    return (*adds, *(word for name in rest for word in _WORDS.get(name, ())))


def _is_lone(layer: OnnxLayer) -> bool:
    return not layer.unknown and len(layer.writes) == 1 and all(name in _LONE for name in layer.operators)


def _kernel(layer: OnnxLayer, rules: KernelRules) -> RuntimeKernel | str:
    """Of a layer, or why there is none."""
    if layer.unknown:
        return layer.unknown
    if not layer.reads or len(layer.writes) != 1:
        return f"operator {layer.operators[0]} of {len(layer.reads)} inputs and {len(layer.writes)} outputs"
    first, given, result = layer.operators[0], layer.reads[0], layer.writes[0]
    if len(given) > 1 and given[0] != 1:
        return f"operator {first} of a batch of {given[0]}"
    if layer.layer is not None and first == "Conv":
        return convolution(layer.layer, linked_words(layer), rules)
    if layer.layer is not None and first in ("Gemm", "MatMul"):
        if layer.layer.op != "linear":
            return f"operator {first} of {layer.layer.in_h} rows"
        return product(layer.name, layer.layer.in_c, layer.layer.out_c, linked_words(layer))
    if first in _MEANS and len(given) == 4 and prod(result) == given[1]:
        return mean(layer.name, given[1], _across(given))
    if first in _POOLS and len(given) == 4:
        sizes = (given[1], _across(given), _across(result), layer.window)
        return pool(layer.name, _POOLS[first], *sizes, linked_words(layer))
    if first == "Concat" and len(given) == 4 and result[2:] == given[2:]:
        return joined_maps(layer.name, given[1], result[1], _across(given), len(layer.reads))
    if _is_lone(layer):
        return copy(layer.name, *((result[1], _across(result)) if len(result) == 4 else (prod(result), 1.0)))
    return f"operator {first}"


def _across(shape: Sequence[int]) -> float:
    return float(prod(shape[2:]) ** 0.5)
