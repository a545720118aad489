"""``estimate``: what any ONNX model would take on a device, without building or timing it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from natdeploy.verbs.result import Progress, Result

if TYPE_CHECKING:
    from natdeploy.compiler.onnx_model import OnnxModel
    from natdeploy.devices import HardwareProfile
    from natdeploy.latency.any_network import LayersLatency


@dataclass(frozen=True)
class EstimatedLayer:
    """One layer: what is computed together.

    Attributes:
        name: of its last node.
        operators: types of its nodes.
        latency_ms: its part of the estimate.
        macs: multiply-accumulates.
    """

    name: str
    operators: tuple[str, ...]
    latency_ms: float
    macs: int


@dataclass(frozen=True)
class EstimateResult(Result):
    """An estimated model.

    Attributes:
        model, device: the ONNX file and the hardware profile.
        latency_ms, lower_ms, upper_ms: estimate and its interval.
        coverage: share of such intervals that hold.
        source: where the knowledge comes from: ``measured`` (kernels timed on the device), ``table`` (published ones)
            or ``prior``.
        runtime: that it is of.
        caution: what to know of it.
        macs: multiply-accumulates of all layers.
        weight_bytes, peak_activation_bytes: memory.
        costliest: layers by latency, the greatest first.
        unknown: layers that are not part of the estimate, with the reason.
    """

    model: Path
    device: str
    latency_ms: float
    lower_ms: float
    upper_ms: float
    coverage: float
    source: str
    runtime: str
    caution: str
    macs: int
    weight_bytes: int
    peak_activation_bytes: int
    costliest: tuple[EstimatedLayer, ...]
    unknown: tuple[str, ...]


def estimate(model: str | Path, *, device: str, top: int = 10, progress: Progress | None = None) -> EstimateResult:
    """Estimate a model's latency on a device from its layers.

    Args:
        model: ONNX file with static shapes.
        device: name of a hardware profile, or a path to one.
        top: how many of the costliest layers to name.
        progress: told when kernels have to be compiled, which a prior by machine code looks into.

    Raises BadInput for a file that cannot be read, dynamic shapes, an unknown device, naming the field of the profile
    without which nothing can be said, and naming each layer of which kernels imported for the device have none.
    """
    from natdeploy.compiler.onnx_layers import peak_activation_bytes
    from natdeploy.compiler.onnx_model import load_onnx
    from natdeploy.devices import load_profile
    from natdeploy.ground.errors import BadInput

    if top < 0:
        raise BadInput(f"field 'top': {top}, expected 0 or more layers")
    path, profile = Path(model), load_profile(device)
    loaded = load_onnx(path)
    each, unknown, found = estimated_layers(loaded, profile, progress)
    return EstimateResult(
        model=path,
        device=profile.name,
        latency_ms=found.mean_ms,
        lower_ms=found.lower_ms,
        upper_ms=found.upper_ms,
        coverage=found.coverage,
        source=found.source,
        runtime=found.runtime,
        caution=found.caution,
        macs=sum(layer.macs for layer in each),
        weight_bytes=sum(array.nbytes for array in loaded.constants.values()),
        peak_activation_bytes=peak_activation_bytes(loaded),
        costliest=tuple(sorted(each, key=lambda layer: -layer.latency_ms)[:top]),
        unknown=unknown,
    )


def estimated_layers(
    model: OnnxModel, profile: HardwareProfile, progress: Progress | None = None
) -> tuple[list[EstimatedLayer], tuple[str, ...], LayersLatency]:
    """Layers whose latency can be known, the others with the reason, and the whole. Raises like :func:`estimate`."""
    from natdeploy.compiler.onnx_layers import onnx_layers
    from natdeploy.latency.any_network import onnx_latency

    layers = onnx_layers(model)
    found = onnx_latency(profile, layers, progress=progress)
    named = {item.name: item for item in layers}
    parts = found.together or tuple((item.name,) for item in layers if item.layer is not None)
    each = [
        EstimatedLayer(
            names[0],
            tuple(operator for name in names for operator in named[name].operators),
            float(ms),
            sum(layer.macs for name in names if (layer := named[name].layer) is not None),
        )
        for names, ms in zip(parts, found.layers_ms)
    ]
    return each, tuple(f"{item.name}: {item.unknown}" for item in layers if item.unknown), found
