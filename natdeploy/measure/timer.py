"""Times a batch of artifacts in turn with a reference, in a child process pinned to processors of its own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from natdeploy.devices import Runnable
from natdeploy.ground.errors import ChildFailed, NatdeployError
from natdeploy.ground.processes import ChildWorker, call_in_child
from natdeploy.measure import timer_child
from natdeploy.measure.correction import (
    kept_visits,
    local_reference,
    relative_interval,
    relative_values,
    visit_value,
)
from natdeploy.measure.measurement import Visit
from natdeploy.measure.protocol import TimingProtocol

_OPEN_TIMEOUT_S = 300.0
_VISIT_TIMEOUT_S = 60.0
#: The reference's number in the child; networks are numbered from 1.
_REFERENCE = 0
#: Samples of a visit, and how many visits to the reference came before.
_Taken = tuple[list[float], int]


@dataclass(frozen=True)
class BatchTiming:
    """What a batch gave.

    Attributes:
        visits: for each artifact, its visits in order of time.
        reference_ms: value of each visit to the reference, in order of time.
    """

    visits: tuple[tuple[Visit, ...], ...]
    reference_ms: tuple[float, ...]


class Timer:
    """A pinned child process with the reference network loaded.

    Args:
        runtime: name of the runner.
        reference: the reference network's artifact.
        protocol: how to time.
        processors: numbers of the processors to pin to.

    Libraries with threads of their own are held to the protocol's number by environment variables; the runners are
    told it, too.
    """

    def __init__(self, runtime: str, reference: Runnable, protocol: TimingProtocol, processors: Sequence[int]) -> None:
        self._runtime, self._protocol = runtime, protocol
        threads = str(protocol.threads)
        environment = {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads, "TVM_NUM_THREADS": threads}
        self._child = ChildWorker(f"timing with {runtime}", cpus=processors, environment=environment)
        self._next = _REFERENCE
        try:
            self._child.call(timer_child.raise_priority, timeout_s=_OPEN_TIMEOUT_S)
            self._load(reference)
            self.conditions: dict[str, Any] = self._child.call(timer_child.conditions, timeout_s=_OPEN_TIMEOUT_S)
        except BaseException:
            self._child.close()
            raise

    def time_batch(self, runnables: Sequence[Runnable]) -> BatchTiming:
        """Visit every artifact in turn until each one's interval is narrow enough or its visits are used up.

        Raises BadInput for a damaged artifact, ChildFailed for one that crashes or hangs.
        """
        protocol = self._protocol
        numbers = [self._load(runnable) for runnable in runnables]
        samples: dict[int, list[_Taken]] = {number: [] for number in numbers}
        references: list[float] = []
        active = list(numbers)
        for done in range(1, protocol.max_visits + 1):
            started = time.monotonic()
            limit_s = _OPEN_TIMEOUT_S + _VISIT_TIMEOUT_S * len(active)
            try:
                turn = self._child.call(timer_child.turn, _REFERENCE, active, protocol, timeout_s=limit_s)
            except ChildFailed as error:
                raise self._culprit(runnables, error) from None
            for number, found in turn:
                if number == _REFERENCE:
                    references.append(visit_value(found, protocol.visit_quantile))
                else:
                    samples[number].append((found, len(references)))
            if done >= protocol.min_visits:
                active = [
                    one for one in active if self._interval(samples[one], references) > protocol.target_relative_ci
                ]
            if not active:
                break
            pause_s = protocol.spread_ms / 1e3 / protocol.min_visits - (time.monotonic() - started)
            if pause_s > 0 and done < protocol.min_visits:
                time.sleep(pause_s)
        for number in numbers:
            self._child.call(timer_child.close_session, number, timeout_s=_OPEN_TIMEOUT_S)
        visits = tuple(
            tuple(Visit(tuple(found), local_reference(references, before)) for found, before in samples[number])
            for number in numbers
        )
        return BatchTiming(visits, tuple(references))

    def close(self) -> None:
        """Stop the child process."""
        self._child.close()

    def __enter__(self) -> Timer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _load(self, runnable: Runnable) -> int:
        number, self._next = self._next, self._next + 1
        self._child.call(
            timer_child.open_session, number, self._runtime, runnable, self._protocol.threads, timeout_s=_OPEN_TIMEOUT_S
        )
        return number

    def _culprit(self, runnables: Sequence[Runnable], error: ChildFailed) -> ChildFailed:
        """The error of a batch, naming the artifact that fails on its own; each is tried in a child of its own."""
        for runnable in runnables:
            try:
                call_in_child(
                    timer_child.try_alone,
                    self._runtime,
                    runnable,
                    self._protocol,
                    timeout_s=_OPEN_TIMEOUT_S + _VISIT_TIMEOUT_S,
                    name=f"timing {runnable.path}",
                )
            except NatdeployError as own:
                return ChildFailed(str(own))
        return error

    def _interval(self, taken: Sequence[_Taken], references: Sequence[float]) -> float:
        """Relative confidence interval of a network as its visits stand now."""
        around = [local_reference(references, before) for _, before in taken]
        values = [visit_value(found, self._protocol.visit_quantile) for found, _ in taken]
        return relative_interval(relative_values(values, around)[kept_visits(around, self._protocol.kept_share)])
