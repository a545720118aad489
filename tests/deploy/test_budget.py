import dataclasses
from collections.abc import Sequence

import pytest

from natdeploy.deploy.budget import Met, Missed, meet_budget
from natdeploy.ground.errors import BadInput, BudgetNotMet
from natdeploy.runs import ArchiveEntry
from tests.deploy.stand_ins import archs, entry

ARCHS = archs(10)
BUDGET_MS = 10.0


class Device:
    """Measures every architecture ``slower`` times its first prediction, and remembers what was tried."""

    def __init__(self, entries: Sequence[ArchiveEntry], slower: float, *, learns: bool = False) -> None:
        self.truth = {found.arch.id: found.latency_ms * slower for found in entries}
        self.learns = learns
        self.entries = list(entries)
        self.tried: list[str] = []
        self.refits = 0

    def attempt(self, found: ArchiveEntry) -> tuple[str, float]:
        self.tried.append(found.arch.id)
        return f"built {found.arch.id}", self.truth[found.arch.id]

    def predict_again(self) -> Sequence[ArchiveEntry]:
        self.refits += 1
        if not self.learns:
            return self.entries
        return [
            dataclasses.replace(
                found, latency_ms=self.truth[found.arch.id], latency_upper_ms=1.1 * self.truth[found.arch.id]
            )
            for found in self.entries
        ]


def ladder() -> list[ArchiveEntry]:
    """Ever slower and ever better architectures from 1 to 9 ms."""
    return [entry(arch, 0.5 + 0.05 * step, float(step)) for step, arch in enumerate(ARCHS[:9], 1)]


def loop(entries: list[ArchiveEntry], device: Device, pick: str = "best", **more: object) -> Met[str]:
    return meet_budget(
        entries,
        pick,
        BUDGET_MS,
        attempt=device.attempt,
        predict_again=device.predict_again,
        **more,  # type: ignore[arg-type]
    )


def test_the_first_choice_ships_when_it_measures_within_the_budget() -> None:
    entries = ladder()
    device = Device(entries, 1.05)
    met = loop(entries, device)
    assert met.entry.arch == ARCHS[8] and met.built == f"built {ARCHS[8].id}" and met.missed == ()
    assert device.refits == 0


def test_a_miss_is_refitted_and_the_next_choice_is_one_that_fits_if_equally_wrong() -> None:
    entries = ladder()
    device = Device(entries, 1.5)  # 9 ms measures 13.5: everything above 6.67 ms would miss, too
    met = loop(entries, device)
    assert device.tried == [ARCHS[8].id, ARCHS[5].id]
    assert met.entry.arch == ARCHS[5]
    assert met.missed == (Missed(ARCHS[8].id, 9.0, 13.5),)
    assert device.refits == 1


def test_new_predictions_may_let_others_keep_the_limits() -> None:
    entries = ladder()
    device = Device(entries, 1.5)
    device.entries = entries[:5] + [entry(ARCHS[9], 0.99, 6.0)]  # 6 to 9 ms break a limit now, another one keeps it
    device.truth[ARCHS[9].id] = 9.5
    met = loop(entries, device)
    assert device.tried == [ARCHS[8].id, ARCHS[9].id] and met.entry.arch == ARCHS[9]


def test_new_predictions_decide_what_comes_next() -> None:
    entries = ladder()
    device = Device(entries, 2.0, learns=True)
    met = loop(entries, device)
    assert met.entry.latency_ms == 8.0  # 4 ms before the refit; its interval reaches 8.8
    assert device.tried == [ARCHS[8].id, ARCHS[3].id]


def test_no_more_attempts_than_allowed() -> None:
    entries = ladder()
    device = Device(entries, 100.0)
    with pytest.raises(BudgetNotMet, match=r"none of 5 built .* 10 ms; the nearest, \w+, took .* ms \(predicted"):
        loop(entries, device)
    assert len(device.tried) == len(set(device.tried)) == 5
    with pytest.raises(BudgetNotMet, match="none of 2 built"):
        loop(entries, Device(entries, 100.0), most_attempts=2)


def test_an_archive_that_runs_out_ends_the_loop() -> None:
    entries = ladder()[:2]
    device = Device(entries, 100.0)
    with pytest.raises(BudgetNotMet, match="none of 2 built"):
        loop(entries, device)


def test_nothing_left_within_the_budget_after_a_refit_ends_the_loop() -> None:
    entries = ladder()
    device = Device(entries, 100.0, learns=True)
    with pytest.raises(BudgetNotMet, match="none of 1 built"):
        loop(entries, device)


def test_a_named_architecture_is_not_replaced_by_another() -> None:
    entries = ladder()
    device = Device(entries, 1.5)
    with pytest.raises(BudgetNotMet, match=f"{ARCHS[8].id}, took 13.5"):
        loop(entries, device, pick=ARCHS[8].id)
    assert device.tried == [ARCHS[8].id] and device.refits == 0


def test_what_missed_for_another_pick_is_not_built_again() -> None:
    entries = ladder()
    device = Device(entries, 1.05)
    known = (Missed(ARCHS[8].id, 9.0, 13.5),)
    met = loop(entries, device, known=known)
    assert met.entry.arch == ARCHS[5] and ARCHS[8].id not in device.tried  # 7 ms would miss if as wrong as the 9 ms
    with pytest.raises(BudgetNotMet, match=ARCHS[8].id):
        loop(entries, device, pick=ARCHS[8].id, known=known)


def test_nothing_is_built_when_nothing_is_predicted_within_the_budget_or_the_pick_is_unknown() -> None:
    device = Device(ladder(), 1.0)
    with pytest.raises(BudgetNotMet, match="no architecture of the archive"):
        loop([entry(ARCHS[0], 0.9, 20.0)], device)
    with pytest.raises(BadInput, match="zz"):
        loop(ladder(), device, pick="zz")
    assert device.tried == []
