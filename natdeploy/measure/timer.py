"""Times a batch of artifacts in turn with a reference, in a child process pinned to processors of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from natdeploy.devices import Runnable
from natdeploy.devices.crash import failed_run
from natdeploy.devices.meter import Meter, Metered, meter_here
from natdeploy.ground.errors import ChildFailed, NatdeployError
from natdeploy.ground.processes import ChildWorker, call_in_child
from natdeploy.measure import timer_child
from natdeploy.measure.protocol import TimingProtocol
from natdeploy.measure.turns import REFERENCE, BatchTiming, order_of_visits, visit_in_turns

_OPEN_TIMEOUT_S = 300.0
_VISIT_TIMEOUT_S = 60.0


def _no_cuda_meter() -> Meter:
    from natdeploy.compiler import NO_CUDA_METER

    return NO_CUDA_METER


class Timer:
    """A pinned child process with the reference network loaded.

    Args:
        runtime: name of the runner.
        reference: the reference network's artifact.
        protocol: how to time.
        processors: numbers of the processors to pin to.
        root: below which the files of power meters lie; another one for tests.

    Libraries with threads of their own are held to the protocol's number by environment variables; the runners are
    told it, too.
    """

    def __init__(
        self,
        runtime: str,
        reference: Runnable,
        protocol: TimingProtocol,
        processors: Sequence[int],
        root: Path = Path("/"),
    ) -> None:
        self._runtime, self._protocol, self._root = runtime, protocol, root
        self._meter = meter_here(root) if reference.kind != "source" else _no_cuda_meter()
        threads = str(protocol.threads)
        environment = {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads, "TVM_NUM_THREADS": threads}
        self._child = ChildWorker(f"timing with {runtime}", cpus=processors, environment=environment)
        self._next = REFERENCE
        try:
            self._child.call(timer_child.raise_priority, timeout_s=_OPEN_TIMEOUT_S)
            self._load(reference)
            self.conditions: dict[str, Any] = self._child.call(timer_child.conditions, timeout_s=_OPEN_TIMEOUT_S)
        except BaseException:
            self._child.close()
            raise

    def time_batch(self, runnables: Sequence[Runnable]) -> BatchTiming:
        """Visit every artifact in turn until each one's interval is narrow enough or its visits are used up.

        Raises BadInput for a damaged artifact, and for one that crashes or hangs what
        :func:`natdeploy.devices.crash.failed_run` makes of it.
        """
        numbers = [self._load(runnable) for runnable in runnables]

        def take_turn(active: Sequence[int]) -> list[tuple[int, list[float]]]:
            limit_s = _OPEN_TIMEOUT_S + _VISIT_TIMEOUT_S * len(active)
            order = order_of_visits(active, self._protocol)
            try:
                return self._child.call(timer_child.turn, order, self._protocol, timeout_s=limit_s)
            except ChildFailed as error:
                raise self._culprit(runnables, error) from None

        timing = visit_in_turns(numbers, self._protocol, take_turn)
        metered = self._run_metered(numbers)
        for number in numbers:
            self._child.call(timer_child.close_session, number, timeout_s=_OPEN_TIMEOUT_S)
        return replace(timing, meter=self._meter, metered=metered)

    def close(self) -> None:
        """Stop the child process."""
        self._child.close()

    def __enter__(self) -> Timer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run_metered(self, numbers: Sequence[int]) -> tuple[Metered, ...]:
        """Every artifact beside this machine's power meter, if it has one that can be read."""
        if self._meter.name is None:
            return ()
        idle_watts = self._child.call(timer_child.rest_metered, self._meter, self._root, timeout_s=_OPEN_TIMEOUT_S)
        return tuple(
            self._child.call(
                timer_child.run_metered, number, self._meter, self._root, idle_watts, timeout_s=_OPEN_TIMEOUT_S
            )
            for number in numbers
        )

    def _load(self, runnable: Runnable) -> int:
        number, self._next = self._next, self._next + 1
        threads = self._protocol.threads
        try:
            self._child.call(
                timer_child.open_session, number, self._runtime, runnable, threads, timeout_s=_OPEN_TIMEOUT_S
            )
        except ChildFailed as error:
            raise failed_run(runnable.path, error) from None
        return number

    def _culprit(self, runnables: Sequence[Runnable], error: ChildFailed) -> NatdeployError:
        """The error of a batch, naming the artifact that fails on its own; each is tried in a child of its own."""
        for runnable in runnables:
            try:
                call_in_child(
                    timer_child.try_alone,
                    self._runtime,
                    runnable,
                    self._protocol,
                    timeout_s=_OPEN_TIMEOUT_S + _VISIT_TIMEOUT_S,
                    name=f"timing with {self._runtime}",
                )
            except ChildFailed as own:
                return failed_run(runnable.path, own)
            except NatdeployError as own:
                return own
        return error
