"""Measurements that others published: kept beside a user's own timings, never among them, each file with its origin.

A device's published measurements are one JSON file per imported file in ``cache_root()/published/DEVICE``. What was
timed is described as far as the publication tells: a block of a network, an operator, an architecture, or a model of
which only the name and the size are known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import cache_root, canonical_json, content_key, read_json, write_text

SCHEMA_VERSION = 1
KIND = "natdeploy published measurements"
#: What a published latency can be of.
KINDS = ("block", "operator", "network", "model")


@dataclass(frozen=True)
class Publication:
    """Where numbers come from.

    Attributes:
        source: repository and commit, or whatever leads to the numbers.
        licence: of the source, as its repository states it.
        published: year, or a fuller date.
        runtime: what ran the networks; says so where the publication does not tell.
    """

    source: str
    licence: str
    published: str
    runtime: str


@dataclass(frozen=True)
class Origin:
    """Provenance of an imported file.

    Attributes:
        publication: where its numbers come from.
        format: how it was read.
        file, sha256: its name and digest.
        device: the device as the file names it; empty where it names none.
        imported_at: UTC, ISO 8601.
    """

    publication: Publication
    format: str
    file: str
    sha256: str
    device: str
    imported_at: str


@dataclass(frozen=True)
class PublishedTiming:
    """One published latency.

    Attributes:
        kind: one of :data:`KINDS`.
        what: what was timed: fields of a :class:`natdeploy.spaces.Block`, an ``Arch`` in its JSON form, or the fields
            by which the publication describes an operator or a model.
        latency_ms: mean, in milliseconds.
        spread_ms: standard deviation; None where it was not published.
        device: the device as the file names it; empty where it names none.
        runtime: what ran it, where the file tells; else empty.
        setting: what else was chosen: batch, cores, precision.
    """

    kind: str
    what: Mapping[str, Any]
    latency_ms: float
    spread_ms: float | None = None
    device: str = ""
    runtime: str = ""
    setting: str = ""


@dataclass(frozen=True)
class PublishedTable:
    """All that one file says of one device."""

    origin: Origin
    timings: tuple[PublishedTiming, ...]

    @property
    def key(self) -> str:
        """What an import of the same content for the same device shares, in hex."""
        origin = self.origin
        return content_key([origin.format, origin.sha256, origin.device, asdict(origin.publication)])[:16]

    def save(self, device: str) -> Path:
        """Keep the table as published measurements of a device; importing the same again changes nothing."""
        path = published_folder(device) / f"{self.origin.format}-{self.key}.json"
        if not path.exists():
            body = {"origin": asdict(self.origin), "timings": [asdict(timing) for timing in self.timings]}
            value = {"kind": KIND, "schema_version": SCHEMA_VERSION, "sha256": content_key(body), "table": body}
            write_text(path, canonical_json(value) + "\n")
        return path

    @staticmethod
    def load(path: Path) -> PublishedTable:
        """Read what :meth:`save` wrote. Raises BadInput naming a file that is not that, or is damaged."""
        value = read_json(path, "published measurements")
        if not isinstance(value, dict) or (value.get("kind"), value.get("schema_version")) != (KIND, SCHEMA_VERSION):
            raise BadInput(f"{path}: not published measurements that this version can read; import the file again")
        body = value.get("table")
        if not isinstance(body, dict) or value.get("sha256") != content_key(body):
            raise BadInput(f"{path}: damaged published measurements; remove the file and import again")
        origin = {**body["origin"], "publication": Publication(**body["origin"]["publication"])}
        return PublishedTable(Origin(**origin), tuple(PublishedTiming(**timing) for timing in body["timings"]))


def published_folder(device: str) -> Path:
    """Where published measurements of a device are kept; need not exist."""
    return cache_root() / "published" / device


def published_tables(device: str) -> list[PublishedTable]:
    """All published measurements that were imported for a device, by file name."""
    paths = sorted(published_folder(device).glob("*.json"))
    return [_loaded(path, stat.st_mtime_ns, stat.st_size) for path in paths for stat in [path.stat()]]


@lru_cache(maxsize=4)
def _loaded(path: Path, modified_ns: int, size: int) -> PublishedTable:
    """A table is read once while its file stays as it is: some have tens of thousands of rows."""
    return PublishedTable.load(path)
