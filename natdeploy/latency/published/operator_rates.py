"""Rates of operators as a runtime runs them: how much of each kind a network has, and what it takes by that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from natdeploy.latency.inputs.features import layer_kind
from natdeploy.latency.inputs.gene_sums import Archs, GeneSums
from natdeploy.latency.intervals.conformal import Conformal
from natdeploy.latency.intervals.prediction import LatencyPrediction
from natdeploy.spaces import Layer, Space

#: Columns of :func:`amounts`, whole numbers all.
AMOUNTS = (
    "operators",
    "dense_macs",
    "depthwise_macs",
    "spatial_macs",
    "grouped_macs",
    "vector_weights",
    "convolution_elements",
    "depthwise_elements",
    "pooled_elements",
)
#: Mobile runtimes compute these together with the operator before them.
FUSED = ("add", "scale")


def amounts(layers: Sequence[Layer]) -> np.ndarray:
    """Operators, multiply-accumulates, weights, elements read and written; float64 ``[len(AMOUNTS)]``."""
    total = np.zeros(len(AMOUNTS))
    for layer in layers:
        if layer.op not in FUSED:
            total += _amounts(layer)
    return total


def _amounts(layer: Layer) -> tuple[float, ...]:
    kind = layer_kind(layer)
    depthwise, pooled = layer.is_depthwise, layer.op == "pool"
    read = layer.in_c * layer.in_h * layer.in_w
    moved = read + layer.out_elements
    convolution = kind in ("dense", "spatial", "grouped")
    return (
        1,
        *(layer.macs if place else 0 for place in (kind == "dense", depthwise, kind == "spatial", kind == "grouped")),
        layer.macs if kind == "vector" else 0,
        *(moved if place else 0 for place in (convolution, depthwise)),
        read if pooled else 0,
    )


@dataclass(frozen=True, eq=False)
class RatesPredictor:
    """Mean and interval from amounts.

    Attributes:
        rates_ms: milliseconds per unit of :data:`AMOUNTS`, none negative.
        conformal: widths of the intervals.
        space: of the networks.
    """

    rates_ms: np.ndarray
    conformal: Conformal
    space: Space
    _sums: dict[int, GeneSums] = field(default_factory=dict, repr=False)

    def predict(self, archs: Archs, coverage: float, num_classes: int | None = None) -> LatencyPrediction:
        """Latencies of architectures. Raises BadInput for a coverage the calibration cannot give."""
        classes = self.space.num_classes if num_classes is None else num_classes
        if classes not in self._sums:
            self._sums[classes] = GeneSums(self.space, amounts, classes)
        return self._prediction(self._sums[classes](archs), coverage)

    def of_layers(self, layers: Sequence[Layer], coverage: float) -> tuple[np.ndarray, LatencyPrediction]:
        """Milliseconds of each layer, float64 ``[n]``, and the latency of all together."""
        each = np.stack([amounts([layer]) for layer in layers])
        return each @ self.rates_ms, self._prediction(each.sum(0, keepdims=True), coverage)

    def _prediction(self, table: np.ndarray, coverage: float) -> LatencyPrediction:
        mean_ms = rated_ms(table, self.rates_ms)
        return LatencyPrediction.around(mean_ms, self.conformal.half_width(mean_ms, coverage))

    def to_json(self) -> dict[str, Any]:
        """JSON-ready; the space is not part of it."""
        return {"amounts_ms": dict(zip(AMOUNTS, self.rates_ms.tolist())), "conformal": self.conformal.to_json()}

    @staticmethod
    def from_json(value: dict[str, Any], space: Space) -> RatesPredictor:
        """Inverse of :meth:`to_json`. Raises KeyError where the amounts are not this version's."""
        rates_ms = np.array([value["amounts_ms"][name] for name in AMOUNTS], np.float64)
        return RatesPredictor(rates_ms, Conformal.from_json(value["conformal"]), space)


def rated_ms(table: np.ndarray, rates_ms: np.ndarray) -> np.ndarray:
    """Milliseconds of networks, from amounts float64 ``[n, len(AMOUNTS)]``, in an order that does not depend on n."""
    return np.asarray(np.maximum(np.ascontiguousarray(table * rates_ms).sum(1), 1e-6))


def fit_rates_ms(table: np.ndarray, latency_ms: np.ndarray) -> np.ndarray:
    """Non-negative rates by least squares of relative errors."""
    from scipy.optimize import nnls

    scale = np.maximum(table.max(0), 1e-30)
    rates, _ = nnls(table / scale / latency_ms[:, None], np.ones(len(table)), maxiter=10_000)
    return np.asarray(rates / scale)
