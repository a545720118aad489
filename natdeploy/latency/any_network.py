"""Latency of a network of no search space: from its layers alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from natdeploy.devices import HardwareProfile
from natdeploy.ground.errors import BadInput
from natdeploy.latency.library import prior_latency_model, shipped_latency_model
from natdeploy.latency.operator_rates import RatesPredictor
from natdeploy.latency.prior import PriorPredictor
from natdeploy.spaces import Layer

#: Spaces whose shipped predictors know operators, not only their own blocks; and the coverage of intervals.
SPACE, COVERAGE = "ofa-mbv3-w1.0", 0.9


@dataclass(frozen=True, eq=False)
class LayersLatency:
    """Milliseconds of a network and of its layers.

    Attributes:
        mean_ms, lower_ms, upper_ms: of the network.
        layers_ms: of each layer, float64 ``[n]``.
        source: ``table`` or ``prior``, see :data:`natdeploy.latency.model.SOURCES`.
        runtime: that the knowledge is of.
        caution: what to know of latencies that were not timed on this device.
        coverage: share of intervals that hold, as judged on networks or devices left out.
    """

    mean_ms: float
    lower_ms: float
    upper_ms: float
    layers_ms: np.ndarray
    source: str
    runtime: str
    caution: str
    coverage: float


def layers_latency(profile: HardwareProfile, layers: Sequence[Layer], *, coverage: float = COVERAGE) -> LayersLatency:
    """Predict a network by its layers, on a device whose operators were published, or from its hardware profile.

    Raises BadInput for no layers, and naming the field of the profile without which there is no prior.
    """
    if not layers:
        raise BadInput("estimate: no layer whose latency can be known")
    model = shipped_latency_model(profile, SPACE)
    if model is None or not isinstance(model.predictor, RatesPredictor):
        model = prior_latency_model(profile, SPACE, profile.runtimes[0])
    assert isinstance(model.predictor, (RatesPredictor, PriorPredictor))
    layers_ms, found = model.predictor.of_layers(layers, coverage)
    ends = (float(found.mean_ms[0]), float(found.lower_ms[0]), float(found.upper_ms[0]))
    return LayersLatency(*ends, layers_ms, model.source, model.runtime, model.caution, coverage)
