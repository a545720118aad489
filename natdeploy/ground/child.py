"""The other end of :class:`natdeploy.ground.processes.ChildWorker`; run as ``python -m``, not imported."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
from multiprocessing.connection import Connection

from natdeploy.ground.errors import ChildFailed, NatdeployError
from natdeploy.ground.processes import die_with_parent


def serve(requests: Connection, answers: Connection) -> None:
    """Answer calls until the parent closes its end."""
    while True:
        try:
            function, args, kwargs = requests.recv()
        except EOFError:
            return
        try:
            answer = (True, function(*args, **kwargs))
        except NatdeployError as error:
            answer = (False, error)
        except Exception as error:
            traceback.print_exc()
            last = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{os.path.basename(last.filename)}:{last.lineno}"
            answer = (False, ChildFailed(f"{function.__name__}: {type(error).__name__} at {where}: {error}"))
        answers.send(answer)


def main() -> None:
    """Arguments: file descriptors of the two pipes, processor numbers or ``-``, modules that are not there or ``-``."""
    requests, answers, cpus, without = sys.argv[1:]
    if without != "-":
        sys.modules.update(dict.fromkeys(without.split(",")))  # type: ignore[arg-type]  # None: not to be found
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    if cpus != "-":
        os.sched_setaffinity(0, {int(cpu) for cpu in cpus.split(",")})
    with contextlib.suppress(BrokenPipeError):
        serve(Connection(int(requests), writable=False), Connection(int(answers), readable=False))


if __name__ == "__main__":
    main()
