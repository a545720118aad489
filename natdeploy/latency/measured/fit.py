"""From stored measurements to a latency model and its quality on networks it never saw."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from natdeploy.ground.errors import BadInput
from natdeploy.latency.intervals.conformal import calibration_rank, fit_conformal
from natdeploy.latency.intervals.evaluation import TimedNetworks, Timing, cross_validated, on_holdout, quality_of
from natdeploy.latency.intervals.prediction import IntervalPredictor
from natdeploy.latency.intervals.quality import Quality
from natdeploy.latency.measured.comparable import TRAINING_ROLES, comparable, newest
from natdeploy.latency.measured.xgboost_model import fit_xgboost
from natdeploy.latency.model import LatencyModel, Predictor
from natdeploy.measure import Measurement
from natdeploy.spaces import Arch, Space, get_space

#: Fewest distinct networks from which a model is trained.
MIN_NETWORKS = 30


def fit_latency_model(
    measurements: Sequence[Measurement], space: Space | str, *, coverage: float = 0.9, seed: int = 0
) -> LatencyModel:
    """Train a model and evaluate it: :func:`fit_and_leave_out` without the errors."""
    return fit_and_leave_out(measurements, space, coverage=coverage, seed=seed)[0]


def fit_and_leave_out(
    measurements: Sequence[Measurement], space: Space | str, *, coverage: float = 0.9, seed: int = 0
) -> tuple[LatencyModel, np.ndarray]:
    """Train a model and evaluate it.

    Trained on trusted measurements of roles ``train`` and ``build``; networks of role ``holdout`` are never trained on,
    in whatever role they were timed besides, and give the quality (left-out predictions do where there are none).
    Measurements of role ``repeat`` give the repeatability. Several timings of one network count once, as their median.

    Args:
        measurements: of one device, runtime, thread count and toolchain.
        space: the space of every measured architecture.
        coverage: share of intervals that shall hold.
        seed: of subsamples, folds and boosting.

    Returns the model, and the logarithms of measured over predicted latencies of the training networks, each predicted
    without it. Raises BadInput for measurements that must not be mixed, are of another space, not positive, or too few.
    """
    space = get_space(space) if isinstance(space, str) else space
    usable = comparable(measurements, space)
    train, holdout = timings_of(usable, space)
    if len(train) < MIN_NETWORKS:
        left_out = len(measurements) - len(usable)
        raise BadInput(
            f"latency model: {len(train)} measured networks of {space.name} to train on, at least {MIN_NETWORKS} are "
            f"needed; profile more" + (f" ({left_out} timings untrusted or of another toolchain)" if left_out else "")
        )
    calibration_rank(len(train), coverage)
    training = TimedNetworks.of(space, train)
    fitted = fit_xgboost(training.features, training.latency_ms, training.spread, seed=seed)
    conformal = fit_conformal(training.latency_ms, fitted.left_out_ms)
    feature_range = np.stack([training.features.min(0), training.features.max(0)])
    predictor = IntervalPredictor(fitted.predictor, conformal, feature_range)
    if len(holdout) >= 2:
        judged = TimedNetworks.of(space, holdout)
        outcome = on_holdout(space, predictor.predict(judged.features, coverage), training, judged)
    else:
        outcome = cross_validated(space, fitted.left_out_ms, conformal, coverage, training)
    quality = quality_of(outcome, coverage, len(train), timed_twice(usable, space))
    model = model_of(predictor, usable, space, quality)
    return model, np.log(training.latency_ms / fitted.left_out_ms)


def model_of(
    predictor: Predictor,
    usable: Sequence[Measurement],
    space: Space,
    quality: Quality,
    *,
    source: str = "measured",
    origin: Mapping[str, str] | None = None,
) -> LatencyModel:
    """A model of the device, runtime and toolchain that comparable timings are of; its coverage is its quality's.

    ``source`` and ``origin`` are those of :class:`natdeploy.latency.LatencyModel`.
    """
    example = newest(usable)
    return LatencyModel(
        space=space.name,
        device=example.device,
        device_fingerprint=example.device_fingerprint,
        runtime=example.runtime,
        source=source,
        coverage=quality.nominal_coverage,
        quality=quality,
        toolchain=dict(example.toolchain),
        predictor=predictor,
        origin=origin or {},
        _space=space,
    )


def timings_of(
    usable: Sequence[Measurement], space: Space
) -> tuple[dict[tuple[Arch, int], Timing], dict[tuple[Arch, int], Timing]]:
    """Comparable timings to train on and to judge by, by architecture and classes; none is in both."""
    holdout = _timings(usable, ("holdout",), space)
    held = {arch for arch, _ in holdout}
    train = _timings(usable, TRAINING_ROLES, space)
    return {network: timing for network, timing in train.items() if network[0] not in held}, holdout


def timed_twice(measurements: Sequence[Measurement], space: Space) -> tuple[np.ndarray, np.ndarray]:
    """First and second latencies in ms of the networks that were timed again."""
    first = _timings(measurements, (*TRAINING_ROLES, "holdout"), space)
    again = _timings(measurements, ("repeat",), space)
    both = [network for network in again if network in first]
    first_ms, again_ms = ([found[network].latency_ms for network in both] for found in (first, again))
    return np.array(first_ms), np.array(again_ms)


def _timings(measurements: Sequence[Measurement], roles: Sequence[str], space: Space) -> dict[tuple[Arch, int], Timing]:
    """Medians over the timings of each network (architecture and classes) in the given roles."""
    found: dict[tuple[Arch, int], list[Measurement]] = defaultdict(list)
    for measurement in measurements:
        if measurement.role in roles and measurement.arch is not None:
            classes = space.num_classes if measurement.num_classes is None else measurement.num_classes
            found[measurement.arch, classes].append(measurement)
    return {
        network: Timing(
            float(np.median([timing.latency_ms for timing in timings])),
            float(np.median([timing.mad_ms / timing.latency_ms for timing in timings])) / len(timings) ** 0.5,
        )
        for network, timings in found.items()
    }
