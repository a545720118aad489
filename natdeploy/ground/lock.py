"""One process at a time in a folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import readable_disk_errors

#: The file whose lock is held; it stays when the lock is gone.
LOCK = ".lock"


@contextlib.contextmanager
def only_process_in(folder: Path) -> Iterator[None]:
    """Hold an existing folder's lock. The system frees the lock of a killed process.

    Raises BadInput when another process holds it, or when nothing can be written there.
    """
    path = folder / LOCK
    with readable_disk_errors(path):
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadInput(f"{folder}: another natdeploy process is working in this folder") from None
        yield
    finally:
        os.close(handle)
