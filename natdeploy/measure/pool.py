"""Several units of one device: each times one batch at a time, and the batch of one that is lost goes to the others."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from natdeploy.devices import HardwareProfile, Runnable
from natdeploy.devices.runner import RemoteTimekeeper
from natdeploy.devices.units import Access
from natdeploy.ground.errors import DeviceNotReachable
from natdeploy.measure.batch import Batch, TimedBatch
from natdeploy.measure.protocol import TimingProtocol
from natdeploy.measure.remote_timer import RemoteTimer

#: Seconds that workers get to end, together, after their connections were closed: builds may still go on.
_END_S = 5.0


def time_on_units(
    batches: Sequence[Batch],
    units: Sequence[RemoteTimekeeper],
    reference: Runnable,
    protocol: TimingProtocol,
    profile: HardwareProfile,
    access: Access,
    tell: Callable[[str], None],
) -> Iterator[TimedBatch]:
    """Time batches on units that are connected; they come in the order in which they are done.

    Raises the last unit's DeviceNotReachable once none is left, and whatever else a batch raises.
    """
    waiting, outbox = deque(batches), queue.Queue[tuple[_Worker, TimedBatch | BaseException]]()
    building = threading.Lock()
    clock = access.test_only_clock
    idle = [_Worker(unit, partial(RemoteTimer, unit, reference, protocol, profile, clock), building) for unit in units]
    workers, busy = tuple(idle), dict[_Worker, Batch]()
    for worker in workers:
        worker.start(outbox)
    lost: DeviceNotReachable | None = None
    try:
        while waiting or busy:
            while waiting and idle:
                worker = idle.pop(0)
                busy[worker] = waiting.popleft()
                worker.inbox.put(busy[worker])
            if not busy:
                assert lost is not None
                raise lost
            tell("timing" if len(busy) == 1 else f"{len(busy)} devices are timing")
            worker, answer = outbox.get()
            batch = busy.pop(worker)
            if isinstance(answer, DeviceNotReachable):
                waiting.appendleft(batch)
                lost = answer
                if busy or idle:
                    tell(f"lost {answer}; its share goes to the others:")
            elif isinstance(answer, BaseException):
                raise answer
            else:
                idle.append(worker)
                yield answer
    finally:
        for worker in workers:
            worker.inbox.put(None)
        for worker in busy:  # what is still running ends with its connection
            worker.unit.close()
        deadline = time.monotonic() + _END_S
        for worker in workers:
            worker.thread.join(max(0.0, deadline - time.monotonic()))


class _Worker:
    """A thread with a unit of its own, which it uses for one batch at a time."""

    def __init__(self, unit: RemoteTimekeeper, make_timer: Callable[[], RemoteTimer], building: threading.Lock) -> None:
        self.unit, self._make_timer, self._building = unit, make_timer, building
        self.inbox: queue.Queue[Batch | None] = queue.Queue()

    def start(self, outbox: queue.Queue[tuple[_Worker, TimedBatch | BaseException]]) -> None:
        self.thread = threading.Thread(target=self._work, args=(outbox,), daemon=True)
        self.thread.start()

    def _work(self, outbox: queue.Queue[tuple[_Worker, TimedBatch | BaseException]]) -> None:
        timer: RemoteTimer | None = None
        while (batch := self.inbox.get()) is not None:
            try:
                timer = timer or self._make_timer()
                with self._building:  # one at a time: a build takes all cores
                    runnables = batch.build()
                outbox.put((self, TimedBatch(batch, runnables, timer.time_batch(runnables), timer.conditions)))
            except BaseException as error:
                outbox.put((self, error))
                return
        if timer is not None:
            timer.close()
