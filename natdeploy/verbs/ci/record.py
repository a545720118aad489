"""What an entry's folder holds and what it was made from.

::

    OUT/ENTRY/build.json      keys of the stages, digests of the bundles
    OUT/ENTRY/runs/KEY/       searches by content, so that going back to an earlier budget finds its search again
    OUT/ENTRY/bundles/NAME/   the bundles of the last build
    OUT/ENTRY/report.html     what that build's search found
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import content_key, read_json, write_json
from natdeploy.ground.validation import Settings, validate

if TYPE_CHECKING:
    from natdeploy.deploy import Manifest

RECORD = "build.json"
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
#: Digits of a key that a folder is named after.
SHORT = 16


class EntryRecord(Settings):
    """``build.json``: where nothing was timed, the same for equal inputs wherever it was made.

    Attributes:
        name, task, device: the entry.
        inputs, latency_model, search, build: keys of the stages, see :mod:`natdeploy.verbs.ci.keys`.
        latency_source: where the latency model's knowledge comes from.
        bundles: bundle name to the digest of its model and artifacts.
    """

    schema_version: Literal[1] = 1
    name: str
    task: str
    device: str
    inputs: Sha256
    latency_model: Sha256
    latency_source: str
    search: Sha256
    build: Sha256
    bundles: dict[str, Sha256]


def read_record(folder: Path) -> EntryRecord | None:
    """An entry's record; None before its first build. Raises BadInput for one that cannot be read."""
    path = folder / RECORD
    if not path.exists():
        return None
    try:
        return validate(EntryRecord, read_json(path, "record of a build"), path)
    except BadInput as error:
        raise BadInput(f"{error}; remove the file and build again") from None


def write_record(folder: Path, record: EntryRecord) -> None:
    """Keep an entry's record."""
    write_json(folder / RECORD, record.model_dump(mode="json"))


def run_folder(folder: Path, search: str) -> Path:
    """Where a search of this key is kept."""
    return folder / "runs" / search[:SHORT]


def bundles_folder(folder: Path) -> Path:
    """Where an entry's bundles are."""
    return folder / "bundles"


def bundle_digest(manifest: Manifest) -> str:
    """What a record keeps of a bundle: its model and artifacts; timings and where it was verified may come later."""
    value = manifest.to_json()
    return content_key({field: value[field] for field in ("model", "artifacts", "preprocessing", "accuracy")})
