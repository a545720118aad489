"""Gaussian processes for a device with few measurements: many hypotheses, weighed by how well each explains them.

A hypothesis is a kernel: how much the device is like the source devices (like all of them, or like one above all), how
much it has of its own (in what operators amount to, in single genes, in curved functions of both), and how noisy its
timings are. Ten measurements cannot settle on one, so predictions are averaged over the posterior of all of them
(Bayesian model averaging, Hoeting et al. 1999), with the overall scale integrated out (Rasmussen and Williams, 2.7).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np

from natdeploy.latency.inputs.encoding import Encoded
from natdeploy.latency.transferred.sources import radial

#: Prior variance of a device's mean log latency, in units of its variance over architectures.
CONSTANT = 100.0
#: Share of the like-one-source term when a hypothesis singles one out.
FOCUS = 0.8
#: What a device has of its own, against 1 for what it shares; split between structure, genes and curved functions.
OWN = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
SPLITS = ((0.7, 0.2, 0.1), (0.2, 0.6, 0.2), (0.1, 0.3, 0.6))
NOISE = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
#: Inverse-gamma prior of the overall variance: weight of the prior in degrees of freedom.
PRIOR_FREEDOM = 4.0
#: Numbers that a part of many predictions keeps at a time.
CACHED = 1 << 17
#: Families of hypotheses: like no other device, like real ones, like real and ideal ones; the latter two with and
#: without something of its own.
FAMILIES = ("unlike", "like real", "like real, and its own", "like any", "like any, and its own")


@dataclass(frozen=True, eq=False)
class Inputs:
    """Architectures as a mixture sees them.

    Attributes:
        encoded: their encoding.
        on_sources: standardised latencies on source devices and ideal ones, predicted; float64 ``[n, sources]``.
    """

    encoded: Encoded
    on_sources: np.ndarray

    def __len__(self) -> int:
        return len(self.on_sources)

    def rows(self, rows: np.ndarray | slice) -> Inputs:
        """Some of the architectures."""
        return Inputs(self.encoded.rows(rows), self.on_sources[rows])

    def columns(self, columns: np.ndarray) -> Inputs:
        """Some of the sources."""
        return Inputs(self.encoded, self.on_sources[:, columns])


def components(left: Inputs, right: Inputs) -> np.ndarray:
    """Kernels of which hypotheses are made: constant, all sources, their mean, each source, structure, genes, curved.

    Returns float64 ``[6 + sources, left, right]``; noise is not among them.
    """
    sources = left.on_sources.shape[1]
    shared = left.on_sources @ right.on_sources.T / sources
    mean = np.outer(left.on_sources.mean(1), right.on_sources.mean(1))
    each = left.on_sources.T[:, :, None] * right.on_sources.T[:, None, :]
    return np.stack([np.ones_like(shared), shared, mean, *each, *_own(left.encoded, right.encoded)])


def _own(left: Encoded, right: Encoded) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Kernels of structure, genes and curved functions."""
    return left.structure @ right.structure.T, left.genes @ right.genes.T, radial(left, right)


def _on_sources(inputs: Inputs) -> np.ndarray:
    """What the other components are linear in: a constant, the sources' mean, each; float64 ``[n, 2 + sources]``."""
    z = inputs.on_sources
    return np.concatenate([np.ones((len(z), 1)), z.mean(1, keepdims=True), z], axis=1)


def _source_weights(weights: np.ndarray) -> np.ndarray:
    """What hypotheses weigh the columns of :func:`_on_sources` with, float64 ``[hypotheses, 2 + sources]``."""
    each = weights[:, 3:-4] + weights[:, 1:2] / max(weights.shape[1] - 7, 1)
    return np.concatenate([weights[:, [0, 2]], each], axis=1)


def _diagonal(inputs: Inputs) -> np.ndarray:
    """Diagonal of :func:`components` of architectures with themselves, float64 ``[6 + sources, n]``."""
    z, encoded = inputs.on_sources, inputs.encoded
    one = np.ones(len(z))
    own = (*(np.einsum("ij,ij->i", part, part) for part in (encoded.structure, encoded.genes)), one)
    return np.stack([one, (z**2).mean(1), z.mean(1) ** 2, *(z**2).T, *own])


@lru_cache(maxsize=32)
def settings() -> np.ndarray:
    """Own part (structure, genes, curved) and noise of the hypotheses, float64 ``[settings, 4]``."""
    own = [(0.0, 0.0, 0.0), *(tuple(size * share for share in split) for size, split in product(OWN, SPLITS))]
    return np.array([(*part, noise) for part, noise in product(own, NOISE)])


@lru_cache(maxsize=32)
def hypotheses(sources: int, real: int) -> tuple[np.ndarray, np.ndarray]:
    """Every hypothesis, and the family it belongs to.

    Likenesses: none; all real sources alike, or one of them above all; all sources, ideal ones too, alike, their mean,
    or one of them above all.

    Args:
        sources: real devices, then ideal ones.
        real: how many of them are real; 0 tells none apart.

    Returns weights of :func:`components` and of noise, float64 ``[hypotheses, 7 + sources]``, and indices of
    :data:`FAMILIES`, int64 ``[hypotheses]``.
    """
    every, each = np.zeros(2 + sources), np.eye(2 + sources)
    every[0] = 1
    likeness = [np.zeros(2 + sources), every, *((1 - FOCUS) * every + FOCUS * each[1:])]
    kind = [0, *[2] * (len(likeness) - 1)]
    if 0 < real < sources:
        alike = each[2 : 2 + real].mean(0)
        likeness += [alike, *((1 - FOCUS) * alike + FOCUS * each[2 : 2 + real])]
        kind += [1] * (1 + real)
    elif real:
        kind = [0, *[1] * (len(likeness) - 1)]
    table = np.zeros((len(likeness), len(settings()), 7 + sources))
    table[:, :, 0] = CONSTANT
    table[:, :, 1 : 3 + sources] = np.array(likeness)[:, None]
    table[:, :, 3 + sources :] = settings()
    apart = table[0, :, -4:-1].sum(1) > 0
    family = np.array([[0, 0], [1, 2], [3, 4]])[kind][:, apart.astype(int)]
    # A device that is like no other and has nothing of its own takes as long for every architecture.
    possible = ((np.array(kind) > 0)[:, None] | apart).reshape(-1)
    return table.reshape(-1, table.shape[2])[possible], family.reshape(-1)[possible]


def evidence(weights: np.ndarray, kernels: np.ndarray, log_ms: np.ndarray, variance: float) -> np.ndarray:
    """Log marginal likelihood of each hypothesis, up to a constant; float64 ``[hypotheses]``.

    Args:
        weights: hypotheses, ``[hypotheses, 7 + sources]``.
        kernels: :func:`components` of the measured architectures.
        log_ms: their log latencies.
        variance: of log latencies over architectures, as on the source devices.
    """
    count = len(log_ms)
    found = np.empty(len(weights))
    step = max(1, int(4e6) // count**2)
    for start in range(0, len(weights), step):
        part = weights[start : start + step]
        gram = (part[:, :-1] @ kernels.reshape(len(kernels), -1)).reshape(-1, count, count)
        gram[:, range(count), range(count)] += part[:, -1:]
        lower = np.linalg.cholesky(gram)
        residual = np.linalg.solve(lower, np.broadcast_to(log_ms[:, None], (len(part), count, 1)))[..., 0]
        log_det = 2 * np.log(np.diagonal(lower, axis1=1, axis2=2)).sum(1)
        scale = np.log(PRIOR_FREEDOM * variance + (residual**2).sum(1))
        found[start : start + step] = -0.5 * log_det - 0.5 * (PRIOR_FREEDOM + count) * scale
    return found


class Mixture:
    """A device's log latencies, given some measurements.

    Args:
        weights: kept hypotheses, ``[kept, 7 + sources]``.
        share: posterior probability of each, ``[kept]``.
        measured: measured architectures.
        log_ms: their log latencies.
        variance: as in :func:`evidence`.
    """

    def __init__(
        self, weights: np.ndarray, share: np.ndarray, measured: Inputs, log_ms: np.ndarray, variance: float
    ) -> None:
        self.weights, self.share, self.measured, self.log_ms, self.variance = weights, share, measured, log_ms, variance
        kernels = components(measured, measured)
        count = len(log_ms)
        gram = np.tensordot(weights[:, :-1], kernels, 1) + weights[:, -1, None, None] * np.eye(count)
        self._inverse = np.linalg.inv(gram)
        self._dual = self._inverse @ log_ms
        self._scale = (PRIOR_FREEDOM * variance + self._dual @ log_ms) / (PRIOR_FREEDOM + count)

    def predict(self, inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of log latencies to be measured, float64 ``[n]`` each."""
        step = max(16, CACHED // ((len(self.weights) + 4) * len(self.measured)))
        parts = [self._part(inputs.rows(slice(start, start + step))) for start in range(0, max(len(inputs), 1), step)]
        means, variances = (np.concatenate(part, axis=1) for part in zip(*parts))
        return _moments(self.share, means, variances)

    def _part(self, inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
        """Means and variances by each hypothesis, float64 ``[kept, n]``.

        What is linear in sources is multiplied out for each hypothesis, which is less than to weigh every component.
        """
        weights, own = self.weights, self.weights[:, -4:-1]
        own_kernels = np.stack(_own(inputs.encoded, self.measured.encoded))
        cross = np.tensordot(own, own_kernels, 1)
        cross += _on_sources(inputs) * _source_weights(weights)[:, None] @ _on_sources(self.measured).T
        explained = np.einsum("hnm,hnm->hn", cross @ self._inverse, cross)
        prior = weights[:, :-1] @ _diagonal(inputs)
        means = (cross @ self._dual[:, :, None])[..., 0]
        return means, self._scale[:, None] * (np.maximum(prior - explained, 0) + weights[:, -1:])

    def left_out(self) -> tuple[np.ndarray, np.ndarray]:
        """The measured architectures' own, each predicted from the others (Rasmussen and Williams, 5.4.2)."""
        precision = np.diagonal(self._inverse, axis1=1, axis2=2)
        return _moments(self.share, self.log_ms - self._dual / precision, self._scale[:, None] / precision)


def _moments(share: np.ndarray, means: np.ndarray, variances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean = share @ means
    return mean, np.sqrt(np.maximum(share @ (variances + means**2) - mean**2, 1e-12))
