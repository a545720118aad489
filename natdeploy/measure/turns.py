"""The order of visits: all artifacts of a batch in turn, the reference in between, until each is known well enough."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from natdeploy.devices.meter import NO_METER, Meter, Metered
from natdeploy.measure.correction import (
    kept_visits,
    local_reference,
    relative_interval,
    relative_values,
    visit_value,
)
from natdeploy.measure.measurement import Visit
from natdeploy.measure.protocol import TimingProtocol

#: The reference's number; artifacts are numbered from 1.
REFERENCE = 0
#: Visits the artifacts of these numbers, the reference before, after and in between: number and samples of each visit.
TakeTurn = Callable[[Sequence[int]], Sequence[tuple[int, Sequence[float]]]]
#: Samples of a visit, and how many visits to the reference came before.
_Taken = tuple[Sequence[float], int]


@dataclass(frozen=True)
class BatchTiming:
    """What a batch gave.

    Attributes:
        visits: for each artifact, its visits in order of time.
        reference_ms: value of each visit to the reference, in order of time.
        peak_rss_kib: most memory that each artifact's process held; None, or nothing at all, where none was told.
        meter: the power meter that was looked for.
        metered: each artifact's run beside it; nothing at all where there is no meter.
    """

    visits: tuple[tuple[Visit, ...], ...]
    reference_ms: tuple[float, ...]
    peak_rss_kib: tuple[int | None, ...] = ()
    meter: Meter = NO_METER
    metered: tuple[Metered, ...] = ()


def visit_in_turns(numbers: Sequence[int], protocol: TimingProtocol, take_turn: TakeTurn) -> BatchTiming:
    """Visit every artifact in turn until each one's interval is narrow enough or its visits are used up."""
    samples: dict[int, list[_Taken]] = {number: [] for number in numbers}
    references: list[float] = []
    active = list(numbers)
    for done in range(1, protocol.max_visits + 1):
        started = time.monotonic()
        for number, found in take_turn(active):
            if number == REFERENCE:
                references.append(visit_value(found, protocol.visit_quantile))
            else:
                samples[number].append((found, len(references)))
        if done >= protocol.min_visits:
            active = [
                one for one in active if _interval(samples[one], references, protocol) > protocol.target_relative_ci
            ]
        if not active:
            break
        pause_s = protocol.spread_ms / 1e3 / protocol.min_visits - (time.monotonic() - started)
        if pause_s > 0 and done < protocol.min_visits:
            time.sleep(pause_s)
    visits = tuple(
        tuple(Visit(tuple(found), local_reference(references, before)) for found, before in samples[number])
        for number in numbers
    )
    return BatchTiming(visits, tuple(references))


def order_of_visits(numbers: Sequence[int], protocol: TimingProtocol) -> list[int]:
    """Numbers of one turn: the reference before, after, and between every ``protocol.reference_every`` artifacts."""
    order = [REFERENCE]
    for place, number in enumerate(numbers, start=1):
        order.append(number)
        if place % protocol.reference_every == 0 or place == len(numbers):
            order.append(REFERENCE)
    return order


def _interval(taken: Sequence[_Taken], references: Sequence[float], protocol: TimingProtocol) -> float:
    """Relative confidence interval of an artifact as its visits stand now."""
    around = [local_reference(references, before) for _, before in taken]
    values = [visit_value(found, protocol.visit_quantile) for found, _ in taken]
    kept = kept_visits(around, protocol.kept_share, protocol.kept_slowdown)
    return relative_interval(relative_values(values, around)[kept])
