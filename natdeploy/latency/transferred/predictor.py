"""Latency on a device from few measurements of it and many of other devices.

Intervals are calibrated on the mistakes that the same procedure makes for source devices, each taken for a new one in
turn, with and without the sources that are all but the same, and are widened because these are few; from
:data:`OWN_CALIBRATION` measurements on, on the device's own measurements, each predicted from the others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from natdeploy.ground.errors import BadInput
from natdeploy.latency.inputs.gene_sums import Archs
from natdeploy.latency.intervals.conformal import check_coverage
from natdeploy.latency.intervals.prediction import LatencyPrediction
from natdeploy.latency.transferred.design import informative
from natdeploy.latency.transferred.ideal import IdealDevices
from natdeploy.latency.transferred.mixture import Inputs, Mixture
from natdeploy.latency.transferred.mixture_fit import fit_mixture
from natdeploy.latency.transferred.sources import SHIFT, SourceModels, SourceTable, fit_sources, log_latency
from natdeploy.spaces import Arch, Space

#: Fewest measurements of the device.
MIN_MEASURED = 3
#: Measurements from which on a device calibrates its own intervals.
OWN_CALIBRATION = 40
#: Draws of measurements, and architectures predicted in each, for every source device that stands in for a new one.
DRAWS, JUDGED = 4, 200
#: Correlation of log latencies above which one source tells too much of another for it to stand in for a new device.
TWIN = 0.97
#: Calibration scores kept in a model.
SCORES = 400
#: No prediction is below this share of the device's median.
FLOOR = 0.01


#: What a predictor may use, by name: parts of the mixture, source devices, ideal devices.
KNOWLEDGE = {
    "all": ("both", True, True),
    "sources": ("likeness", True, False),
    "no sources": ("both", False, True),
    "own": ("own", False, True),
}


@dataclass(frozen=True, eq=False)
class OtherDevices:
    """Source devices, then ideal ones."""

    sources: SourceModels
    ideal: IdealDevices

    def __call__(self, archs: Archs) -> Inputs:
        """Architectures or canonical genomes as a mixture sees them."""
        encoded = self.sources.encoding(archs)
        return Inputs(encoded, np.concatenate([self.sources(encoded), self.ideal(archs)], axis=1))


@dataclass(frozen=True, eq=False)
class TransferredPredictor:
    """Mean and interval for architectures of a space on one device.

    Attributes:
        devices: source devices and ideal ones.
        archs: architectures measured on the device.
        mixture: the device's log latencies given those measurements.
        shift_ms: added before taking logarithms.
        scores: sorted calibration scores: errors in standard deviations; float64 ``[scores]``.
        judges: over how many devices the scores were taken; 1 where they are the device's own.
        columns: which of the devices the mixture knows; int64.
    """

    devices: OtherDevices
    archs: tuple[Arch, ...]
    mixture: Mixture
    shift_ms: float
    scores: np.ndarray
    judges: int
    columns: np.ndarray

    def predict(self, archs: Archs, coverage: float) -> LatencyPrediction:
        """Latencies of architectures or canonical genomes. Raises BadInput for another space or impossible coverage."""
        return self._prediction(*self.mixture.predict(self.devices(archs).columns(self.columns)), coverage)

    def left_out(self, coverage: float) -> LatencyPrediction:
        """Latencies of the measured architectures, each predicted from the others."""
        return self._prediction(*self.mixture.left_out(), coverage)

    def _prediction(self, mean: np.ndarray, spread: np.ndarray, coverage: float) -> LatencyPrediction:
        half = spread * self._factor(coverage)
        floor_ms = FLOOR / SHIFT * self.shift_ms
        mean_ms, lower_ms, upper_ms = (
            np.maximum(np.exp(log_ms) - self.shift_ms, floor_ms) for log_ms in (mean, mean - half, mean + half)
        )
        return LatencyPrediction(mean_ms, lower_ms, upper_ms, np.zeros(len(mean), bool))

    def _factor(self, coverage: float) -> float:
        """Standard deviations to either side."""
        check_coverage(coverage)
        if self.judges > 1:
            return float(np.quantile(self.scores, coverage)) * widening(self.judges, coverage)
        count = len(self.scores)
        rank = math.ceil(coverage * (count + 1))
        if rank > count:
            raise BadInput(
                f"{count} measured networks are too few for intervals of coverage {coverage:g}; "
                f"at least {math.ceil(coverage / (1 - coverage))} are needed"
            )
        return float(self.scores[rank - 1])

    def to_json(self) -> dict[str, Any]:
        """JSON-ready; the space is not part of it."""
        space = self.devices.sources.encoding.space
        return {
            "sources": self.devices.sources.to_json(),
            "ideal": self.devices.ideal.to_json(),
            "measured": [space.encode(arch).tolist() for arch in self.archs],
            "on_devices": self.mixture.measured.on_sources.tolist(),
            "log_ms": self.mixture.log_ms.tolist(),
            "hypotheses": self.mixture.weights.tolist(),
            "share": self.mixture.share.tolist(),
            "variance": self.mixture.variance,
            "shift_ms": self.shift_ms,
            "scores": self.scores.tolist(),
            "judges": self.judges,
            "columns": self.columns.tolist(),
        }

    @staticmethod
    def from_json(value: dict[str, Any], space: Space) -> TransferredPredictor:
        """Inverse of :meth:`to_json`. Raises ValueError or KeyError for what is not of its form."""
        devices = OtherDevices(
            SourceModels.from_json(value["sources"], space), IdealDevices.from_json(value["ideal"], space)
        )
        archs = tuple(space.decode(genome) for genome in value["measured"])
        weights, share, log_ms, scores, on_devices = (
            np.array(value[name], np.float64) for name in ("hypotheses", "share", "log_ms", "scores", "on_devices")
        )
        columns = np.array(value["columns"], np.int64)
        inputs = Inputs(devices.sources.encoding(archs), on_devices)
        fits = log_ms.shape == (len(archs),) and on_devices.shape == (len(archs), len(columns))
        if weights.shape != (len(share), len(columns) + 7) or not fits:
            raise ValueError("its hypotheses do not fit its devices and measurements")
        mixture = Mixture(weights, share, inputs, log_ms, float(value["variance"]))
        return TransferredPredictor(
            devices, archs, mixture, float(value["shift_ms"]), scores, int(value["judges"]), columns
        )


def widening(judges: int, coverage: float) -> float:
    """Factor on intervals that were calibrated on the errors made for so few devices.

    Errors of one device go together, so that however many scores there are, they tell the spread of a new device's
    errors no better than ``judges`` draws would: Student's t takes the place of the normal distribution. Of 16 made-up
    sets of five devices (``tests/latency/devices.py``), intervals of nominal 0.9 held 0.92 of the latencies of further
    devices, 0.80 in the worst set; without the factor 0.86 and 0.71.
    """
    from scipy.stats import norm, t

    tail = (1 + coverage) / 2
    return float(t.ppf(tail, judges) / norm.ppf(tail))


@dataclass(frozen=True, eq=False)
class SourceKnowledge:
    """Everything that many measurements of other devices teach; made once, used for any number of new devices.

    Attributes:
        table: the measurements.
        devices: source devices and ideal ones.
    """

    table: SourceTable
    devices: OtherDevices
    _inputs: Inputs = field(repr=False)
    _seed: int = field(repr=False)
    _scores: dict[int, np.ndarray] = field(default_factory=dict, repr=False)

    @staticmethod
    def of(space: Space, latency_ms: Mapping[str, Mapping[Arch, float]], *, seed: int = 0) -> SourceKnowledge:
        """Learn from latencies in ms by source device and architecture.

        Raises BadInput for fewer than two devices, fewer than 30 measurements of one, latencies that are not positive,
        and architectures of another space.
        """
        table = SourceTable.of(latency_ms)
        models, left_out = fit_sources(table, space, seed=seed)
        devices = OtherDevices(models, IdealDevices.of(space, table.archs))
        inputs = Inputs(models.encoding(table.archs), np.concatenate([left_out, devices.ideal(table.archs)], axis=1))
        return SourceKnowledge(table, devices, inputs, seed)

    def choose(
        self, count: int, *, among: Sequence[Arch] | None = None, given: Sequence[Arch] = (), seed: int = 0
    ) -> list[Arch]:
        """Architectures whose measurement on a new device tells most, best first.

        Args:
            count: how many.
            among: candidates; those that were measured on the sources if not given.
            given: architectures that are measured already.
            seed: of the candidates that are looked at.
        """
        pool = self.table.archs if among is None else tuple(among)
        if not 0 <= count <= len(pool):
            raise BadInput(f"cannot choose {count} of {len(pool)} architectures")
        inputs = self._inputs if among is None else self.devices(pool)
        measured = self.devices(given) if given else None
        return [pool[row] for row in informative(inputs, count, seed=seed, given=measured)]

    def transfer(
        self, latency_ms: Mapping[Arch, float], *, knowledge: str = "all", seed: int = 0
    ) -> TransferredPredictor:
        """A predictor for a new device from measurements of it, in ms.

        Args:
            latency_ms: by architecture.
            knowledge: a name of :data:`KNOWLEDGE`; others than ``"all"`` are there to be compared with.
            seed: of the measurements on which hypotheses are compared first, where there are many.

        Raises BadInput for fewer than three, for latencies that are not positive, and for another space.
        """
        values = np.array(list(latency_ms.values()), np.float64)
        if len(values) < MIN_MEASURED:
            raise BadInput(f"transfer: {len(values)} measured networks, at least {MIN_MEASURED} are needed")
        if not (np.isfinite(values) & (values > 0)).all():
            raise BadInput("transfer: latencies must be positive numbers of ms")
        shift_ms = SHIFT * float(np.median(values))
        if knowledge not in KNOWLEDGE:
            raise BadInput(f"transfer: unknown knowledge {knowledge!r}; known: {', '.join(KNOWLEDGE)}")
        parts, with_sources, with_ideal = KNOWLEDGE[knowledge]
        kind = np.repeat([with_sources, with_ideal], [len(self.table.names), len(self.devices.ideal)])
        columns = np.flatnonzero(kind)
        archs = tuple(latency_ms)
        mixture = fit_mixture(
            self._known(archs).columns(columns),
            log_latency(values, shift_ms),
            self.variance(),
            real=len(self.table.names) if with_sources else 0,
            parts=parts,
            seed=[self._seed, seed],
        )
        if len(values) >= OWN_CALIBRATION:
            mean, spread = mixture.left_out()
            scores, judges = np.sort(np.abs(mixture.log_ms - mean) / spread), 1
        else:
            scores, judges = self.scores(len(values)), len(self.table.names)
        return TransferredPredictor(self.devices, archs, mixture, shift_ms, scores, judges, columns)

    def _known(self, archs: Sequence[Arch]) -> Inputs:
        """Architectures measured on a new device; what sources say of them is said without having measured them."""
        inputs = self.devices(archs)
        row = {arch: index for index, arch in enumerate(self.table.archs)}
        rows = np.array([row.get(arch, -1) for arch in archs])
        inputs.on_sources[rows >= 0] = self._inputs.on_sources[rows[rows >= 0]]
        return inputs

    def scores(self, count: int) -> np.ndarray:
        """Sorted errors in standard deviations that transfers from so many measurements make for stand-in devices."""
        if count not in self._scores:
            found = [self._stand_in(column, count) for column in range(len(self.table.names))]
            self._scores[count] = np.quantile(np.concatenate(found), np.linspace(0, 1, SCORES))
        return self._scores[count]

    def _stand_in(self, target: int, count: int) -> np.ndarray:
        """Scores of one source device, taken for a new one."""
        z = self._inputs.on_sources
        sources = len(self.table.names)
        like = np.zeros(z.shape[1], bool)
        like[:sources] = np.corrcoef(z[:, :sources].T)[target] > TWIN
        like[target] = False
        alone = np.arange(z.shape[1]) == target
        measured = np.flatnonzero(np.isfinite(self.table.log_ms[:, target]))
        log_ms = self.table.log_ms[:, target]
        found = []
        for draw in range(DRAWS):
            rng = np.random.default_rng([self._seed, 14, target, draw])
            order = rng.permutation(measured)
            # New devices may or may not have a like among the sources: half of the draws are without.
            others = ~alone if draw < DRAWS // 2 else ~(alone | like)
            inputs = self._inputs.columns(np.flatnonzero(others))
            if draw % 2:
                first = order[informative(inputs.rows(order), count, seed=draw)]
                order = np.concatenate([first, order[~np.isin(order, first)]])
            train, judged = order[:count], order[count : count + JUDGED]
            real = int(others[:sources].sum())
            mixture = fit_mixture(inputs.rows(train), log_ms[train], self.variance(), real=real)
            mean, spread = mixture.predict(inputs.rows(judged))
            found.append(np.abs(log_ms[judged] - mean) / spread)
        return np.concatenate(found)

    def variance(self) -> float:
        """Variance of log latencies over architectures, mean over the sources."""
        return float(np.nanvar(self.table.log_ms, axis=0).mean())
