"""Gaussian processes for a device with few measurements: many hypotheses, weighed by how well each explains them.

A hypothesis is a kernel: how much the device is like the source devices (like all of them, or like one above all), how
much it has of its own (in what operators amount to, in single genes, in curved functions of both), and how noisy its
timings are. Ten measurements cannot settle on one, so predictions are averaged over the posterior of all of them
(Bayesian model averaging, Hoeting et al. 1999), with the overall scale integrated out (Rasmussen and Williams, 2.7).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np

from natdeploy.ground.errors import BadInput
from natdeploy.latency.encoding import Encoded
from natdeploy.latency.sources import radial

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
#: More measurements than this are compared with all hypotheses on a part of them first.
SCREEN = 48
#: Hypotheses kept: at most so many with few measurements, and with more than :data:`SCREEN`.
KEPT, KEPT_MANY = 24, 2
LEAST_WEIGHT = 1e-3
#: Factors by which the best hypothesis is varied when there are many measurements.
STEPS = (1 / 3, 3.0)


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

    def rows(self, rows: np.ndarray) -> Inputs:
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
    a, b = left.encoded, right.encoded
    own = (a.structure @ b.structure.T, a.genes @ b.genes.T, radial(a, b))
    return np.stack([np.ones_like(shared), shared, mean, *each, *own])


def _diagonal(inputs: Inputs) -> np.ndarray:
    """Diagonal of :func:`components` of architectures with themselves, float64 ``[6 + sources, n]``."""
    z, encoded = inputs.on_sources, inputs.encoded
    one = np.ones(len(z))
    own = ((encoded.structure**2).sum(1), (encoded.genes**2).sum(1), one)
    return np.stack([one, (z**2).mean(1), z.mean(1) ** 2, *(z**2).T, *own])


@lru_cache(maxsize=32)
def settings() -> np.ndarray:
    """Own part (structure, genes, curved) and noise of the hypotheses, float64 ``[settings, 4]``."""
    own = [(0.0, 0.0, 0.0), *(tuple(size * share for share in split) for size, split in product(OWN, SPLITS))]
    return np.array([(*part, noise) for part, noise in product(own, NOISE)])


@lru_cache(maxsize=32)
def hypotheses(sources: int) -> np.ndarray:
    """Every hypothesis: weights of :func:`components` and of noise, float64 ``[likenesses, settings, 7 + sources]``.

    Likenesses: none, all sources alike, the mean of all, each source.
    """
    likeness = np.zeros((3 + sources, 2 + sources))
    likeness[1, 0] = 1
    likeness[2:, 0] = 1 - FOCUS
    likeness[2:, 1:] = FOCUS * np.eye(1 + sources)
    table = np.zeros((len(likeness), len(settings()), 7 + sources))
    table[:, :, 0] = CONSTANT
    table[:, :, 1 : 3 + sources] = likeness[:, None]
    table[:, :, 3 + sources :] = settings()
    return table


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
        self._inverse, self._dual, self._scale = [], [], []
        for row in weights:
            inverse = np.linalg.inv(np.tensordot(row[:-1], kernels, 1) + row[-1] * np.eye(count))
            dual = inverse @ log_ms
            self._inverse.append(inverse)
            self._dual.append(dual)
            self._scale.append((PRIOR_FREEDOM * variance + log_ms @ dual) / (PRIOR_FREEDOM + count))

    def predict(self, inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of log latencies to be measured, float64 ``[n]`` each."""
        kernels, diagonal = components(inputs, self.measured), _diagonal(inputs)
        means, variances = [], []
        for row, inverse, dual, scale in zip(self.weights, self._inverse, self._dual, self._scale):
            cross = np.tensordot(row[:-1], kernels, 1)
            explained = ((cross @ inverse) * cross).sum(1)
            means.append(cross @ dual)
            variances.append(scale * (np.maximum(row[:-1] @ diagonal - explained, 0) + row[-1]))
        return _moments(self.share, np.array(means), np.array(variances))

    def left_out(self) -> tuple[np.ndarray, np.ndarray]:
        """The measured architectures' own, each predicted from the others (Rasmussen and Williams, 5.4.2)."""
        precision = np.array([np.diagonal(inverse) for inverse in self._inverse])
        means = self.log_ms - np.array(self._dual) / precision
        return _moments(self.share, means, np.array(self._scale)[:, None] / precision)


def fit_mixture(
    measured: Inputs, log_ms: np.ndarray, variance: float, *, parts: str = "both", seed: int | Sequence[int] = 0
) -> Mixture:
    """Weigh all hypotheses by the measurements and keep those that matter.

    Args:
        measured: measured architectures.
        log_ms: their log latencies.
        variance: as in :func:`evidence`.
        parts: ``"both"`` likeness and a part of its own; ``"likeness"`` alone; ``"own"`` alone, as if there were no
            other devices. The latter two are there to be compared with.
        seed: of the measurements on which hypotheses are compared first, where there are many.
    """
    table = hypotheses(measured.on_sources.shape[1])
    if parts == "likeness":
        table = table[1:, table[0, :, -4:-1].sum(1) == 0]
    elif parts == "own":
        table = table[:1]
    elif parts != "both":
        raise BadInput(f"parts are 'both', 'likeness' or 'own', not {parts!r}")
    weights = table.reshape(-1, table.shape[2])
    prior = np.zeros(table.shape[:2])
    if parts == "both":  # to be like no other is as probable as all likenesses together
        prior[0] = np.log(len(table) - 1)
    many = len(log_ms) > SCREEN
    if parts == "both" and not many:
        # To be like others and have nothing of one's own is as probable as all that one may have. Not so with many
        # measurements, which only a part of one's own explains to the last.
        nothing = table[0, :, -4:-1].sum(1) == 0
        prior[1:, nothing] = np.log((~nothing).sum() / nothing.sum())
    rows = np.random.default_rng(seed).permutation(len(log_ms))[:SCREEN] if many else np.arange(len(log_ms))
    screened = measured.rows(rows)
    score = prior.reshape(-1) + evidence(weights, components(screened, screened), log_ms[rows], variance)
    order = np.argsort(-score)[: KEPT_MANY if many else KEPT]
    weights, score = weights[order], score[order]
    if many:
        weights, score = _refined(weights, components(measured, measured), log_ms, variance, parts == "both")
    share = np.exp(score - score.max())
    kept = share >= LEAST_WEIGHT
    return Mixture(weights[kept], share[kept] / share[kept].sum(), measured, log_ms, variance)


def _refined(
    weights: np.ndarray, kernels: np.ndarray, log_ms: np.ndarray, variance: float, grow: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The best hypothesis, with its own parts, likeness and noise varied as long as that explains more."""
    scores = evidence(weights, kernels, log_ms, variance)
    best, row = float(scores.max()), weights[int(scores.argmax())].copy()
    likeness, own = list(range(1, len(row) - 4)), list(range(len(row) - 4, len(row) - 1))
    if grow:
        row[1] = max(row[1], 1e-3)
        row[own] = np.maximum(row[own], 1e-4)
        best = float(evidence(row[None], kernels, log_ms, variance)[0])
    varied = [likeness, *([column] for column in own), [len(row) - 1]]
    for _ in range(2):
        for columns in varied:
            for factor in STEPS:
                while True:
                    tried = row.copy()
                    tried[columns] *= factor
                    found = float(evidence(tried[None], kernels, log_ms, variance)[0])
                    if found <= best + 0.5 or not 1e-6 < tried[columns].max() < 1e4:
                        break
                    best, row = found, tried
    return row[None], np.array([best])


def _moments(share: np.ndarray, means: np.ndarray, variances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean = share @ means
    return mean, np.sqrt(np.maximum(share @ (variances + means**2) - mean**2, 1e-12))
