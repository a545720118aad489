"""Work in child processes with time limits, so that a crash or a hang of a native library is an error message.

A :class:`ChildWorker` keeps one child that serves calls in order and is started again after a crash. The child runs
``python -m natdeploy.ground.child``: the caller's ``__main__`` is never imported a second time.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from natdeploy.ground.errors import ChildFailed

Result = TypeVar("Result")

_PR_SET_PDEATHSIG = 1


def allowed_processors() -> list[int]:
    """Numbers of the processors this process may run on, ascending; 0 alone where the system does not say."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]


def die_with_parent(parent: int | None = None) -> None:
    """Linux: have this process killed when the thread that started it ends, even if its process is killed.

    ``parent`` is that process's id: with it, a process whose parent has ended already ends here.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent is not None and os.getppid() != parent:
        os._exit(1)


class ChildWorker:
    """A child process that runs module-level functions with picklable arguments and results.

    Args:
        name: what the child is for, named in errors.
        cpus: processor numbers to pin the child to; None leaves the parent's own.
        environment: variables set in the child before it imports anything.
        without: modules that the child does not find. Some libraries import others only because they are installed,
            which takes seconds.
    """

    def __init__(
        self,
        name: str,
        *,
        cpus: Sequence[int] | None = None,
        environment: Mapping[str, str] | None = None,
        without: Sequence[str] = (),
    ) -> None:
        self.name = name
        self._cpus = None if cpus is None else tuple(cpus)
        self._environment = dict(environment or {})
        self._without = tuple(without)
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._log: Any = None

    def call(self, function: Callable[..., Result], *args: Any, timeout_s: float, **kwargs: Any) -> Result:
        """Run ``function(*args, **kwargs)`` in the child.

        Raises the function's own natdeploy errors; ChildFailed when it crashed, raised anything else, or ran longer
        than ``timeout_s`` seconds (the child is then killed; the next call starts another).
        """
        connection = self._start()
        try:
            connection.send((function, args, kwargs))
            if not connection.poll(timeout_s):
                self.close()
                raise ChildFailed(f"{self.name}: no answer after {timeout_s:g} s; the child process was stopped")
            ok, value = connection.recv()
        except (EOFError, ConnectionError):
            raise self._death() from None
        except KeyboardInterrupt:
            self.close()
            raise
        if ok:
            return value
        raise value

    def kill(self) -> None:
        """From another thread: kill the child, so that the call that it is at ends with ChildFailed."""
        if (process := self._process) is not None:
            process.kill()

    def close(self) -> None:
        """Stop the child, whatever it is doing."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._log is not None:
            self._log.close()
            self._log = None

    def __enter__(self) -> ChildWorker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> Connection:
        if self._process is not None and self._process.poll() is None and self._connection is not None:
            return self._connection
        self.close()
        requests_in, requests_out = os.pipe()
        answers_in, answers_out = os.pipe()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        environment = {**os.environ, **self._environment}
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        cpus = ",".join(map(str, self._cpus)) if self._cpus is not None else "-"
        without = ",".join(self._without) or "-"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "natdeploy.ground.child", str(requests_in), str(answers_out), cpus, without],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            pass_fds=(requests_in, answers_out),
            env=environment,
        )
        os.close(requests_in)
        os.close(answers_out)
        self._connection = _Duplex(answers_in, requests_out)
        return self._connection

    def _death(self) -> ChildFailed:
        """How a child died: exit status and last printed line."""
        died = f"{self.name}: the child process died"
        if self._process is None:
            return ChildFailed(died)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        status = self._process.returncode
        signal = -status if status is not None and status < 0 else None
        cause = f" with status {status}" if signal is None else f" by signal {signal}"
        self._log.seek(0)
        lines = [line.strip() for line in self._log.read().decode(errors="replace").splitlines() if line.strip()]
        self.close()
        return ChildFailed(died + cause + (f": {lines[-1]}" if lines else ""), signal)


class _Duplex(Connection):
    """Two one-way pipes under one connection's interface."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        super().__init__(read_fd, writable=False)
        self._out = Connection(write_fd, readable=False)

    def send(self, value: Any) -> None:
        """Send to the child."""
        self._out.send(value)

    def close(self) -> None:
        """Close both ends."""
        self._out.close()
        super().close()


def call_in_child(
    function: Callable[..., Result],
    *args: Any,
    timeout_s: float,
    name: str | None = None,
    cpus: Sequence[int] | None = None,
    environment: Mapping[str, str] | None = None,
    without: Sequence[str] = (),
    **kwargs: Any,
) -> Result:
    """Run one function in a child of its own; see :meth:`ChildWorker.call`."""
    with ChildWorker(name or function.__name__, cpus=cpus, environment=environment, without=without) as worker:
        return worker.call(function, *args, timeout_s=timeout_s, **kwargs)
