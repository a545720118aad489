"""Checkpoints named by an address: fetched once, kept in the cache folder."""

from __future__ import annotations

import http.client
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import cache_root, content_key, readable_disk_errors, write_bytes

_TIMEOUT_S = 30.0


def is_address(source: str) -> bool:
    """Whether a supernet's name is an address on the web rather than a path."""
    return source.startswith(("https://", "http://"))


def fetched(address: str) -> Path:
    """The file at an address, from the cache folder where it has been fetched before.

    Raises:
        BadInput: the address does not answer, or not with the whole file; nothing half-fetched is kept.
    """
    name = Path(urlsplit(address).path).name or "supernet"
    path = cache_root() / "supernets" / content_key(address)[:16] / name
    if path.is_file():
        return path
    try:
        with urllib.request.urlopen(address, timeout=_TIMEOUT_S) as answer:
            data = answer.read()  # raises IncompleteRead when less came than was announced
    except (http.client.HTTPException, OSError, ValueError) as error:
        raise BadInput(f"{address}: cannot be fetched ({error}); fetch the file yourself and give its path") from None
    with readable_disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, data)
    return path
