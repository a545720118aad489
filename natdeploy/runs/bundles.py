"""Which bundles belong to a run, wherever they were written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import content_key, read_json, write_json
from natdeploy.runs.folder import RunFolder

#: In a run: its bundles, and notes of those that were written outside of it, a file each.
BUNDLES, NOTES = "bundles", "bundles_elsewhere"
_MANIFEST = "manifest.json"
#: What a manifest says of the build; a later timing changes other fields, and the bundle stays the run's.
_BUILD = ("name", "model", "device", "artifacts", "provenance")


@dataclass(frozen=True)
class RunBundles:
    """Folders of a run's bundles.

    Attributes:
        there: those in the run, then those elsewhere, each sorted.
        gone: those elsewhere that were moved, removed or replaced.
    """

    there: tuple[Path, ...]
    gone: tuple[Path, ...]


def note_bundle(run: RunFolder, bundle: Path) -> None:
    """Remember a bundle of the run; nothing to do for one in the run's own folder."""
    bundle = Path(bundle).resolve()
    if bundle.parent != (run.path / BUNDLES).resolve():
        note = {"bundle": str(bundle), "build": _build(bundle)}
        write_json(run.path / NOTES / f"{content_key(str(bundle))[:16]}.json", note)


def bundles_of(run: RunFolder) -> RunBundles:
    """Where a run's bundles are. Raises BadInput naming a damaged note."""
    there = sorted(path.parent for path in (run.path / BUNDLES).glob(f"*/{_MANIFEST}"))
    elsewhere = dict(sorted(_read(path) for path in (run.path / NOTES).glob("*.json")))
    found = [bundle for bundle, build in elsewhere.items() if _is(bundle, build)]
    return RunBundles((*there, *found), tuple(bundle for bundle in elsewhere if bundle not in found))


def _read(path: Path) -> tuple[Path, str]:
    value = read_json(path, "note of a bundle")
    try:
        return Path(value["bundle"]), str(value["build"])
    except (KeyError, TypeError) as error:
        raise BadInput(f"{path}: damaged note of a bundle ({error!r}); remove it and build the bundle again") from None


def _is(bundle: Path, build: str) -> bool:
    try:
        return _build(bundle) == build
    except BadInput:
        return False


def _build(bundle: Path) -> str:
    """What tells the build of a bundle from any other, in hex. Raises BadInput naming a manifest that is none."""
    path = bundle / _MANIFEST
    manifest = read_json(path, "bundle manifest")
    if not isinstance(manifest, dict):
        raise BadInput(f"{path}: not a bundle manifest; build the bundle again")
    return content_key({field: manifest.get(field) for field in _BUILD})
