"""The budget loop: what is built is measured, and what measures over the budget is not shipped.

The loop knows nothing of networks and devices: it is given a way to try an entry and a way to predict latencies anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from natdeploy.deploy.pick import RULES, rank
from natdeploy.ground.errors import BudgetNotMet

if TYPE_CHECKING:
    from natdeploy.runs import ArchiveEntry

#: How many architectures one pick may try before it gives up.
MOST_ATTEMPTS = 5

Built = TypeVar("Built", covariant=True)  # of a frozen dataclass


@dataclass(frozen=True)
class Missed:
    """An architecture that was built and measured over the budget.

    Attributes:
        arch_id: its id.
        predicted_ms: mean prediction at the time it was chosen.
        measured_ms: what it measured.
    """

    arch_id: str
    predicted_ms: float
    measured_ms: float


@dataclass(frozen=True)
class Met(Generic[Built]):
    """What the loop ends with.

    Attributes:
        entry: the chosen entry, with the prediction it was chosen by.
        built: what ``attempt`` returned for it.
        missed: the attempts before it.
    """

    entry: ArchiveEntry
    built: Built
    missed: tuple[Missed, ...]


def meet_budget(
    entries: Sequence[ArchiveEntry],
    pick: str,
    budget_ms: float,
    *,
    attempt: Callable[[ArchiveEntry], tuple[Built, float]],
    predict_again: Callable[[], Sequence[ArchiveEntry]],
    known: Sequence[Missed] = (),
    most_attempts: int = MOST_ATTEMPTS,
) -> Met[Built]:
    """Try entries in the pick's order until one measures within the budget.

    After a miss the latencies of all entries are predicted again (the refitted model has seen the miss), and entries
    that would be over the budget if they were as much slower than first predicted as the worst miss wait behind the
    others: architectures of one archive resemble each other, and so do the errors of their predictions, while one more
    measurement among a hundred moves a model little.

    Args:
        entries: the archive.
        pick: see :func:`natdeploy.deploy.pick.rank`. An id names one architecture, so there is no second attempt.
        budget_ms: the budget in milliseconds.
        attempt: builds and measures an entry: returns what was built and its latency in milliseconds.
        predict_again: returns the archive with new predictions, after a miss; where limits hang on them, it may lack
            some of the entries, and have others.
        known: architectures already measured over the budget (for another pick); they are not tried again.
        most_attempts: how many architectures may be tried.

    Raises BudgetNotMet, saying how far the nearest attempt was.
    """
    missed: list[Missed] = []
    first_ms = {entry.arch.id: entry.latency_ms for entry in entries}
    while len(missed) < most_attempts:
        tried = [*known, *missed]
        over = {miss.arch_id for miss in tried}
        slower = max([1.0, *(miss.measured_ms / first_ms[miss.arch_id] for miss in tried if miss.arch_id in first_ms)])
        try:
            ranked = rank(entries, pick, budget_ms)
        except BudgetNotMet:
            if not missed:
                raise
            break
        ranked = [entry for entry in ranked if entry.arch.id not in over]
        ranked.sort(key=lambda entry: first_ms[entry.arch.id] * slower > budget_ms)  # stable: keeps order
        if not ranked:
            break
        entry = ranked[0]
        built, measured_ms = attempt(entry)
        if measured_ms <= budget_ms:
            return Met(entry, built, tuple(missed))
        missed.append(Missed(entry.arch.id, entry.latency_ms, measured_ms))
        if pick not in RULES or len(missed) == most_attempts:
            break
        entries = predict_again()
        first_ms = {entry.arch.id: entry.latency_ms for entry in entries} | first_ms
    tried = [*known, *missed]
    nearest = min(tried, key=lambda miss: miss.measured_ms)
    raise BudgetNotMet(
        f"pick {pick}: none of {len(tried)} built architectures measured within the budget of {budget_ms:g} ms; "
        f"the nearest, {nearest.arch_id}, took {nearest.measured_ms:.4g} ms (predicted {nearest.predicted_ms:.4g}); "
        "no bundle was written for it; raise the budget, or profile the device again"
    )
