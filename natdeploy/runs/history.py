"""What happened in each iteration of a search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from natdeploy.ground.errors import BadInput
from natdeploy.ground.validation import checked


@dataclass(frozen=True)
class HistoryStep:
    """The state of a search after one iteration; iteration 0 is the initial archive.

    Attributes:
        iteration: which one.
        generation: generation of the supernet's weights that the archive was evaluated with.
        hypervolume: of the feasible archive, as a share of the box between the ideal and the fixed reference point.
        archive_size, feasible, front_size: architectures in the archive, those within the budget, non-dominated ones.
        evaluations: distinct architectures evaluated so far.
        failed: architectures whose evaluation failed twice so far.
        best_top1: highest validation accuracy within the budget, 0 to 1; None when nothing is feasible.
        surrogate: what proposed this iteration's candidates; empty for the initial archive. Its ``name``, and ``of``
            each objective or limit that it predicted (``top1``, ``top1:pets``) its quality: ``cv_kendall``,
            ``cv_spearman``, ``cv_rmse`` by cross-validation on the archive, ``kendall``, ``spearman``, ``rmse`` against
            the candidates' evaluation, None where undefined; of ``auto`` also ``chosen`` and each one's
            ``cv_kendall_of``.
        seconds: wall-clock seconds of each stage.
    """

    iteration: int
    generation: int
    hypervolume: float
    archive_size: int
    feasible: int
    front_size: int
    evaluations: int
    failed: int
    best_top1: float | None
    surrogate: Mapping[str, Any]
    seconds: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """Plain data; the inverse of :meth:`from_json`."""
        return {**asdict(self), "surrogate": dict(self.surrogate), "seconds": dict(self.seconds)}

    @staticmethod
    def from_json(value: Any) -> HistoryStep:
        """Read :meth:`to_json`'s form. Raises BadInput naming a field that is missing or of another kind."""
        if not isinstance(value, dict):
            raise BadInput(f"history: expected a JSON object, not {value!r:.60}")
        return checked(HistoryStep, value, "history")
