"""Several devices asked for an answer: those that let wait cost one limit together, not one each."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import TypeVar

from natdeploy.ground.errors import DeviceNotReachable

#: Seconds in which a healthy device answers.
HEAD_START_S = 1.0

Device = TypeVar("Device")
Answer = TypeVar("Answer")


def answers(
    devices: Sequence[Device], ask: Callable[[Device], Answer], drop: Callable[[Answer], object], *, at_once: int = 1
) -> Generator[tuple[int, Answer | DeviceNotReachable], None, None]:
    """Places and answers of devices, or why there is none, as they come.

    No more are asked than may be needed, since another process may be timing them: the first ``at_once``, and the next
    one whenever one refuses, or nobody has answered for :data:`HEAD_START_S`. Close this generator once there are
    answers enough.

    Args:
        devices: whom to ask, in this order.
        ask: called in a thread for each. What it raises is raised here, but for DeviceNotReachable.
        drop: called with answers that come when this generator is closed.
        at_once: how many are asked to begin with.
    """
    rest, asked = deque(enumerate(devices)), dict[Future[Answer], int]()

    def ask_next() -> None:
        if rest:
            place, device = rest.popleft()
            asked[_asked(ask, device)] = place

    try:
        for _ in range(at_once):
            ask_next()
        while asked:
            done, _ = wait(asked, HEAD_START_S if rest else None, FIRST_COMPLETED)
            if not done:
                ask_next()
            for future in done:
                place, error = asked.pop(future), future.exception()
                if error is None:
                    yield place, future.result()
                elif isinstance(error, DeviceNotReachable):
                    ask_next()
                    yield place, error
                else:
                    raise error
            if not asked:
                ask_next()
    finally:
        for future in asked:
            future.add_done_callback(lambda late: _dropped(late, drop))


def answers_in_turn(
    devices: Sequence[Device], ask: Callable[[Device], Answer]
) -> Generator[tuple[int, Answer | DeviceNotReachable], None, None]:
    """As :func:`answers`, one device after another in the caller's thread."""
    for place, device in enumerate(devices):
        found: Answer | DeviceNotReachable
        try:
            found = ask(device)
        except DeviceNotReachable as error:
            found = error
        yield place, found


def _asked(ask: Callable[[Device], Answer], device: Device) -> Future[Answer]:
    """The answer, when it comes. Python would wait for the threads of a pool before it exits, Ctrl-C or not."""
    future: Future[Answer] = Future()

    def work() -> None:
        try:
            future.set_result(ask(device))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return future


def _dropped(late: Future[Answer], drop: Callable[[Answer], object]) -> None:
    if late.exception() is None:
        drop(late.result())
