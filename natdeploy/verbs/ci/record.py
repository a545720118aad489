"""What an entry's folder holds and what it was made from.

::

    OUT/ENTRY/build.json      keys of the stages, digests of the bundles
    OUT/ENTRY/runs/KEY/       searches by content, so that going back to an earlier budget finds its search again
    OUT/ENTRY/bundles/NAME/   the bundles of the last build
    OUT/ENTRY/report.html     what that build's search found
    OUT/ENTRY/front.svg       its front, a picture
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import content_key, read_json, write_json
from natdeploy.ground.validation import Real, Settings, validate

if TYPE_CHECKING:
    from natdeploy.deploy import Manifest

RECORD, REPORT, FRONT = "build.json", "report.html", "front.svg"
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
#: A folder's name, never a path.
BundleName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
#: Digits of a key that a folder is named after.
SHORT = 16


class EntryRecord(Settings):
    """``build.json``: where nothing was timed, the same for equal inputs wherever it was made.

    Attributes:
        name, task, device: the entry.
        inputs, latency_model, search, build: keys of the stages, see :mod:`natdeploy.verbs.ci.keys`.
        latency_source: where the latency model's knowledge comes from.
        bundles: bundle name to the digest of its model and artifacts.
        front: predicted milliseconds and validation top-1 of the search's front, the fastest first.
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
    bundles: Annotated[dict[BundleName, Sha256], Field(min_length=1)]
    front: tuple[tuple[Real, Real], ...] = ()


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


@dataclass(frozen=True)
class BuiltBundle:
    """A bundle of an entry's last build, its files checked."""

    path: Path
    manifest: Manifest


def built_bundles(folder: Path, device: str) -> tuple[BuiltBundle, ...]:
    """The bundles that an entry's record lists.

    Raises BadInput where the entry was not built, VerificationFailed where a bundle is missing, damaged, another one
    than was built, or not in the folder at all but behind a link.
    """
    from natdeploy.deploy.integrity import check_files
    from natdeploy.ground.errors import VerificationFailed

    record = read_record(folder)
    if record is None:
        raise BadInput(f"{folder / RECORD}: missing; build the entry: natdeploy ci build --device {device}")
    found = []
    for name, digest in record.bundles.items():
        path = bundles_folder(folder) / name
        for part in (path.parent, path):
            if part.is_symlink():
                raise VerificationFailed(f"{part}: a symbolic link; bundles lie in their entry's own folder")
        if not path.is_dir():
            raise VerificationFailed(f"{path}: missing, though {RECORD} lists it; build the entry again")
        manifest = check_files(path)
        if bundle_digest(manifest) != digest:
            raise VerificationFailed(f"{path}: is not the bundle that {RECORD} lists; build the entry again")
        found.append(BuiltBundle(path, manifest))
    return tuple(found)
