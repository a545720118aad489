"""Latencies of a space's networks from many of them on one device, where nothing but their genes tells them apart.

Ridge regression on the encoding and on radial basis functions at some of the networks, as for source devices
(:mod:`natdeploy.latency.transferred.sources`), of the shifted logarithm of their latencies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from natdeploy.ground.errors import BadInput
from natdeploy.latency.inputs.classes import class_factor
from natdeploy.latency.inputs.gene_sums import Archs
from natdeploy.latency.intervals.conformal import Conformal, fit_conformal
from natdeploy.latency.intervals.prediction import LatencyPrediction
from natdeploy.latency.transferred.sources import (
    MIN_MEASURED,
    SHIFT,
    SourceModels,
    SourceTable,
    fit_sources,
    log_latency,
)
from natdeploy.spaces import Arch, Space

#: No prediction is below this share of the fastest network measured.
FLOOR = 0.1


@dataclass(frozen=True, eq=False)
class EncodedPredictor:
    """Mean and interval from genes.

    Attributes:
        models: says the standardised logarithm.
        line: constant and slope from that to the shifted logarithm of milliseconds.
        shift_ms: what is added before taking it.
        floor_ms: least prediction.
        conformal: widths of the intervals.
        space: of the networks.
    """

    models: SourceModels
    line: tuple[float, float]
    shift_ms: float
    floor_ms: float
    conformal: Conformal
    space: Space

    def predict(self, archs: Archs, coverage: float, num_classes: int | None = None) -> LatencyPrediction:
        """Latencies of architectures; another number of classes widens the interval by what it changes.

        Raises BadInput for a coverage that the calibration cannot give.
        """
        factor = class_factor(self.space, archs, num_classes)
        widest = np.maximum(factor, 1 / factor)
        mean_ms = self._ms(self.models(self.models.encoding(archs))[:, 0])
        half = np.exp(self.conformal.half_width(mean_ms, coverage))
        lower_ms, upper_ms = mean_ms / half * factor / widest, mean_ms * half * factor * widest
        return LatencyPrediction(mean_ms * factor, lower_ms, upper_ms, np.zeros(len(mean_ms), bool))

    def _ms(self, standard: np.ndarray) -> np.ndarray:
        return milliseconds(standard, self.line, self.shift_ms, self.floor_ms)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready; the space is not part of it."""
        return {
            "encoded": self.models.to_json(),
            "line": list(self.line),
            "shift_ms": self.shift_ms,
            "floor_ms": self.floor_ms,
            "conformal": self.conformal.to_json(),
        }

    @staticmethod
    def from_json(value: Mapping[str, Any], space: Space) -> EncodedPredictor:
        """Inverse of :meth:`to_json`. Raises ValueError or KeyError for what is not of its form."""
        constant, slope = map(float, value["line"])
        return EncodedPredictor(
            SourceModels.from_json(value["encoded"], space),
            (constant, slope),
            float(value["shift_ms"]),
            float(value["floor_ms"]),
            Conformal.from_json(value["conformal"]),
            space,
        )


def milliseconds(standard: np.ndarray, line: tuple[float, float], shift_ms: float, floor_ms: float) -> np.ndarray:
    """From standardised logarithms, float64 ``[n]``."""
    constant, slope = line
    return np.asarray(np.maximum(np.exp(constant + slope * standard) - shift_ms, floor_ms))


def fit_encoded(
    latency_ms: Mapping[Arch, float], space: Space, *, seed: int = 0
) -> tuple[EncodedPredictor, np.ndarray]:
    """Learn from milliseconds of networks.

    Returns the predictor, and milliseconds of each network predicted without it, float64 ``[n]``. Raises BadInput for
    fewer than 30 networks, or latencies that are not positive.
    """
    measured = np.array(list(latency_ms.values()), np.float64)
    if len(measured) < MIN_MEASURED or not (np.isfinite(measured) & (measured > 0)).all():
        raise BadInput(f"networks: {len(measured)} of them with positive latencies, at least {MIN_MEASURED} are needed")
    shift_ms = SHIFT * float(np.median(measured))
    log_ms = log_latency(measured, shift_ms)
    models, left_out = fit_sources(SourceTable(("device",), tuple(latency_ms), log_ms[:, None]), space, seed=seed)
    slope, constant = np.polyfit(left_out[:, 0], log_ms, 1)
    line, floor_ms = (float(constant), float(slope)), FLOOR * float(measured.min())
    left_out_ms = milliseconds(left_out[:, 0], line, shift_ms, floor_ms)
    conformal = fit_conformal(measured, left_out_ms)
    return EncodedPredictor(models, line, shift_ms, floor_ms, conformal, space), left_out_ms
