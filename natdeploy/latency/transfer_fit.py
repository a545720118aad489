"""A latency model from few stored measurements of a device and what other devices taught."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from natdeploy.latency.comparable import TRAINING_ROLES, comparable, newest, refuse_mixed
from natdeploy.latency.model import LatencyModel
from natdeploy.latency.prediction import LatencyPrediction
from natdeploy.latency.quality import Quality, point_quality
from natdeploy.latency.transferred import SourceKnowledge, TransferredPredictor
from natdeploy.measure import Measurement
from natdeploy.spaces import Arch


def fit_transferred_model(
    measurements: Sequence[Measurement], knowledge: SourceKnowledge, *, coverage: float = 0.9, seed: int = 0
) -> LatencyModel:
    """Train on trusted measurements of roles ``train`` and ``build`` and evaluate.

    Quality is taken on networks of role ``holdout``, never trained on; where fewer than two were timed, on the training
    networks, each predicted from the others. Several timings of one network count once, as their median.

    Args:
        measurements: of one device, runtime and thread count, in the space of the knowledge.
        knowledge: what other devices taught.
        coverage: share of intervals that shall hold.
        seed: of what is drawn at random with many measurements.

    Raises BadInput for measurements that must not be mixed, of another space, not positive, or fewer than three.
    """
    space = knowledge.devices.sources.encoding.space
    usable = comparable(measurements, space)
    refuse_mixed("number of classes", {str(item.num_classes or space.num_classes) for item in usable})
    held = _medians(usable, ("holdout",))
    train = {arch: ms for arch, ms in _medians(usable, TRAINING_ROLES).items() if arch not in held}
    predictor = knowledge.transfer(train, seed=seed)
    example = newest(usable)
    return LatencyModel(
        space=space.name,
        device=example.device,
        device_fingerprint=example.device_fingerprint,
        runtime=example.runtime,
        source="transferred",
        coverage=coverage,
        quality=_quality(predictor, train, held, coverage),
        toolchain=dict(example.toolchain),
        predictor=predictor,
        _space=space,
    )


def _medians(measurements: Sequence[Measurement], roles: Sequence[str]) -> dict[Arch, float]:
    """Latency in ms of each architecture timed in the given roles."""
    found: dict[Arch, list[float]] = defaultdict(list)
    for item in measurements:
        if item.role in roles and item.arch is not None:
            found[item.arch].append(item.latency_ms)
    return {arch: float(np.median(found[arch])) for arch in sorted(found, key=lambda arch: arch.id)}


def _quality(
    predictor: TransferredPredictor, train: dict[Arch, float], held: dict[Arch, float], coverage: float
) -> Quality:
    judged = held if len(held) >= 2 else train
    predicted: LatencyPrediction
    if judged is held:
        predicted = predictor.predict(list(held), coverage)
    else:
        predicted = predictor.left_out(coverage)
    measured = np.array(list(judged.values()))
    return Quality(
        **asdict(point_quality(measured, predicted.mean_ms)),
        coverage=float(np.mean((predicted.lower_ms <= measured) & (measured <= predicted.upper_ms))),
        nominal_coverage=coverage,
        interval_width=float(np.median((predicted.upper_ms - predicted.lower_ms) / predicted.mean_ms)),
        networks=len(measured),
        training_networks=len(train),
        evaluated_on="holdout" if judged is held else "cross-validation",
        repeatability_within5=None,
        repeatability_within10=None,
        repeats=0,
        baselines={},
    )
