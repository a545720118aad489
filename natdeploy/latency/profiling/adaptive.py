"""Which networks to time next on a device, given those that were timed: where the model is least sure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from natdeploy.latency.inputs.encoding import Encoding
from natdeploy.latency.transferred.design import informative
from natdeploy.latency.transferred.ideal import IdealDevices
from natdeploy.latency.transferred.mixture import Inputs
from natdeploy.latency.transferred.mixture_fit import fit_mixture
from natdeploy.latency.transferred.predictor import MIN_MEASURED, SourceKnowledge
from natdeploy.latency.transferred.sources import SHIFT, log_latency
from natdeploy.spaces import Arch, Space

#: Variance of log latencies over architectures that is expected where no other device tells it.
VARIANCE = 0.1


def next_networks(
    space: Space,
    pool: Sequence[Arch],
    timed: Mapping[Arch, float],
    count: int,
    *,
    knowledge: SourceKnowledge | None = None,
    seed: int = 0,
) -> list[Arch]:
    """Those of a pool whose timings would leave the least uncertainty over all of it.

    A Gaussian process (:mod:`natdeploy.latency.transferred.mixture`) over what the networks amount to, over what other
    devices say of them, and over their genes is weighed by the timings there are; with fewer than three, by what
    devices in general are like. The same timings give the same choice.

    Args:
        space: of the networks.
        pool: candidates, drawn from the space as networks will be asked for.
        timed: latencies in ms on the device.
        count: how many to choose; fewer where the pool has fewer that were not timed.
        knowledge: of other devices, if there are enough.
        seed: of the candidates that are looked at.
    """
    free = [arch for arch in pool if arch not in timed]
    if not free or count < 1:
        return []
    known = tuple(timed)
    inputs: Callable[[Sequence[Arch]], Inputs] = _Ideal(space, pool) if knowledge is None else knowledge.devices
    variance = VARIANCE if knowledge is None else knowledge.variance()
    given = inputs(known) if known else None
    weights = None
    if given is not None and len(known) >= MIN_MEASURED:
        latency_ms = np.array(list(timed.values()))
        log_ms = log_latency(latency_ms, SHIFT * float(np.median(latency_ms)))
        real = 0 if knowledge is None else len(knowledge.table.names)
        mixture = fit_mixture(given, log_ms, variance, real=real)
        weights = mixture.share @ mixture.weights
    rows = informative(inputs(free), min(count, len(free)), seed=seed, given=given, weights=weights)
    return [free[row] for row in rows]


class _Ideal:
    """Architectures as a mixture sees them that knows no device but ideal ones."""

    def __init__(self, space: Space, pool: Sequence[Arch]) -> None:
        self._encoding, self._ideal = Encoding.of(space, pool), IdealDevices.of(space, pool)

    def __call__(self, archs: Sequence[Arch]) -> Inputs:
        return Inputs(self._encoding(archs), self._ideal(archs))
