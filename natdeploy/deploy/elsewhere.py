"""Choosing for a device that is not here: nothing can be measured, so nothing is said about its latency."""

from __future__ import annotations

from collections.abc import Sequence

from natdeploy.deploy.budget import Met
from natdeploy.deploy.candidate import Workshop
from natdeploy.deploy.chooser import CHOOSING, FRONT, Chosen, Progress
from natdeploy.deploy.pick import RULES, rank
from natdeploy.ground.errors import BadInput
from natdeploy.runs import ArchiveEntry, RunFolder


def choose_unmeasured(run: RunFolder, workshop: Workshop, picks: Sequence[str], tell: Progress) -> list[Chosen]:
    """The architecture of each pick by the run's own figures; picks of one architecture together.

    Raises BadInput for an unknown id, BudgetNotMet where the run found nothing within its budget.
    """
    if not picks:
        raise BadInput(f"pick: nothing asked for; expected {', '.join(RULES)}, {FRONT} or an id")
    entries, budget_ms = run.archive(), run.config().latency_ms
    picked: dict[str, tuple[ArchiveEntry, set[str]]] = {}
    for pick in picks:
        for entry in run.front() if pick == FRONT else rank(entries, pick, budget_ms)[:1]:
            picked.setdefault(entry.arch.id, (entry, set()))[1].add(pick)
    chosen = []
    for number, (entry, names) in enumerate(picked.values()):
        tell(f"compiling and verifying {entry.arch.id}", CHOOSING * number / len(picked))
        chosen.append(Chosen(Met(entry, (workshop.make(entry.arch), None), ()), tuple(sorted(names))))
    return chosen
