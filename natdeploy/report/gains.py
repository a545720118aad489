"""What a larger budget buys in accuracy, said only where the gain is larger than the accuracies' errors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from natdeploy.report.table import Table, number, table_of, text
from natdeploy.report.units import NONE, milliseconds, percent
from natdeploy.runs import ArchiveEntry
from natdeploy.runs.certainty import indistinguishable, top1_error


@dataclass(frozen=True)
class Step:
    """A model that is better than the step before it by more than the error of that difference.

    Attributes:
        entry: the model; the budget it needs is the upper end of its latency interval.
        before: the step before; None for the first.
    """

    entry: ArchiveEntry
    before: ArchiveEntry | None

    @property
    def more_ms(self) -> float:
        """How much more budget it needs."""
        return self.entry.latency_upper_ms - (self.before.latency_upper_ms if self.before else 0.0)

    @property
    def points(self) -> float:
        """Percentage points of top-1 gained."""
        return 100 * (self.entry.top1 - (self.before.top1 if self.before else 0.0))

    @property
    def error_points(self) -> float:
        """Standard error of that gain."""
        return 100 * math.hypot(top1_error(self.entry), top1_error(self.before) if self.before else 0.0)


def steps(entries: Sequence[ArchiveEntry]) -> tuple[Step, ...]:
    """From the model with the least budget upwards: each time the next one whose top-1 exceeds the last step's by more
    than one standard error of the difference."""
    found: list[Step] = []
    for entry in sorted(entries, key=lambda entry: (entry.latency_upper_ms, -entry.top1, entry.id)):
        last = found[-1].entry if found else None
        if last is None or (entry.top1 > last.top1 and not indistinguishable(last, entry)):
            found.append(Step(entry, last))
    return tuple(found)


def gain_sentences(entries: Sequence[ArchiveEntry], budget_ms: float) -> list[str]:
    """What each step costs and buys, in words; how it stands to this run's budget."""
    taken = steps(entries)
    if not taken:
        return []
    if len(taken) == 1:
        first = taken[0].entry
        return [
            f"No model of the archive is better than the fastest ({first.id}, {milliseconds(_needed(first))} ms, "
            f"top-1 {percent(first.top1, top1_error(first))}) by more than the error of the difference: beyond "
            f"{milliseconds(_needed(first))} ms, a larger budget buys nothing that these accuracies could show."
        ]
    return [_sentence(step, budget_ms) for step in taken if step.before is not None]


def _sentence(step: Step, budget_ms: float) -> str:
    assert step.before is not None
    place = "" if step.entry.feasible else f" (over this run's budget of {milliseconds(budget_ms)} ms)"
    return (
        f"+{milliseconds(step.more_ms)} ms buys +{step.points:.1f} ± {step.error_points:.1f} points: a budget of "
        f"{milliseconds(_needed(step.entry))} ms{place} instead of {milliseconds(_needed(step.before))} ms takes top-1 "
        f"from {percent(step.before.top1)} to {percent(step.entry.top1)}."
    )


def gains_table(entries: Sequence[ArchiveEntry]) -> Table:
    """The steps as rows."""
    return table_of(
        "What the budget buys",
        steps(entries),
        [
            text("model", lambda step: step.entry.id),
            number("budget needed, ms", lambda step: milliseconds(_needed(step.entry))),
            number("top-1", lambda step: percent(step.entry.top1, top1_error(step.entry))),
            number("more ms", lambda step: f"+{milliseconds(step.more_ms)}" if step.before else NONE),
            number(
                "more points",
                lambda step: f"+{step.points:.1f} ± {step.error_points:.1f}" if step.before else NONE,
            ),
            text("within this run's budget", lambda step: "yes" if step.entry.feasible else "no"),
        ],
    )


def _needed(entry: ArchiveEntry) -> float:
    return entry.latency_upper_ms
