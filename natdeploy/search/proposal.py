"""From an evaluated archive to the architectures to evaluate next: learn, evolve on what was learned, choose."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from natdeploy.runs import ArchiveEntry, SearchSettings
from natdeploy.search.accuracy import PredictedEvaluator
from natdeploy.search.archive import front
from natdeploy.search.candidates import select_candidates
from natdeploy.search.estimates import Estimate, Estimator
from natdeploy.search.evolution import evolve
from natdeploy.search.objectives import ObjectiveSet
from natdeploy.search.seeds import Purpose, key, whole
from natdeploy.search.surrogates import (
    AutoSurrogate,
    Prediction,
    Surrogate,
    agreement,
    cross_validated,
    make_surrogate,
)
from natdeploy.spaces import Arch


@dataclass(frozen=True, eq=False)
class Proposal:
    """Architectures worth an evaluation.

    Attributes:
        estimates: the architectures, all within the budget, none evaluated before; may be empty.
        predicted: costs of the learned objectives as the surrogates see them, ``[learned, n]``.
        surrogate: as in :class:`~natdeploy.runs.HistoryStep`, before the candidates are evaluated.
    """

    estimates: tuple[Estimate, ...]
    predicted: np.ndarray
    surrogate: dict[str, Any]


def propose(
    archive: Sequence[ArchiveEntry],
    tried: Collection[Arch],
    estimator: Estimator,
    objectives: ObjectiveSet,
    settings: SearchSettings,
    *,
    seed: int,
    iteration: int,
    exact: PredictedEvaluator | None = None,
) -> Proposal:
    """Propose up to ``settings.candidates`` architectures.

    Args:
        archive: evaluated entries with the same weights; at least one. Only these teach the surrogates.
        tried: what must not be proposed: everything evaluated, and everything that failed.
        estimator, objectives, settings: of the run.
        seed, iteration: key of all randomness.
        exact: gives the accuracies themselves where they are predicted; nothing is learned then.
    """
    space = estimator.space
    surrogate_seed = whole(key(seed, iteration, Purpose.SURROGATE))
    learners: list[Callable[[np.ndarray], Prediction]]
    about: dict[str, Any]
    if exact is None:
        surrogates, quality = _learn(archive, estimator, objectives, settings.surrogate, surrogate_seed)
        learners, about = [surrogate.predict for surrogate in surrogates], {"name": settings.surrogate, "of": quality}
    else:
        learners, about = [exact.error_of for _ in objectives.learned], {"name": f"predictor:{exact.name}", "of": {}}

    def judge(genomes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        archs = [space.decode(genome) for genome in genomes]
        estimates = estimator(archs)
        features = np.array([space.factored(arch) for arch in archs])
        learned = [learner(features).mean for learner in learners]
        return objectives.predicted(estimates, learned), objectives.over(estimates, learned)

    evolved = evolve(
        space,
        judge,
        [space.encode(entry.arch) for entry in _best_first(archive, objectives)],
        settings,
        n_objectives=len(objectives),
        seed=key(seed, iteration, Purpose.EVOLUTION),
    )
    archs = [space.decode(genome) for genome in evolved.genomes]
    known = set(tried) | {entry.arch for entry in archive}
    new = np.array([i for i, arch in enumerate(archs) if evolved.violations[i] <= 0 and arch not in known], np.int64)
    chosen = new[
        select_candidates(
            evolved.costs[new],
            np.array([objective.learned for objective in objectives.objectives]),
            objectives.costs([entry for entry in archive if entry.feasible]),
            settings.candidates,
        )
    ]
    picked = [archs[index] for index in chosen]
    features = np.array([space.factored(arch) for arch in picked])
    predicted = [learner(features).mean for learner in learners] if picked else []
    rows = np.array(predicted).reshape(len(predicted), len(picked))
    return Proposal(tuple(estimator(picked)), rows, about)


def judged(proposal: Proposal, entries: Sequence[ArchiveEntry], objectives: ObjectiveSet) -> dict[str, Any]:
    """The proposal's ``surrogate`` with its agreement with the evaluations, objective by objective."""
    found = {entry.arch: entry for entry in entries}
    rows = [row for row, estimate in enumerate(proposal.estimates) if estimate.arch in found]
    evaluated = [found[proposal.estimates[row].arch] for row in rows]
    qualities = dict(proposal.surrogate["of"])
    for objective, predicted in zip(objectives.learned, proposal.predicted):
        if objective.name in qualities:  # a predictor's own accuracies are not judged by themselves
            values = np.array([objective.cost(entry) for entry in evaluated])
            qualities[objective.name] = {**qualities[objective.name], **agreement(predicted[rows], values)}
    return {**proposal.surrogate, "of": qualities}


def in_words(surrogate: Mapping[str, Any]) -> str:
    """What learned what, with its cross-validated rank correlation: ``top1 by gp (tau 0.91), top1:pets by mlp``."""
    told = []
    for name, quality in surrogate["of"].items():
        tau = quality["cv_kendall"]
        by = f"{name} by {quality.get('chosen', surrogate['name'])}"
        told.append(by if tau is None else f"{by} (tau {tau:.2f})")
    return ", ".join(told)


def _learn(
    archive: Sequence[ArchiveEntry], estimator: Estimator, objectives: ObjectiveSet, name: str, seed: int
) -> tuple[list[Surrogate], dict[str, dict[str, Any]]]:
    """A fitted surrogate per learned objective, and the cross-validated quality of each by the objective's name."""
    features = np.array([estimator.space.factored(entry.arch) for entry in archive])
    surrogates: list[Surrogate] = []
    quality: dict[str, dict[str, Any]] = {}
    for objective in objectives.learned:
        values = np.array([objective.cost(entry) for entry in archive])
        surrogate = make_surrogate(name, seed)
        if len(values) == 1:  # all that is known is one value
            surrogate.fit(np.repeat(features, 2, axis=0), np.repeat(values, 2))
        else:
            surrogate.fit(features, values)
        quality[objective.name] = _quality(surrogate, name, features, values, seed)
        surrogates.append(surrogate)
    return surrogates, quality


def _quality(surrogate: Surrogate, name: str, features: np.ndarray, values: np.ndarray, seed: int) -> dict[str, Any]:
    """Cross-validated agreement, ``cv_kendall`` and so on; of a surrogate that chooses also what, and from what."""
    if isinstance(surrogate, AutoSurrogate):  # has cross-validated all of them already
        found = surrogate.quality
        more = {"chosen": surrogate.chosen, "cv_kendall_of": surrogate.kendall}
    else:
        found, more = cross_validated(name, features, values, seed), {}
    return {**{f"cv_{measure}": value for measure, value in found.items()}, **more}


def _best_first(archive: Sequence[ArchiveEntry], objectives: ObjectiveSet) -> list[ArchiveEntry]:
    """The front, then other feasible entries, then the rest by how far they are over budget or limits."""
    best = {entry.arch for entry in front(archive, objectives)}
    return sorted(
        archive,
        key=lambda e: (
            e.arch not in best,
            not e.feasible,
            0.0 if e.feasible else objectives.requirements.over(e),
            e.id,
        ),
    )
