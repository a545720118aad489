"""Choosing what to build from a run's archive: one rule each for ``best``, ``knee`` and ``fastest``, or one by its id.

A rule gives an order, not one architecture, so that the budget loop can go on when the first choice measures slower
than it was predicted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from natdeploy.ground.errors import BadInput, BudgetNotMet
from natdeploy.runs.certainty import tied_for_best

if TYPE_CHECKING:
    from natdeploy.runs import ArchiveEntry

#: The rules by name; anything else is read as an architecture's id or the start of one.
RULES = ("best", "knee", "fastest")
#: Share of a latency from which another spends the budget as well.
NEARLY = 0.9


def rank(entries: Sequence[ArchiveEntry], pick: str, budget_ms: float) -> list[ArchiveEntry]:
    """Entries in the order in which they should be tried; none whose predicted upper end is over the budget.

    ``best`` spends the budget. Entries whose validation top-1 differs from the highest by at most one standard error of
    the difference cannot be told apart by validation, and capacity is what the budget buys: of them, those predicted to
    take nearly as long as the slowest come first, by top-1, and the rest of them by latency, the slowest first. Then
    all others by top-1.

    ``knee`` takes the non-dominated entries of top-1 against latency, both scaled to 0..1 over that front, in the order
    of their distance to the line through its two ends (Branke et al. 2004), the farthest first; then all others.

    ``fastest`` goes by predicted latency alone. An id, or an unambiguous start of one, gives that entry only.

    Raises BadInput for an unknown or ambiguous id, BudgetNotMet when nothing is predicted within the budget.
    """
    if not entries:
        raise BadInput("the run's archive is empty: nothing to build; let the search finish its first step")
    if pick not in RULES:
        return [_by_id(entries, pick, budget_ms)]
    feasible = [entry for entry in entries if entry.latency_upper_ms <= budget_ms]
    if not feasible:
        nearest = min(entries, key=lambda entry: entry.latency_upper_ms)
        raise BudgetNotMet(
            f"no architecture of the archive is predicted within the budget of {budget_ms:g} ms; the fastest, "
            f"{nearest.arch.id}, is predicted to take {nearest.latency_ms:.4g} ms, up to {nearest.latency_upper_ms:.4g}"
        )
    if pick == "fastest":
        return sorted(feasible, key=lambda entry: (entry.latency_ms, -entry.top1, entry.arch.id))
    ordered = _spend_the_budget(feasible)
    if pick == "best":
        return ordered
    knees = _by_knee(feasible)
    return knees + [entry for entry in ordered if entry not in knees]


def accuracy_latency_front(entries: Sequence[ArchiveEntry]) -> list[ArchiveEntry]:
    """Entries that no other one beats in top-1 without being slower, by ascending predicted latency."""
    front: list[ArchiveEntry] = []
    for entry in sorted(entries, key=lambda entry: (entry.latency_ms, -entry.top1, entry.arch.id)):
        if not front or entry.top1 > front[-1].top1:
            front.append(entry)
    return front


def _spend_the_budget(entries: Sequence[ArchiveEntry]) -> list[ArchiveEntry]:
    tied = tied_for_best(entries)
    others = [entry for entry in entries if entry not in tied]
    spends = NEARLY * max(entry.latency_ms for entry in tied)
    by_top1 = [entry for entry in tied if entry.latency_ms >= spends]
    by_latency = [entry for entry in tied if entry.latency_ms < spends]
    by_top1.sort(key=lambda entry: (-entry.top1, -entry.latency_ms, entry.arch.id))
    by_latency.sort(key=lambda entry: (-entry.latency_ms, -entry.top1, entry.arch.id))
    others.sort(key=lambda entry: (-entry.top1, -entry.latency_ms, entry.arch.id))
    return by_top1 + by_latency + others


def _by_knee(entries: Sequence[ArchiveEntry]) -> list[ArchiveEntry]:
    front = accuracy_latency_front(entries)
    points = np.array([[entry.latency_ms, entry.top1] for entry in front])
    extent = np.ptp(points, axis=0)
    scaled = (points - points.min(axis=0)) / np.where(extent > 0, extent, 1.0)
    above = scaled[:, 1] - scaled[:, 0]  # the ends lie at (0, 0) and (1, 1); sqrt(2) times the distance to that line
    order = sorted(range(len(front)), key=lambda i: (-above[i], -front[i].top1, front[i].arch.id))
    return [front[i] for i in order]


def _by_id(entries: Sequence[ArchiveEntry], pick: str, budget_ms: float) -> ArchiveEntry:
    found = [entry for entry in entries if pick and entry.arch.id.startswith(pick)]
    if not found:
        raise BadInput(
            f"pick {pick!r}: expected {', '.join(RULES)} or the id of one of the archive's {len(entries)} architectures"
            f" (for instance {entries[0].arch.id})"
        )
    if len(found) > 1:
        ids = ", ".join(sorted(entry.arch.id for entry in found)[:5])
        raise BadInput(f"pick {pick!r}: {len(found)} architectures begin so ({ids}); give more digits")
    entry = found[0]
    if entry.latency_upper_ms > budget_ms:
        raise BudgetNotMet(
            f"architecture {entry.arch.id} is predicted to take {entry.latency_ms:.4g} ms, up to "
            f"{entry.latency_upper_ms:.4g} ms, over the budget of {budget_ms:g} ms"
        )
    return entry
