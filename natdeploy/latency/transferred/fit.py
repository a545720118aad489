"""A latency model from few stored measurements of a device and what other devices taught."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from natdeploy.latency.inputs.classes import class_factor
from natdeploy.latency.intervals.evaluation import Outcome, TimedNetworks, Timing, on_holdout, quality_of
from natdeploy.latency.measured.comparable import TRAINING_ROLES, comparable
from natdeploy.latency.measured.fit import model_of, timed_twice
from natdeploy.latency.model import LatencyModel
from natdeploy.latency.transferred.predictor import MIN_MEASURED, SourceKnowledge, TransferredPredictor
from natdeploy.measure import Measurement
from natdeploy.spaces import Arch, OperatorSpace, Space

#: Folds in which a transferred model is compared with one of the device alone.
FOLDS = 5


def fit_transferred_model(
    measurements: Sequence[Measurement], knowledge: SourceKnowledge, *, coverage: float = 0.9, seed: int = 0
) -> LatencyModel:
    """Train on trusted measurements of roles ``train`` and ``build`` and evaluate.

    Quality is taken on networks of role ``holdout``, never trained on; where fewer than two were timed, on the training
    networks, each predicted from the others. Several timings of one network count once, as their median; those with
    another number of classes than the space's count as what they would have taken with its own.

    Args:
        measurements: of one device, runtime and thread count, in the space of the knowledge.
        knowledge: what other devices taught.
        coverage: share of intervals that shall hold.
        seed: of what is drawn at random with many measurements.

    Raises BadInput for measurements that must not be mixed, of another space, not positive, or fewer than three.
    """
    space = knowledge.devices.sources.encoding.space
    usable = comparable(measurements, space)
    train, held = _medians(usable, space)
    predictor = knowledge.transfer(train, seed=seed)
    outcome = _judged(predictor, train, held, coverage)
    quality = quality_of(outcome, coverage, len(train), timed_twice(usable, space))
    origin = {"source": f"what is known of {', '.join(knowledge.table.names)}", "licence": "see each device's own"}
    return model_of(predictor, usable, space, quality, source="transferred", origin=origin)


def transfer_errors(measurements: Sequence[Measurement], knowledge: SourceKnowledge, *, seed: int = 0) -> np.ndarray:
    """Logarithms of measured over predicted latencies of the training networks, predicted in folds without them."""
    space = knowledge.devices.sources.encoding.space
    train, _ = _medians(comparable(measurements, space), space)
    archs = list(train)
    fold = np.random.default_rng([seed, 16]).permutation(len(archs)) % FOLDS
    errors = []
    for index in range(FOLDS):
        rest = {arch: train[arch] for arch, part in zip(archs, fold) if part != index}
        left = [arch for arch, part in zip(archs, fold) if part == index]
        if left:
            predicted = knowledge.transfer(rest, seed=seed).predict(left, 0.5)
            errors.append(np.log(np.array([train[arch] for arch in left]) / predicted.mean_ms))
    return np.concatenate(errors)


def _medians(measurements: Sequence[Measurement], space: Space) -> tuple[dict[Arch, float], dict[Arch, float]]:
    """Latency in ms of each architecture to train on, and of each to judge by, with the space's own classes.

    Both in the order of :class:`TimedNetworks`.
    """
    found: dict[tuple[str, Arch], list[float]] = defaultdict(list)
    for item in measurements:
        if item.arch is not None and item.role in (*TRAINING_ROLES, "holdout"):
            factor = class_factor(space, [item.arch], item.num_classes)[0]
            found["holdout" if item.role == "holdout" else "train", item.arch].append(item.latency_ms / factor)
    ordered = sorted(found, key=lambda key: key[1].id)
    medians: dict[str, dict[Arch, float]] = {"train": {}, "holdout": {}}
    for part, arch in ordered:
        medians[part][arch] = float(np.median(found[part, arch]))
    held = medians["holdout"]
    return {arch: ms for arch, ms in medians["train"].items() if arch not in held}, held


def _judged(
    predictor: TransferredPredictor, train: Mapping[Arch, float], held: Mapping[Arch, float], coverage: float
) -> Outcome:
    """Predictions for holdout networks, beside a measured model's baselines where the space lists layers.

    For the training networks, each predicted from the others, where fewer than two were held out.
    """
    if len(held) < 2:
        return Outcome("cross-validation", np.array(list(train.values())), predictor.left_out(coverage))
    prediction, space = predictor.predict(list(held), coverage), predictor.devices.sources.encoding.space
    if isinstance(space, OperatorSpace) or len(train) < MIN_MEASURED:
        return Outcome("holdout", np.array(list(held.values())), prediction)
    training, judged = (
        TimedNetworks.of(space, {(arch, space.num_classes): Timing(ms, 0.0) for arch, ms in timings.items()})
        for timings in (train, held)
    )
    return on_holdout(space, prediction, training, judged)
