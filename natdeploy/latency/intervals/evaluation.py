"""Judge a predictor and its baselines on networks that none of them was trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import NamedTuple

import numpy as np

from natdeploy.latency.inputs.features import feature_names
from natdeploy.latency.inputs.gene_sums import feature_sums
from natdeploy.latency.intervals.conformal import Conformal
from natdeploy.latency.intervals.prediction import LatencyPrediction
from natdeploy.latency.intervals.quality import Quality, point_quality, repeatability
from natdeploy.latency.measured.lookup_table import fit_lookup_table
from natdeploy.latency.measured.xgboost_model import FLOOR
from natdeploy.spaces import Arch, Space

#: Folds in which the baselines are judged where no holdout networks were timed.
FOLDS = 5


class Timing(NamedTuple):
    """A network's latency in ms, and the spread of the visits it was taken from as a share of it."""

    latency_ms: float
    spread: float


@dataclass(frozen=True, eq=False)
class TimedNetworks:
    """Distinct networks, each an architecture and a number of classes, with features and one latency each.

    Attributes:
        networks: architecture and number of classes of each.
        features: float64 ``[n, features]``.
        latency_ms: float64 ``[n]``.
        spread: relative spread of each timing, float64 ``[n]``.
    """

    networks: tuple[tuple[Arch, int], ...]
    features: np.ndarray
    latency_ms: np.ndarray
    spread: np.ndarray

    @staticmethod
    def of(space: Space, timings: Mapping[tuple[Arch, int], Timing]) -> TimedNetworks:
        """Networks of a mapping from architecture and classes to their timing, in an order of their own."""
        networks = tuple(sorted(timings, key=lambda network: (network[0].id, network[1])))
        inputs = np.zeros((len(networks), len(feature_names())))
        for classes in {classes for _, classes in networks}:
            rows = [row for row, network in enumerate(networks) if network[1] == classes]
            inputs[rows] = feature_sums(space, classes)([networks[row][0] for row in rows])
        values = np.array([timings[network] for network in networks], np.float64).reshape(-1, 2)
        return TimedNetworks(networks, inputs, values[:, 0], values[:, 1])

    def part(self, rows: np.ndarray) -> TimedNetworks:
        """The networks chosen by a mask, bool ``[n]``."""
        networks = tuple(network for network, chosen in zip(self.networks, rows) if chosen)
        return TimedNetworks(networks, self.features[rows], self.latency_ms[rows], self.spread[rows])


@dataclass(frozen=True, eq=False)
class Outcome:
    """What was predicted for judged networks, by the predictor and by each baseline.

    Attributes:
        evaluated_on: which networks these are, as :class:`natdeploy.latency.Quality` tells it.
        measured_ms: float64 ``[n]``.
        prediction: of the same networks, made without their measurements.
        baselines: milliseconds of the same networks by what else could predict them, float64 ``[n]`` each.
    """

    evaluated_on: str
    measured_ms: np.ndarray
    prediction: LatencyPrediction
    baselines: Mapping[str, np.ndarray] = field(default_factory=dict)


def on_holdout(space: Space, prediction: LatencyPrediction, training: TimedNetworks, holdout: TimedNetworks) -> Outcome:
    """Predictions for networks that were set aside."""
    baselines = {name: predict(space, training, holdout) for name, predict in BASELINES.items()}
    return Outcome("holdout", holdout.latency_ms, prediction, baselines)


def cross_validated(
    space: Space, left_out_ms: np.ndarray, conformal: Conformal, coverage: float, training: TimedNetworks
) -> Outcome:
    """Predictions for the training networks themselves, each left out in turn, where none was set aside."""
    prediction = LatencyPrediction.around(left_out_ms, conformal.half_width(left_out_ms, coverage))
    baselines = {name: np.zeros(len(left_out_ms)) for name in BASELINES}
    for fold in range(FOLDS):
        out = np.arange(len(left_out_ms)) % FOLDS == fold
        for name, predict in BASELINES.items():
            baselines[name][out] = predict(space, training.part(~out), training.part(out))
    return Outcome("cross-validation", training.latency_ms, prediction, baselines)


def quality_of(
    outcome: Outcome,
    coverage: float,
    training_networks: int,
    twice: tuple[np.ndarray, np.ndarray] = (np.zeros(0), np.zeros(0)),
) -> Quality:
    """Figures of an outcome.

    Args:
        outcome: of at least two networks.
        coverage: that its intervals promise.
        training_networks: how many the predictor was trained on.
        twice: first and second latencies of networks timed twice, both float64 ``[repeats]`` in ms.
    """
    measured, predicted = outcome.measured_ms, outcome.prediction
    within5, within10 = repeatability(*twice)
    return Quality(
        **asdict(point_quality(measured, predicted.mean_ms)),
        coverage=float(np.mean((predicted.lower_ms <= measured) & (measured <= predicted.upper_ms))),
        nominal_coverage=coverage,
        interval_width=float(np.median((predicted.upper_ms - predicted.lower_ms) / predicted.mean_ms)),
        networks=len(measured),
        training_networks=training_networks,
        evaluated_on=outcome.evaluated_on,
        repeatability_within5=within5,
        repeatability_within10=within10,
        repeats=len(twice[1]),
        baselines={name: point_quality(measured, ms) for name, ms in outcome.baselines.items()},
    )


def _macs(space: Space, training: TimedNetworks, judged: TimedNetworks) -> np.ndarray:
    """A line over MACs, least squares of relative errors."""
    column = feature_names().index("macs")
    line = np.polyfit(training.features[:, column], training.latency_ms, 1, w=1 / training.latency_ms)
    return np.maximum(np.polyval(line, judged.features[:, column]), FLOOR * training.latency_ms.min())


def _lookup_table(space: Space, training: TimedNetworks, judged: TimedNetworks) -> np.ndarray:
    """A table of layer workloads fitted to the training networks."""
    table = fit_lookup_table([space.layers(*network) for network in training.networks], training.latency_ms)
    return np.array([table.network_ms(space.layers(*network)) for network in judged.networks])


BASELINES: dict[str, Callable[[Space, TimedNetworks, TimedNetworks], np.ndarray]] = {
    "macs": _macs,
    "lookup table": _lookup_table,
}
