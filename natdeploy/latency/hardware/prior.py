"""Latency of a device that nobody measured, from its hardware profile and from how far other devices were off theirs.

What a multiply-add, an element and an operator cost beside a processor's peak is learned from published latencies of
many devices, each in a runtime of its own: non-negative least squares of relative errors, drawn to :data:`EXPECTED`,
with a factor of its own for every device, since no profile tells how good its runtime is. Intervals come from leaving
devices out one by one, and are as wide as that shows they must be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from natdeploy.ground.errors import BadInput
from natdeploy.latency.hardware.roofline import WORK, Processor, work
from natdeploy.latency.inputs.gene_sums import Archs, GeneSums
from natdeploy.latency.intervals.conformal import check_coverage
from natdeploy.latency.intervals.prediction import LatencyPrediction
from natdeploy.latency.intervals.quality import point_quality
from natdeploy.latency.transferred.predictor import widening
from natdeploy.spaces import Layer, Space

#: Costs that are expected of mature runtimes, in units of :meth:`Processor.ms_per_unit`, in the order of
#: :data:`natdeploy.latency.hardware.roofline.WORK`: cycles an operator, shares of the peak rate, multiply-adds an
#: element.
EXPECTED = (8000.0, 1.3, 4.0, 1.5, 0.5, 2.0, 6.0, 16.0)
#: How far costs may be from :data:`EXPECTED` (relative standard deviation), and what a device's measurements weigh.
TRUST, WEIGHT = 0.5, 30.0
ROUNDS = 8
#: Calibration scores kept.
SCORES = 200
#: Fewest devices to learn from: an interval over fewer would be a guess.
MIN_DEVICES = 4


@dataclass(frozen=True, eq=False)
class DeviceTimes:
    """Published latencies of one device.

    Attributes:
        processor: that ran them.
        work: of blocks or networks that costs are learned from, float64 ``[n, len(WORK)]``.
        latency_ms: of these, float64 ``[n]``.
        judged: row numbers that make up each network by which the device is judged.
    """

    processor: Processor
    work: np.ndarray
    latency_ms: np.ndarray
    judged: tuple[tuple[int, ...], ...]

    @staticmethod
    def of(
        processor: Processor,
        parts: Sequence[Sequence[Layer]],
        latency_ms: Sequence[float],
        judged: Sequence[Sequence[int]] = (),
    ) -> DeviceTimes:
        """From layers of blocks or networks; the parts themselves are judged if nothing else is said."""
        networks = tuple(tuple(rows) for rows in judged) or tuple((row,) for row in range(len(parts)))
        return DeviceTimes(
            processor, np.stack([work(part, processor) for part in parts]), np.array(latency_ms), networks
        )

    def judged_ms(self, per_part_ms: np.ndarray) -> np.ndarray:
        """Sums over the parts of the judged networks."""
        return np.array([per_part_ms[list(rows)].sum() for rows in self.judged])

    def predicted_ms(self, cost: np.ndarray) -> np.ndarray:
        """Milliseconds of the parts by costs."""
        return np.asarray(self.work @ (cost * self.processor.ms_per_unit()))


@dataclass(frozen=True, eq=False)
class Prior:
    """What devices in general cost beside their peak.

    Attributes:
        cost: by :data:`natdeploy.latency.hardware.roofline.WORK`, none negative.
        scores: sorted errors in log space of devices left out, each device counting alike; float64 ``[SCORES]``.
        devices: names of the devices that were learned from.
        figures: of networks of devices left out: those of :class:`natdeploy.latency.intervals.quality.PointQuality`,
            mean over devices, and ``coverage``, ``width`` of intervals of 0.9, ``networks``.
    """

    cost: np.ndarray
    scores: np.ndarray
    devices: tuple[str, ...]
    figures: Mapping[str, float]

    def half_width(self, coverage: float) -> float:
        """Of intervals in log space."""
        check_coverage(coverage)
        return _half_width(self.scores, len(self.devices), coverage)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "cost": dict(zip(WORK, self.cost.tolist())),
            "scores": self.scores.tolist(),
            "devices": list(self.devices),
            "figures": dict(self.figures),
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> Prior:
        """Inverse of :meth:`to_json`. Raises KeyError where the costs are not this version's."""
        cost = np.array([value["cost"][name] for name in WORK], np.float64)
        figures = {str(name): float(number) for name, number in value["figures"].items()}
        return Prior(cost, np.array(value["scores"], np.float64), tuple(map(str, value["devices"])), figures)


@dataclass(frozen=True, eq=False)
class PriorPredictor:
    """Mean and interval for architectures of a space on a processor that was never timed."""

    prior: Prior
    processor: Processor
    space: Space
    _sums: dict[int, GeneSums] = field(default_factory=dict, repr=False)

    def predict(self, archs: Archs, coverage: float, num_classes: int | None = None) -> LatencyPrediction:
        """Latencies of architectures."""
        classes = self.space.num_classes if num_classes is None else num_classes
        if classes not in self._sums:
            self._sums[classes] = GeneSums(self.space, lambda layers: work(layers, self.processor), classes)
        return self._prediction(self._sums[classes](archs), coverage)

    def of_layers(self, layers: Sequence[Layer], coverage: float) -> tuple[np.ndarray, LatencyPrediction]:
        """Milliseconds of each layer, float64 ``[n]``, and the latency of all together."""
        each = np.stack([work([layer], self.processor) for layer in layers])
        return each @ self._ms_per_unit(), self._prediction(each.sum(0, keepdims=True), coverage)

    def _ms_per_unit(self) -> np.ndarray:
        return np.asarray(self.prior.cost * self.processor.ms_per_unit())

    def _prediction(self, table: np.ndarray, coverage: float) -> LatencyPrediction:
        # Summed in an order that does not depend on how many rows there are.
        mean_ms = np.maximum(np.ascontiguousarray(table * self._ms_per_unit()).sum(1), 1e-6)
        return LatencyPrediction.around(mean_ms, self.prior.half_width(coverage))

    def to_json(self) -> dict[str, Any]:
        """JSON-ready; the space is not part of it."""
        processor = self.processor
        return {
            "prior": self.prior.to_json(),
            "macs_per_ns": processor.macs_per_ns,
            "clock_ghz": processor.clock_ghz,
            "near_kib": processor.near_kib,
            "last_kib": processor.last_kib,
        }

    @staticmethod
    def from_json(value: dict[str, Any], space: Space) -> PriorPredictor:
        """Inverse of :meth:`to_json`."""
        processor = Processor(
            macs_per_ns=float(value["macs_per_ns"]),
            clock_ghz=float(value["clock_ghz"]),
            near_kib=int(value["near_kib"]),
            last_kib=int(value["last_kib"]),
        )
        return PriorPredictor(Prior.from_json(value["prior"]), processor, space)


def fit_prior(times: Mapping[str, DeviceTimes]) -> Prior:
    """Learn from published latencies by device, and be judged on each device by what the others teach.

    Raises BadInput for fewer than :data:`MIN_DEVICES` devices.
    """
    if len(times) < MIN_DEVICES:
        raise BadInput(f"prior: published latencies of {len(times)} devices, at least {MIN_DEVICES} are needed")
    pairs = {}
    for name, device in times.items():
        others = fit_costs([found for other, found in times.items() if other != name])
        pairs[name] = tuple(device.judged_ms(part) for part in (device.latency_ms, device.predicted_ms(others)))
    return judged_prior(fit_costs(list(times.values())), pairs, 0.9)


def judged_prior(cost: np.ndarray, pairs: Mapping[str, tuple[np.ndarray, ...]], coverage: float) -> Prior:
    """Costs with intervals and figures from measured and predicted latencies of devices that were left out.

    Each device is judged by intervals that the others' errors give.

    Args:
        cost: by :data:`natdeploy.latency.hardware.roofline.WORK`.
        pairs: by device, measured and predicted milliseconds, both float64 ``[networks]``.
        coverage: of the intervals in the figures.
    """
    errors = {name: np.abs(np.log(measured / predicted)) for name, (measured, predicted) in pairs.items()}
    qualities = [point_quality(measured, predicted) for measured, predicted in pairs.values()]
    held, half = [], []
    for name in pairs:
        scores = _scores([found for other, found in errors.items() if other != name])
        half.append(_half_width(scores, len(pairs) - 1, coverage))
        held.append(np.mean(errors[name] <= half[-1]))
    names = ("spearman", "kendall", "mape", "within5", "within10")
    figures = {what: float(np.mean([getattr(quality, what) for quality in qualities])) for what in names}
    figures["coverage"] = float(np.mean(held))
    figures["width"] = float(np.median(np.exp(half) - np.exp(np.negative(half))))
    figures["networks"] = float(sum(len(found) for found in errors.values()))
    return Prior(cost, _scores(list(errors.values())), tuple(pairs), figures)


def fit_costs(
    times: Sequence[DeviceTimes],
    *,
    expected: np.ndarray | None = None,
    trust: float = TRUST,
    weight: float = WEIGHT,
    anchored: bool = False,
) -> np.ndarray:
    """Costs by :data:`natdeploy.latency.hardware.roofline.WORK` under which devices' latencies are nearest.

    Each device's latencies count up to a factor of their own.

    Args:
        times: of devices, or of one device in several settings.
        expected: costs that others are drawn to; :data:`EXPECTED` if not given.
        trust: how far costs may be from them, as a relative standard deviation.
        weight: what the measurements of each device weigh together.
        anchored: costs are those of the first device; else the factors' geometric mean is 1, and costs are those of a
            middling device.
    """
    from scipy.optimize import nnls

    expected = np.array(EXPECTED) if expected is None else expected
    relative = [device.work * device.processor.ms_per_unit() / device.latency_ms[:, None] for device in times]
    weights = [np.sqrt(weight / len(rows)) for rows in relative]
    factors = np.ones(len(times))
    cost = expected
    for _ in range(ROUNDS):
        rows = [table * each * factor for table, each, factor in zip(relative, weights, factors)]
        target = [np.full(len(table), each) for table, each in zip(relative, weights)]
        matrix = np.concatenate([*(table * expected for table in rows), np.eye(len(expected)) / trust])
        scaled, _ = nnls(matrix, np.concatenate([*target, np.full(len(expected), 1 / trust)]), maxiter=10_000)
        cost = scaled * expected
        logs = np.array([-np.median(np.log(table @ cost)) for table in relative])
        factors = np.exp(logs - (logs[0] if anchored else logs.mean()))
    return np.asarray(cost)


def _scores(errors: Sequence[np.ndarray]) -> np.ndarray:
    """Quantiles of the errors of all devices, each counting alike however many networks it has."""
    grid = np.linspace(0, 1, SCORES)
    return np.quantile(np.concatenate([np.quantile(found, grid) for found in errors]), grid)


def _half_width(scores: np.ndarray, devices: int, coverage: float) -> float:
    return float(np.quantile(scores, coverage)) * widening(devices, coverage)
