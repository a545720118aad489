"""Files that are whole or absent: atomic writes, canonical JSON, digests.

A reader never sees half a file: data goes to a temporary sibling, is flushed to the disk and then renamed.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from natdeploy.ground.errors import BadInput

_NOT_WRITABLE = (
    errno.EACCES,
    errno.EBUSY,
    errno.EEXIST,
    errno.EFBIG,
    errno.EIO,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
)


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no needless spaces: equal values give equal text. NaN and infinity are refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def content_key(value: Any) -> str:
    """SHA-256 (hex) of a value's canonical JSON."""
    return sha256_bytes(canonical_json(value).encode())


def sha256_bytes(data: bytes) -> str:
    """SHA-256 of bytes, in hex."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's content, in hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@contextlib.contextmanager
def readable_disk_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's refusal to write below ``path`` into a one-line :class:`BadInput`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise BadInput(f"{path}: the disk is full; free some space and run the same command again") from error
        if error.errno in _NOT_WRITABLE:
            place = "set NATDEPLOY_HOME to a folder" if cache_root() in Path(path).parents else "choose a place"
            raise BadInput(f"{path}: cannot write here: {error.strerror}; {place} that can be written") from error
        raise


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically, creating its folder. Raises BadInput where the disk is full or not writable."""
    path = Path(path)
    with readable_disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_file():  # /dev/full and its kind cannot be replaced by a rename
            with open(path, "wb", buffering=0) as device:
                device.write(data)
            return
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically. Raises BadInput also where it holds a file's name that is not UTF-8."""
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        name = ascii(text[max(0, error.start - 20) : error.end + 10])
        raise BadInput(f"{path}: cannot be written in UTF-8: {name} is a name in other bytes; rename it") from None
    write_bytes(path, data)


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON with sorted keys, atomically."""
    write_text(path, json.dumps(value, sort_keys=True, indent=1, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path: Path, what: str) -> Any:
    """Read a JSON file. ``what`` names its kind in the error, for instance ``"run configuration"``."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(f"{path}: no such {what}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{path}: not a readable {what}: {error}") from None


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling folder that becomes ``path`` when the block ends well, and vanishes otherwise.

    An older folder at ``path`` is replaced as a whole.
    """
    path = Path(path)
    with readable_disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        try:
            yield temporary
            os.chmod(temporary, 0o755)
            if path.exists():
                old = Path(tempfile.mkdtemp(prefix=f".{path.name}.old.", dir=path.parent))
                os.replace(path, old / path.name)
                os.replace(temporary, path)
                shutil.rmtree(old)
            else:
                os.replace(temporary, path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise


def restore_folder(path: Path) -> None:
    """Undo what a process killed within :func:`atomic_folder` left: replacing a folder takes two renames.

    To be called where no other process writes ``path``.
    """
    name = glob.escape(path.name)
    for old in path.parent.glob(f".{name}.old.*/{name}"):
        if not path.exists():
            os.replace(old, path)
    for left in path.parent.glob(f".{name}.*"):
        shutil.rmtree(left, ignore_errors=True)


def cache_root() -> Path:
    """The folder for stored measurements, compiled kernels and predictors.

    ``NATDEPLOY_HOME`` if set, else ``$XDG_CACHE_HOME/natdeploy``, else ``~/.cache/natdeploy``.
    """
    if home := os.environ.get("NATDEPLOY_HOME"):
        return Path(home)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "natdeploy"
