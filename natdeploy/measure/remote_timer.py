"""Times a batch of artifacts on a device that is not this machine: the same visits, each turn one command."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from time import sleep
from typing import Any

import numpy as np

from natdeploy.devices import HardwareProfile, Runnable
from natdeploy.devices.meter import Metered, quick_meter
from natdeploy.devices.runner import RemoteTimekeeper, Series, Session
from natdeploy.ground.errors import BadInput
from natdeploy.measure.correction import visit_value
from natdeploy.measure.protocol import TimingProtocol
from natdeploy.measure.turns import REFERENCE, BatchTiming, order_of_visits, visit_in_turns

_TURN_TIMEOUT_S = 300.0
_VISIT_TIMEOUT_S = 60.0
#: Rests in a row, and in one batch, that a device gets to cool down before its timings are taken as they are.
_MOST_RESTS = 20
#: Runs that tell how many runs a visit takes; the first of a process are slow.
_PILOT_RUNS, _PILOT_WARMUP = 3, 2


class RemoteTimer:
    """A device with the reference network on it.

    Every visit is a process of its own, so that it warms up by a number of runs that is found out beforehand.

    Args:
        runner: holds the device, and is not closed with the timer.
        reference: the reference network's executable.
        protocol: how to time.
        profile: says when the device is too hot, and how long it then rests.
        clock: milliseconds of a number of runs of an artifact, in place of the device's own, for tests only.
    """

    def __init__(
        self,
        runner: RemoteTimekeeper,
        reference: Runnable,
        protocol: TimingProtocol,
        profile: HardwareProfile,
        clock: Callable[[Runnable, int], list[float]] | None = None,
    ) -> None:
        self._runner, self._protocol, self._clock = runner, protocol, clock
        self._max_celsius, self._cooldown_s = profile.timing.max_celsius, profile.timing.cooldown_s
        said, self._meter = runner.describe(), quick_meter(runner.meter())
        self.conditions: dict[str, Any] = {
            "via": said.via,
            "unit": said.unit,
            "clock": "device" if clock is None else "test-only",
            "processors": list(profile.timed_cluster.processors),
            "celsius": said.celsius,
            "battery_percent": said.battery_percent,
            "screen_on": said.screen_on,
        }
        self._open: dict[int, tuple[Session, Runnable]] = {}
        self._counts: dict[int, tuple[int, int, int]] = {}  # samples, runs in each, runs before them
        self._memory: dict[int, int] = {}
        self._fastest_ms, self._rests = math.inf, 0
        self._load([reference], first=REFERENCE)

    def time_batch(self, runnables: Sequence[Runnable]) -> BatchTiming:
        """Visit every artifact in turn until each one's interval is narrow enough or its visits are used up.

        Raises BadInput for an artifact that fails there, TimingNotPossible, DeviceNotReachable.
        """
        self._rests = 0
        numbers = self._load(runnables, first=REFERENCE + 1)
        timing = visit_in_turns(numbers, self._protocol, self._take_turn)
        metered = self._run_metered(numbers)  # after all visits, whose device it would warm up
        for number in numbers:
            self._open.pop(number)[0].close()
        memory = tuple(self._memory.get(number) for number in numbers)
        return replace(timing, peak_rss_kib=memory, meter=self._meter, metered=metered)

    def close(self) -> None:
        """Remove the reference from the device."""
        for session, _ in self._open.values():
            session.close()
        self._open.clear()

    def __enter__(self) -> RemoteTimer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _load(self, runnables: Sequence[Runnable], *, first: int) -> list[int]:
        numbers = list(range(first, first + len(runnables)))
        for number, runnable in zip(numbers, runnables):
            session = self._runner.open(runnable, threads=self._protocol.threads)
            self._open[number] = session, runnable
            if not self._runner.gives_outputs:
                continue
            image = np.random.default_rng(0).standard_normal(tuple(runnable.input_shape), dtype=np.float32)
            if not np.isfinite(session.run(image)).all():
                raise BadInput(f"{runnable.path}: output has NaN on {self.conditions['unit']}, expected finite numbers")
        pilot = self._series([(number, _PILOT_RUNS, _PILOT_WARMUP) for number in numbers])
        for number, runs in zip(numbers, pilot):
            reference = number == REFERENCE
            visit_ms = self._protocol.reference_visit_ms if reference else self._protocol.visit_ms
            self._counts[number] = _counts(max(min(runs), 1e-6), visit_ms, self._protocol)
        return numbers

    def _take_turn(self, active: Sequence[int]) -> list[tuple[int, list[float]]]:
        self._cool_down()
        order = order_of_visits(active, self._protocol)
        counts = [self._counts[number] for number in order]
        runs = self._series([(number, n * together, warmup) for number, (n, together, warmup) in zip(order, counts)])
        visits = [
            (number, [float(sample) for sample in np.asarray(found).reshape(n, together).mean(axis=1)])
            for number, found, (n, together, _) in zip(order, runs, counts)
        ]
        quantile = self._protocol.visit_quantile
        reference_ms = float(np.median([visit_value(found, quantile) for one, found in visits if one == REFERENCE]))
        self._fastest_ms = min(self._fastest_ms, reference_ms)
        if reference_ms > (1 + self._protocol.max_drift) * self._fastest_ms and self._rests < _MOST_RESTS:
            self._rest()  # throttled, whatever its thermometer says
        return visits

    def _series(self, wanted: Sequence[tuple[int, int, int]]) -> list[list[float]]:
        turn = [Series(self._open[number][0], repeats, warmup) for number, repeats, warmup in wanted]
        found = self._runner.time_turn(turn, limit_s=_TURN_TIMEOUT_S + _VISIT_TIMEOUT_S * len(turn))
        for (number, _, _), one in zip(wanted, found):
            if one.peak_rss_kib is not None:
                self._memory[number] = max(self._memory.get(number, 0), one.peak_rss_kib)
        if self._clock is None:
            return [list(one.milliseconds) for one in found]
        return [self._clock(self._open[number][1], repeats) for number, repeats, _ in wanted]

    def _run_metered(self, numbers: Sequence[int]) -> tuple[Metered, ...]:
        """Every artifact beside the device's power meter, if it has one."""
        if self._meter.name is None:
            return ()
        return tuple(self._runner.run_metered(self._open[number][0]) for number in numbers)

    def _cool_down(self) -> None:
        """Rest while the device says that it is too hot; one that stays so is refused by its runner."""
        if self._max_celsius is None:
            return
        for _ in range(_MOST_RESTS):
            celsius = self._runner.describe().celsius
            if celsius is None or celsius <= self._max_celsius:
                return
            self._rest()

    def _rest(self) -> None:
        self._rests += 1
        sleep(self._cooldown_s)


def _counts(run_ms: float, visit_ms: float, protocol: TimingProtocol) -> tuple[int, int, int]:
    """Samples of a visit, runs put together in a sample, and untimed runs before them."""
    together = max(1, math.ceil(protocol.min_sample_ms / run_ms))
    samples = min(max(round(visit_ms / (run_ms * together)), protocol.min_repeats), protocol.max_repeats)
    return samples, together, max(_PILOT_WARMUP, math.ceil(protocol.warmup_ms / run_ms))
