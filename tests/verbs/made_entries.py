"""A pipeline whose entries' bundles were made by hand, as the ci verbs leave them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from natdeploy.cli.main import app
from natdeploy.deploy.manifest import Manifest
from natdeploy.verbs.ci.record import EntryRecord, bundle_digest, write_record
from tests.deploy.stand_ins import make_bundle

KEY = "0" * 64


def enter_pipeline(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pipeline of one entry, in the working directory, and a cache of its own."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("NATDEPLOY_HOME", str(folder / "home"))
    write_pipeline()
    return folder


def write_pipeline(**changes: object) -> None:
    value = {"tasks": {"digits": {"data": "digits"}}, "devices": {"host": {"latency_ms": 2}}, **changes}
    Path("natdeploy.yaml").write_text(yaml.safe_dump(value))


def built(entry: str = "digits-host", device: str = "host", *, measured_ms: float = 1.5) -> Path:
    """An entry as ci build leaves it, with a made-up bundle."""
    folder = Path("ci") / entry
    (folder / "runs").mkdir(parents=True, exist_ok=True)
    scratch = folder.parent / "scratch" / "host-bundle"
    manifest = make_bundle(scratch, measured_ms=measured_ms)
    bundle = folder / "bundles" / manifest.name
    shutil.rmtree(bundle, ignore_errors=True)
    shutil.copytree(scratch, bundle)
    record(folder, entry, device, manifest)
    return bundle


def record(folder: Path, entry: str, device: str, manifest: Manifest) -> None:
    keys = {"inputs": KEY, "latency_model": KEY, "search": KEY, "build": KEY, "latency_source": "measured"}
    digests = {manifest.name: bundle_digest(manifest)}
    write_record(folder, EntryRecord(name=entry, task="digits", device=device, bundles=digests, **keys))


def status(*arguments: str) -> int:
    try:
        return int(app(list(arguments), standalone_mode=False) or 0)
    except SystemExit as left:
        return int(left.code or 0)
