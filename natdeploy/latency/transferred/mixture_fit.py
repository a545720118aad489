"""Which hypotheses about a device to believe, and how much of each, given some measurements.

Few measurements: every hypothesis in proportion to its evidence and the prior of its family. Many: the best hypothesis
of each family, refined, in the proportions that predict each measurement best from the others (stacking of predictors,
Wolpert 1992; by closed forms, so that nothing is fitted again), shrunk towards equal ones. So the blend has all that
its parts have: what other devices tell, and what this device tells alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from natdeploy.ground.errors import BadInput
from natdeploy.latency.transferred.mixture import FAMILIES, Inputs, Mixture, components, evidence, hypotheses

#: More measurements than this are many.
FEW = 24
#: Prior weight of each of the families with few measurements: to be like others and have nothing of one's own is more
#: probable. Chosen on devices of OneProxy's and HELP's tables other than those by which the predictors are judged.
PRIOR = (1.0, 4.0, 1.0, 4.0, 1.0)
#: Hypotheses kept with few measurements, at most, and the least share that one is kept with.
KEPT, LEAST_WEIGHT = 32, 1e-3
#: Measurements on which hypotheses are compared first, and on which the best ones are refined, at most.
SCREEN, REFINE = 48, 300
#: Families of which one hypothesis each is stacked with many measurements, in groups that stand for the same.
STACKED = (("unlike",), ("like real, and its own",), ("like any, and its own",), ("like real", "like any"))
#: Measurements that equal proportions of the stack count for.
SHRINKAGE = 5.0
#: Factors by which a hypothesis is varied to refine it.
STEPS = (1 / 3, 3.0)
#: Families that a comparison is restricted to, by name.
PARTS = {
    "both": FAMILIES,
    "likeness": ("like real", "like any"),
    "own": ("unlike",),
}


def fit_mixture(
    measured: Inputs,
    log_ms: np.ndarray,
    variance: float,
    *,
    real: int = 0,
    parts: str = "both",
    seed: int | Sequence[int] = 0,
) -> Mixture:
    """Weigh all hypotheses by the measurements and keep those that matter.

    Args:
        measured: measured architectures.
        log_ms: their log latencies.
        variance: as in :func:`natdeploy.latency.transferred.mixture.evidence`.
        real: how many of the sources are real devices, if these are told apart from ideal ones; they come first.
        parts: ``"both"`` likeness and a part of its own; ``"likeness"`` alone; ``"own"`` alone, as if there were no
            other devices. The latter two are there to be compared with.
        seed: of the measurements on which hypotheses are compared first, where there are many.
    """
    if parts not in PARTS:
        raise BadInput(f"parts are {', '.join(map(repr, PARTS))}, not {parts!r}")
    weights, family = hypotheses(measured.on_sources.shape[1], real)
    wanted = np.isin(family, [FAMILIES.index(name) for name in PARTS[parts]])
    known = _Known(measured, log_ms, variance, np.random.default_rng(seed).permutation(len(log_ms)))
    fit = _many if len(log_ms) > FEW else _few
    return known.mixture(*fit(weights[wanted], family[wanted], known))


@dataclass(frozen=True, eq=False)
class _Known:
    """Measurements, the variance that is expected of them, and the order in which some of them stand for all."""

    measured: Inputs
    log_ms: np.ndarray
    variance: float
    order: np.ndarray

    def first(self, count: int) -> _Known:
        """Some of them."""
        rows = self.order[:count]
        return _Known(self.measured.rows(rows), self.log_ms[rows], self.variance, np.arange(len(rows)))

    def evidence(self, weights: np.ndarray) -> np.ndarray:
        """Of each hypothesis, see :func:`natdeploy.latency.transferred.mixture.evidence`."""
        return evidence(weights, self._kernels, self.log_ms, self.variance)

    def mixture(self, weights: np.ndarray, share: np.ndarray) -> Mixture:
        """The device, given these measurements and hypotheses in these proportions."""
        return Mixture(weights, share, self.measured, self.log_ms, self.variance)

    @cached_property
    def _kernels(self) -> np.ndarray:
        return components(self.measured, self.measured)


def _few(weights: np.ndarray, family: np.ndarray, known: _Known) -> tuple[np.ndarray, np.ndarray]:
    """Hypotheses and their posterior probabilities."""
    size = np.bincount(family, minlength=len(FAMILIES))
    score = np.log(np.array(PRIOR)[family] / size[family])
    score += known.evidence(weights)
    order = np.argsort(-score)[:KEPT]
    share = np.exp(score[order] - score[order[0]])
    kept = share >= LEAST_WEIGHT
    return weights[order[kept]], share[kept] / share[kept].sum()


def _many(weights: np.ndarray, family: np.ndarray, known: _Known) -> tuple[np.ndarray, np.ndarray]:
    """Refined hypotheses and their proportions."""
    score = known.first(SCREEN).evidence(weights)
    refine = known.first(REFINE)
    found = []
    for names in STACKED:
        among = np.flatnonzero(np.isin(family, [FAMILIES.index(name) for name in names]))
        if len(among):
            best = weights[among[score[among].argmax()]]
            found.append(_refined(best, refine, grow=names[0].endswith("own")))
    refined = np.array(found)
    alone = [known.mixture(row[None], np.ones(1)).left_out()[0] for row in refined]
    return refined, stack(np.stack(alone, axis=1), known.log_ms)


def stack(left_out: np.ndarray, log_ms: np.ndarray) -> np.ndarray:
    """Proportions of predictors, from what each says of every measurement without it; float64 ``[predictors]``.

    Least squares over proportions that are not negative and add up to one, with :data:`SHRINKAGE` measurements' worth
    of a pull towards equal ones.

    Args:
        left_out: float64 ``[n, predictors]``.
        log_ms: the measurements, float64 ``[n]``.
    """
    from scipy.optimize import nnls

    errors = left_out - log_ms[:, None]
    count = errors.shape[1]
    unit = max(float(np.sqrt((errors**2).mean(0).min())), 1e-12)
    pull = unit * SHRINKAGE**0.5
    total = 1e3 * unit * len(log_ms) ** 0.5  # weighs as much as makes the sum one
    table = np.concatenate([errors, pull * np.eye(count), np.full((1, count), total)])
    share, _ = nnls(table, np.array([*np.zeros(len(errors)), *np.full(count, pull / count), total]))
    return np.asarray(share / share.sum())


def _refined(row: np.ndarray, known: _Known, *, grow: bool) -> np.ndarray:
    """A hypothesis with its own parts, likeness and noise varied as long as that explains more."""
    row = row.copy()
    likeness, own = list(range(1, len(row) - 4)), list(range(len(row) - 4, len(row) - 1))
    if grow:
        row[own] = np.maximum(row[own], 1e-4)
    best = float(known.evidence(row[None])[0])
    varied = [likeness, *([column] for column in own), [len(row) - 1]]
    for _ in range(2):
        for columns in varied:
            for factor in STEPS:
                while True:
                    tried = row.copy()
                    tried[columns] *= factor
                    if not 1e-6 < tried[columns].max() < 1e4:
                        break
                    explained = float(known.evidence(tried[None])[0])
                    if explained <= best + 0.5:
                        break
                    best, row = explained, tried
    return row
