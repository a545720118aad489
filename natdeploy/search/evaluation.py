"""Evaluating many architectures: a failure is tried once more, then recorded, and never becomes an accuracy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from natdeploy.ground.errors import NatdeployError, OutOfMemory
from natdeploy.runs import ArchiveEntry
from natdeploy.search.accuracy.evaluator import PredictedAccuracy
from natdeploy.search.estimates import Estimate
from natdeploy.search.evaluator import Accuracy, Evaluator, Prepared, Progress, Say, Telling
from natdeploy.search.tasks import SeveralAccuracies
from natdeploy.spaces import Arch

_ATTEMPTS = 2


@dataclass(frozen=True)
class Failure:
    """An architecture that could not be evaluated.

    Attributes:
        arch: which.
        generation: of the weights at the time.
        reason: the last error, in one line.
    """

    arch: Arch
    generation: int
    reason: str

    def to_json(self) -> dict[str, Any]:
        """Plain data; the inverse of :meth:`from_json`."""
        return {"arch": self.arch.to_json(), "generation": self.generation, "reason": self.reason}

    @staticmethod
    def from_json(value: Any) -> Failure:
        """Read :meth:`to_json`'s form."""
        return Failure(Arch.from_json(value["arch"]), int(value["generation"]), str(value["reason"]))


def evaluate_all(
    evaluator: Evaluator,
    estimates: Sequence[Estimate],
    *,
    generation: int,
    stage: str,
    progress: Progress | None = None,
) -> tuple[list[ArchiveEntry], list[Failure]]:
    """Evaluate architectures in order; a crash, a value that is not a number, too little memory count as a failure.

    Errors that concern the user, not the architecture (a full disk, damaged images), are raised. When not a single
    one of several architectures can be evaluated the fault is not theirs either: the last error is raised.
    """
    entries: list[ArchiveEntry] = []
    failures: list[Failure] = []
    last_error: Exception | None = None
    if isinstance(evaluator, Prepared):
        evaluator.prepare([estimate.arch for estimate in estimates])
    for index, estimate in enumerate(estimates):
        if progress and isinstance(evaluator, Telling):
            evaluator.tell(_during(progress, stage, index / len(estimates)))
        for attempt in range(_ATTEMPTS):
            try:
                found = evaluator.evaluate(estimate.arch)
                tasks = found.tasks if isinstance(found, SeveralAccuracies) else {}
                for one in (found, *tasks.values()):
                    if not (math.isfinite(one.top1) and math.isfinite(one.loss)):
                        raise ArithmeticError(f"accuracy {one.top1}, loss {one.loss}")
                figures = float(found.top1), float(found.loss), int(found.images), generation
                error = found.error if isinstance(found, PredictedAccuracy) else None
                more = {name: value for task in tasks for name, value in _named(task, tasks[task]).items()}
                entries.append(estimate.with_accuracy(*figures, predicted_within=error, tasks=more))
                break
            except Exception as error:
                if isinstance(error, NatdeployError) and not isinstance(error, OutOfMemory):
                    raise
                last_error = error
                if attempt == _ATTEMPTS - 1:
                    reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
                    failures.append(Failure(estimate.arch, generation, reason))
        if progress:
            progress(f"{stage}: {index + 1} of {len(estimates)}", (index + 1) / len(estimates))
    if last_error is not None and not entries and len(estimates) > 1:
        raise last_error
    return entries, failures


def _during(progress: Progress, stage: str, done: float) -> Say:
    """Whom to tell of what happens in a stage."""
    return lambda what: progress(f"{stage}: {what}", done)


def _named(task: str, found: Accuracy) -> dict[str, float]:
    """An accuracy as figures of a further data set."""
    return {f"top1:{task}": found.top1, f"loss:{task}": found.loss, f"val_images:{task}": float(found.images)}
