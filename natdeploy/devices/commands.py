"""Child processes that end: a hard deadline, and nothing of theirs is left running, not even after this process."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any

#: How often a command that takes long is asked whether what it talks to is still there, in seconds.
PULSE_S = 3.0
#: Leaders of groups that may still run.
_LIVING: set[subprocess.Popen[bytes]] = set()


class CommandTimeout(Exception):
    """A command was stopped at its deadline."""


@dataclass(frozen=True)
class Finished:
    """What a command left.

    Attributes:
        status: exit status; negative for a signal.
        stdout: all it printed.
        stderr: all it complained, as text.
    """

    status: int
    stdout: bytes
    stderr: str

    @property
    def complaint(self) -> str:
        """The last line of stderr that says anything, at most 200 characters."""
        lines = [" ".join(line.split()) for line in self.stderr.splitlines()]
        return next((line for line in reversed(lines) if line), "no message")[:200]


def run_command(
    argv: Sequence[str],
    *,
    timeout_s: float,
    stdin: bytes | Path | None = None,
    environment: Mapping[str, str] | None = None,
    alive: Callable[[], None] | None = None,
) -> Finished:
    """Run a command, without a shell, in a process group of its own.

    Args:
        argv: program and arguments.
        timeout_s: seconds until it is killed with everything it started.
        stdin: bytes or a file to read; nothing by default.
        environment: all of its variables; this process's own by default.
        alive: called every :data:`PULSE_S` seconds while the command runs; what it raises ends the command.

    Raises CommandTimeout at the deadline, OSError where the program cannot be started.
    """
    # Files instead of pipes: a daemon that the command leaves behind (adb's server) may keep them open.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, _source(stdin) as source:
        process = start_group(argv, stdin=source, stdout=out, stderr=err, env=environment)
        deadline = time.monotonic() + timeout_s
        try:
            while (left := deadline - time.monotonic()) > 0:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(min(left, PULSE_S))
                    break
                if alive is not None:
                    alive()
            else:
                raise CommandTimeout(f"{argv[0]}: no end after {timeout_s:g} s")
        finally:
            kill_group(process)
        out.seek(0)
        err.seek(0)
        return Finished(process.returncode, out.read(), err.read().decode(errors="replace"))


def start_group(argv: Sequence[str], **how: Any) -> subprocess.Popen[bytes]:
    """Start a process that leads its own group, for :func:`kill_group` to end.

    At the latest that is done when this process exits: a thread that waits for a hanging device does not keep it.
    """
    _end_all_at_exit()
    process = subprocess.Popen(list(argv), start_new_session=True, **how)
    _LIVING.add(process)
    return process


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that leads its own group, stopped ones too, unless it has ended."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    _LIVING.discard(process)


@cache
def _end_all_at_exit() -> None:
    atexit.register(_end_all)


def _end_all() -> None:
    for process in tuple(_LIVING):
        kill_group(process)


@contextlib.contextmanager
def _source(stdin: bytes | Path | None) -> Iterator[IO[bytes] | int]:
    if stdin is None:
        yield subprocess.DEVNULL
    elif isinstance(stdin, bytes):
        with tempfile.TemporaryFile() as file:
            file.write(stdin)
            file.seek(0)
            yield file
    else:
        with open(stdin, "rb") as file:
            yield file
