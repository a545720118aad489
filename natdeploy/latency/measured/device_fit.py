"""The latency model of a device from its own timings and, where other devices are known, from theirs.

With few timings the model is transferred; with enough to train one of the device alone, both are trained and the one
that is nearer to networks left out is taken, so that knowing more never makes it worse.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from natdeploy.ground.errors import BadInput
from natdeploy.latency.measured.comparable import TRAINING_ROLES
from natdeploy.latency.measured.fit import MIN_NETWORKS, fit_and_leave_out
from natdeploy.latency.model import LatencyModel
from natdeploy.latency.transferred.fit import fit_transferred_model, transfer_errors
from natdeploy.latency.transferred.predictor import SourceKnowledge
from natdeploy.measure import Measurement
from natdeploy.spaces import Space

#: Networks beyond which other devices have nothing to add that would be worth the time it takes to find out.
MOST_TRANSFERRED = 600


def fit_device_model(
    measurements: Sequence[Measurement],
    space: Space,
    knowledge: SourceKnowledge | Callable[[], SourceKnowledge | None] | None,
    *,
    coverage: float = 0.9,
    seed: int = 0,
) -> LatencyModel:
    """Train on a device's timings; its ``source`` says which way was taken, ``measured`` or ``transferred``.

    Args:
        measurements: as for :func:`natdeploy.latency.fit_latency_model`.
        space: of the networks.
        knowledge: of other devices, or what finds it, asked only where it can help; None where there is too little.
        coverage: share of intervals that shall hold.
        seed: of training.

    Raises BadInput for measurements that must not be mixed, and for too few of them: 30 without knowledge of other
    devices, three with it.
    """
    networks = {item.arch for item in measurements if item.trusted and item.role in TRAINING_ROLES}
    known = knowledge() if callable(knowledge) and len(networks) <= MOST_TRANSFERRED else knowledge
    if known is None or callable(known):
        return fit_and_leave_out(measurements, space, coverage=coverage, seed=seed)[0]
    if len(networks) < MIN_NETWORKS:
        return fit_transferred_model(measurements, known, coverage=coverage, seed=seed)
    try:
        alone, errors = fit_and_leave_out(measurements, space, coverage=coverage, seed=seed)
    except BadInput:  # too few of them are usable for a model of the device alone
        return fit_transferred_model(measurements, known, coverage=coverage, seed=seed)
    shared = transfer_errors(measurements, known, seed=seed)
    if np.abs(shared).mean() < np.abs(errors).mean():
        return fit_transferred_model(measurements, known, coverage=coverage, seed=seed)
    return alone
