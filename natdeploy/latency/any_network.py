"""Latency of a network of no search space: from its layers alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from natdeploy.compiler.kernel_objects import Progress
from natdeploy.compiler.onnx_layers import OnnxLayer
from natdeploy.devices import HardwareProfile
from natdeploy.ground.errors import BadInput, NatdeployError
from natdeploy.latency.hardware.machine_code import MachineCodePredictor
from natdeploy.latency.hardware.prior import PriorPredictor
from natdeploy.latency.imported.kernels import imported_kernels
from natdeploy.latency.imported.rates import imported_rates_model
from natdeploy.latency.inputs.features import layer_kind
from natdeploy.latency.kernels.onnx import kernels_of_onnx
from natdeploy.latency.kernels.predictor import KernelPredictor
from natdeploy.latency.kernels.published import PublishedKernels, PublishedKernelsPredictor
from natdeploy.latency.library import find_latency_model, prior_latency_model, shipped_latency_model, telling
from natdeploy.latency.model import LatencyModel
from natdeploy.latency.published.operator_rates import RatesPredictor
from natdeploy.spaces import SPACES, Layer, get_space

#: Spaces whose shipped predictors know operators, not only their own blocks; and the coverage of intervals.
SPACE, COVERAGE = "ofa-mbv3-w1.0", 0.9


@dataclass(frozen=True, eq=False)
class LayersLatency:
    """Milliseconds of a network and of its layers.

    Attributes:
        mean_ms, lower_ms, upper_ms: of the network.
        layers_ms: of each layer, float64 ``[n]``.
        source: ``measured`` (kernels), ``table`` or ``prior``, see :data:`natdeploy.latency.model.SOURCES`.
        runtime: that the knowledge is of.
        caution: what to know of latencies that were not timed on this device.
        coverage: share of intervals that hold, as judged on networks or devices left out.
        together: names of the layers that each of ``layers_ms`` is of, where kernels may have several; else empty.
    """

    mean_ms: float
    lower_ms: float
    upper_ms: float
    layers_ms: np.ndarray
    source: str
    runtime: str
    caution: str
    coverage: float
    together: tuple[tuple[str, ...], ...] = ()


def onnx_latency(
    profile: HardwareProfile,
    layers: Sequence[OnnxLayer],
    *,
    coverage: float = COVERAGE,
    progress: Progress | None = None,
) -> LayersLatency:
    """Predict an ONNX model: by the device's own timed kernels, by published ones that were imported for it or that its
    shipped predictor has, by rates of published operators, or by its profile.

    Layers that cannot be known are not part of it; published kernels refuse them. ``progress`` is told when kernels
    have to be compiled.

    Raises BadInput as :func:`layers_latency`, and naming each layer of which published kernels have none.
    """
    known = [one.layer for one in layers if one.layer is not None]
    if _own_kernels(profile, known)[0] is None and (published := _published_kernels(profile)) is not None:
        return _by_published_kernels(profile, *published, layers, coverage)
    return layers_latency(profile, known, coverage=coverage, progress=progress)


def layers_latency(
    profile: HardwareProfile, layers: Sequence[Layer], *, coverage: float = COVERAGE, progress: Progress | None = None
) -> LayersLatency:
    """Predict a network by its layers: by the device's own timed kernels, by published operators, or by its profile.

    Raises BadInput for no layers, and naming the field of the profile without which there is no prior.
    """
    if not layers:
        raise BadInput("estimate: no layer whose latency can be known")
    own, caution = _own_kernels(profile, layers)
    if own is not None:
        assert isinstance(own.predictor, KernelPredictor)
        layers_ms, found = own.predictor.of_layers(layers, coverage)
        ends = (float(found.mean_ms[0]), float(found.lower_ms[0]), float(found.upper_ms[0]))
        return LayersLatency(*ends, layers_ms, own.source, own.runtime, caution, coverage)
    model = imported_rates_model(profile, get_space(SPACE)) or shipped_latency_model(profile, SPACE)
    if model is None or not isinstance(model.predictor, (RatesPredictor, PriorPredictor)):
        model = telling(prior_latency_model(profile, SPACE, profile.runtimes[0]), progress)
    assert isinstance(model.predictor, (RatesPredictor, PriorPredictor, MachineCodePredictor))
    try:
        layers_ms, found = model.predictor.of_layers(layers, coverage)
    except NatdeployError as error:
        if not isinstance(model.predictor, MachineCodePredictor):
            raise
        # Other people's layers need not be ones that natdeploy's own kernels compute.
        model = prior_latency_model(profile, SPACE, model.runtime, but=str(error))
        assert isinstance(model.predictor, PriorPredictor)
        layers_ms, found = model.predictor.of_layers(layers, coverage)
    ends = (float(found.mean_ms[0]), float(found.lower_ms[0]), float(found.upper_ms[0]))
    return LayersLatency(
        *ends, layers_ms, model.source, model.runtime, "; ".join(filter(None, (model.caution, caution))), coverage
    )


def _published_kernels(profile: HardwareProfile) -> tuple[PublishedKernels, str, str] | None:
    """Kernels that were imported for a device, or that its shipped predictor has; their runtime, and what they are."""
    imported = imported_kernels(profile)
    if imported is not None:
        return imported.known, imported.publication.runtime, f"{imported.says}; not timed on this device"
    shipped = shipped_latency_model(profile, SPACE)
    if shipped is None or not isinstance(shipped.predictor, PublishedKernelsPredictor):
        return None
    return shipped.predictor.known, shipped.runtime, shipped.caution


def _by_published_kernels(
    profile: HardwareProfile,
    known: PublishedKernels,
    runtime: str,
    says: str,
    layers: Sequence[OnnxLayer],
    coverage: float,
) -> LayersLatency:
    try:
        kernels = kernels_of_onnx(layers, known.rules)
        kernels_ms = known.kernels_ms(kernels)
    except BadInput as error:
        own = f"time the device's own with natdeploy profile --device {profile.name} --level kernel"
        raise BadInput(f"estimate: {error}; {own}") from None
    if not kernels:
        raise BadInput("estimate: no layer whose latency can be known")
    found = known.of_sums(kernels_ms.sum(keepdims=True), np.array([len(kernels)]), coverage)
    ends = (float(found.mean_ms[0]), float(found.lower_ms[0]), float(found.upper_ms[0]))
    beyond = "; beyond the networks they were learned from: wider by judgement" if found.extrapolated[0] else ""
    return LayersLatency(
        *ends,
        layers_ms=np.maximum(kernels_ms * known.whole.scale + known.whole.kernel_ms, 0.0),
        source="table",
        runtime=runtime,
        caution=says + beyond,
        coverage=coverage,
        together=tuple(kernel.layers for kernel in kernels),
    )


def _own_kernels(profile: HardwareProfile, layers: Sequence[Layer]) -> tuple[LatencyModel | None, str]:
    """A model of kernels that were timed on the device and know all of these layers, and what to know of it."""
    lacking = ""
    for runtime in reversed(profile.runtimes):
        for space in SPACES.names():
            model = find_latency_model(profile, space, runtime, kernels=True)
            if model is None or not isinstance(model.predictor, KernelPredictor):
                continue
            unknown = sorted({layer_kind(layer) for layer in model.predictor.sums.unknown(layers)})
            if not unknown:
                far = "shapes far from theirs make the interval wide"
                return model, f"from kernels of {space} timed on this device with {runtime}; {far}"
            lacking = f"the kernels timed on this device have none of kind {', '.join(unknown)}"
    return None, lacking
