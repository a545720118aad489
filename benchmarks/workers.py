"""Parts of a benchmark that need nothing of each other, side by side in processes."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TypeVar

Name = TypeVar("Name")
Outcome = TypeVar("Outcome")


def side_by_side(parts: Mapping[Name, Callable[[], Outcome]], jobs: int) -> Iterator[tuple[Name, Outcome]]:
    """Names of the parts with what each returned, as they are done, ``jobs`` at a time.

    Parts are picklable (``functools.partial`` of a module's function) and have a process with one thread each; the
    processes end with this one, even if it is killed. What a part raises is raised here, and no further part begins.
    """
    from natdeploy.ground.processes import die_with_parent

    if not parts:
        return
    os.environ["OMP_NUM_THREADS"] = "1"  # of the processes that are started
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, initializer=die_with_parent, initargs=(os.getpid(),)) as pool:
        started = {pool.submit(part): name for name, part in parts.items()}
        try:
            for done in as_completed(started):
                yield started[done], done.result()
        finally:
            pool.shutdown(cancel_futures=True)
