"""Object code on disk, found by content: what it was compiled from, for which target, by which tools.

Entries are written whole or not at all and checked when read, so that any number of processes may share a cache and a
damaged entry is just compiled again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from natdeploy.ground.files import cache_root, content_key, sha256_bytes, write_bytes

_DIGEST_LINE = 65


class KernelCache:
    """Object files under ``root`` (by default ``kernels`` in the cache folder), each behind its SHA-256."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = Path(root) if root is not None else cache_root() / "kernels"

    @staticmethod
    def key(*parts: Any) -> str:
        """The key of JSON-ready parts: whatever the object code depends on."""
        return content_key(parts)

    def get(self, key: str) -> bytes | None:
        """The object code, or None where there is none or the entry is damaged."""
        try:
            entry = self._path(key).read_bytes()
        except OSError:
            return None
        digest, code = entry[: _DIGEST_LINE - 1], entry[_DIGEST_LINE:]
        return code if code and sha256_bytes(code).encode() == digest else None

    def put(self, key: str, code: bytes) -> None:
        """Keep object code. Raises BadInput where the disk is full or not writable."""
        write_bytes(self._path(key), sha256_bytes(code).encode() + b"\n" + code)

    def _path(self, key: str) -> Path:
        return self.root / key[:2] / f"{key}.o"
