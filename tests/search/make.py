"""Entries and estimators for tests."""

from __future__ import annotations

import numpy as np

from natdeploy.runs import ArchiveEntry
from natdeploy.search import Estimator, ObjectiveSet
from natdeploy.search.estimates import Elsewhere
from natdeploy.spaces import Arch
from tests.search.synthetic import SPACE, Latency, true_accuracy

BUDGET_MS = 5.0


def estimator(budget_ms: float = BUDGET_MS) -> Estimator:
    return Estimator(SPACE, Latency(), budget_ms, 10, elsewhere={"": Elsewhere(None, watts=2.0)})


def objectives(*names: str, budget_ms: float = BUDGET_MS) -> ObjectiveSet:
    return ObjectiveSet(names or ("top1", "latency_ms"), estimator(budget_ms))


def sample(count: int, seed: int = 0) -> list[Arch]:
    rng = np.random.default_rng(seed)
    return list(dict.fromkeys(SPACE.sample(rng) for _ in range(count)))


def evaluated(archs: list[Arch], budget_ms: float = BUDGET_MS) -> list[ArchiveEntry]:
    return [item.with_accuracy(true_accuracy(item.arch), 0.5, 500, 0) for item in estimator(budget_ms)(archs)]


def made_up(points: list[tuple[float, float]], budget_ms: float = BUDGET_MS) -> list[ArchiveEntry]:
    """Entries of given top-1 and latency."""
    archs = sample(len(points) + 20)
    return [
        ArchiveEntry(arch, top1, 0.5, 500, ms, ms, ms, 1, 1, 1, 0, ms <= budget_ms)
        for arch, (top1, ms) in zip(archs, points)
    ]
