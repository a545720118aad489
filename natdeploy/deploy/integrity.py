"""Is a bundle whole? ``SHA256SUMS`` names every other file but its signature, ``manifest.json`` every file but these.

Each file's digest thus stands in two places, so that damage to ``SHA256SUMS`` itself can be told from damage to a file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from natdeploy.deploy.manifest import Manifest, read_manifest
from natdeploy.ground.errors import BadInput, VerificationFailed
from natdeploy.ground.files import sha256_file, write_text

MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"
#: Of ``SHA256SUMS``, so that no checksum can cover it; most bundles have none.
SIGNATURE = "SHA256SUMS.sig"
_LINE = re.compile(r"([0-9a-f]{64})  ([^\x00-\x1f\x7f\\]+)")
_ADVICE = "take the bundle from its source again, or build it again"


def write_sums(folder: Path) -> None:
    """Write ``SHA256SUMS`` over all other files, sorted, in the form that ``sha256sum -c`` reads."""
    digests = {path: sha256_file(folder / path) for path in plain_files(folder) if path not in (SUMS, SIGNATURE)}
    write_text(folder / SUMS, "".join(f"{digests[path]}  {path}\n" for path in sorted(digests)))


def plain_files(folder: Path) -> list[str]:
    """Paths of all files below a folder, relative, with forward slashes, sorted.

    Raises VerificationFailed naming what is neither a plain file nor a folder: no link is ever followed.
    """
    return sorted(_walk(folder, PurePosixPath()))


def check_files(folder: Path) -> Manifest:
    """Check that a bundle's files are all there, all listed and all unchanged; return its manifest.

    Raises BadInput when ``folder`` is not a bundle at all, VerificationFailed naming the file at fault.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise BadInput(f"{folder}: {'not a folder' if folder.exists() else 'no such folder'}; expected a bundle")
    if not any((folder / name).exists() for name in (MANIFEST, SUMS)):
        raise BadInput(f"{folder}: not a bundle: it has neither {MANIFEST} nor {SUMS}; natdeploy build makes one")
    present = plain_files(folder)
    if SUMS not in present and MANIFEST in present:
        read_manifest(folder / MANIFEST)  # a folder of something else is no bundle that lost a file
    for name in (SUMS, MANIFEST):
        if name not in present:
            raise VerificationFailed(f"{folder / name}: missing; {_ADVICE}")
    listed = _read_sums(folder / SUMS)
    found = {path: sha256_file(folder / path) for path in present if path not in (SUMS, SIGNATURE)}
    manifest = _unchanged_manifest(folder, found[MANIFEST], listed)
    recorded = {entry.path: entry.sha256 for entry in manifest.files}
    recorded[MANIFEST] = found[MANIFEST]
    _compare(folder, found, listed, recorded)
    for field, path in (
        ("verification.reference", manifest.verification.reference),
        *(("artifacts.path", artifact.path) for artifact in manifest.artifacts),
    ):
        if path not in found:
            raise VerificationFailed(f"{folder / MANIFEST}: field {field!r} names {path!r}, not a file of the bundle")
    return manifest


def _walk(folder: Path, below: PurePosixPath) -> Iterator[str]:
    with os.scandir(folder / below) as items:
        for item in items:
            path = below / item.name
            if item.is_symlink():
                raise VerificationFailed(f"{folder / path}: a symbolic link; a bundle holds plain files only")
            if item.is_dir():
                yield from _walk(folder, path)
            elif item.is_file():
                yield str(path)
            else:
                raise VerificationFailed(f"{folder / path}: not a plain file; a bundle holds plain files only")


def _read_sums(path: Path) -> dict[str, str]:
    try:
        text = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise VerificationFailed(f"{path}: not readable: {error}; {_ADVICE}") from None
    listed: dict[str, str] = {}
    lines = text.split("\n")
    if lines.pop() != "":
        raise VerificationFailed(f"{path}: cut off in its last line; {_ADVICE}")
    for number, line in enumerate(lines, 1):
        match = _LINE.fullmatch(line)
        if not match:
            raise VerificationFailed(f"{path}: line {number} is not a SHA-256 digest and a path; {_ADVICE}")
        digest, name = match.groups()
        if PurePosixPath(name).is_absolute() or ".." in name.split("/") or str(PurePosixPath(name)) != name:
            raise VerificationFailed(f"{path}: line {number}: path {name!r} leaves the bundle or is not plain")
        if name in listed or name in (SUMS, SIGNATURE):
            raise VerificationFailed(f"{path}: line {number}: {name!r} must not be listed {'twice' * (name in listed)}")
        listed[name] = digest
    return listed


def _unchanged_manifest(folder: Path, digest: str, listed: Mapping[str, str]) -> Manifest:
    """The manifest, once it is known to be the one that ``SHA256SUMS`` speaks of."""
    if MANIFEST not in listed:
        raise VerificationFailed(f"{folder / SUMS}: does not list {MANIFEST}; {_ADVICE}")
    if listed[MANIFEST] != digest:
        raise VerificationFailed(
            f"{folder / MANIFEST}: its content does not match its line in {SUMS}; one of the two was changed; {_ADVICE}"
        )
    return read_manifest(folder / MANIFEST)


def _compare(folder: Path, found: Mapping[str, str], listed: Mapping[str, str], recorded: Mapping[str, str]) -> None:
    """Hold what is there against both lists. Two that agree against one name the one at fault."""
    for path in sorted({*found, *listed, *recorded}):
        digests = (found.get(path), listed.get(path), recorded.get(path))
        if len(set(digests)) == 1:
            continue
        is_there, in_sums, in_manifest = digests
        if is_there == in_manifest:
            fault = f"{folder / SUMS}: its line for {path!r} was changed, added or removed"
        elif is_there is None:
            fault = f"{folder / path}: missing"
        elif in_sums is None and in_manifest is None:
            fault = f"{folder / path}: not listed in {SUMS}: it does not belong to the bundle"
        elif in_sums == in_manifest:
            fault = f"{folder / path}: its content was changed: the SHA-256 is not the one in {SUMS}"
        else:
            fault = f"{folder / MANIFEST}: its entry under 'files' for {path!r} is not what {SUMS} says"
        raise VerificationFailed(f"{fault}; {_ADVICE}")
