"""Which few architectures to measure on a new device: those that together leave the least variance over all of them."""

from __future__ import annotations

import numpy as np

from natdeploy.latency.transferred.mixture import CONSTANT, Inputs, components

#: Candidates that are looked at, drawn at random from the pool.
CANDIDATES = 400
#: What a device is expected to have of its own (structure, genes, curved) and its noise, beside the sources' average.
OWN, NOISE = (0.05, 0.04, 0.01), 0.03


def informative(
    pool: Inputs, count: int, *, seed: int = 0, given: Inputs | None = None, weights: np.ndarray | None = None
) -> np.ndarray:
    """Rows of the pool to measure, int64 ``[count]``, best first.

    Greedy integrated-variance (I-optimal) design (Seo et al. 2000): each next architecture is the one whose measurement
    leaves the least total variance over the candidates, under a prior in which the device is a mix of the sources and
    a little of its own. Longer lists of a seed begin with the shorter ones.

    Args:
        pool: candidates.
        count: how many to choose.
        seed: of the candidates that are looked at.
        given: architectures that are measured already.
        weights: of :func:`natdeploy.latency.transferred.mixture.components` and of noise, as measurements taught
            them; the prior's if not given.
    """
    rows = np.random.default_rng([seed, 13]).permutation(len(pool))[: max(CANDIDATES, count)]
    candidates = pool.rows(rows)
    covariance = _covariance(candidates, candidates, weights)
    noise = NOISE if weights is None else float(weights[-1])
    if given is not None and len(given):
        known = _covariance(given, given, weights) + noise * np.eye(len(given))
        cross = _covariance(given, candidates, weights)
        covariance = covariance - cross.T @ np.linalg.solve(known, cross)
    free = np.ones(len(rows), bool)
    chosen = []
    for _ in range(min(count, len(rows))):
        gain = (covariance**2).sum(0) / (np.diagonal(covariance) + noise)
        pick = int(np.argmax(np.where(free, gain, -np.inf)))
        free[pick] = False
        chosen.append(int(rows[pick]))
        column = covariance[:, pick].copy()
        covariance -= np.outer(column, column) / (column[pick] + noise)
    return np.array(chosen, np.int64)


def _covariance(left: Inputs, right: Inputs, weights: np.ndarray | None) -> np.ndarray:
    kernels = components(left, right)
    if weights is not None:
        return np.asarray(np.tensordot(weights[:-1], kernels, 1))
    return np.asarray(CONSTANT * kernels[0] + kernels[1] + np.tensordot(OWN, kernels[-3:], 1))
