"""Which data sets of a run are built for, and what is said of the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from natdeploy import deploy, verbs
from natdeploy.cli.main import app
from natdeploy.deploy import BuiltBundle, Manifest
from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import write_json
from natdeploy.runs import RunConfig, RunFolder
from tests.deploy.stand_ins import archs, manifest_of


@pytest.fixture
def run(tmp_path: Path) -> Path:
    config = RunConfig(latency_ms=5, data="own.npz", further_data={"cars": "cars.npz", "pets": "pets.npz"})
    return RunFolder.create(tmp_path / "run", config, lambda path: path.write_text("{}")).path


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Data sets in the order in which they are built; nothing really is."""
    tasks: list[str] = []

    def build(run: RunFolder, *, task: str, progress: Any, **_: object) -> list[BuiltBundle]:
        tasks.append(task)
        if progress:
            progress("at work", 0.5)
        manifest = manifest_of(archs(1)[0])
        provenance = manifest.provenance.model_copy(update={"task": task, "data": task or "own"})
        manifest = manifest.model_copy(update={"provenance": provenance})
        path = run.path / "bundles" / "-".join(filter(None, (manifest.name, task)))
        write_json(path / "manifest.json", manifest.to_json())
        return [BuiltBundle(path, Manifest.model_validate(manifest.to_json()))]

    monkeypatch.setattr(deploy, "build", build)
    return tasks


def test_unless_named_it_is_the_runs_own(run: Path, built: list[str]) -> None:
    found = verbs.build(run)
    assert built == [""] and found.further_tasks == ("cars", "pets")
    assert [(bundle.data, bundle.task) for bundle in found.bundles] == [("own", "")]


def test_named_ones_are_built_in_turn_and_progress_is_of_all(run: Path, built: list[str]) -> None:
    told: list[tuple[str, float]] = []
    found = verbs.build(run, task="all", progress=lambda *said: told.append(said))
    assert built == ["", "cars", "pets"] and not found.further_tasks
    assert told == [("at work", 0.5 / 3), ("cars: at work", 1.5 / 3), ("pets: at work", 2.5 / 3)]
    assert verbs.build(run, task=["pets"]).further_tasks == ("cars",)


def test_a_wrong_name_is_found_before_anything_is_built(run: Path, built: list[str]) -> None:
    with pytest.raises(BadInput, match="'zoo': its further data sets are cars, pets"):
        verbs.build(run, task=["pets", "zoo"])
    assert built == []


def test_the_command_says_what_was_built_for_and_what_was_not(run: Path, built: list[str]) -> None:
    said = CliRunner().invoke(app, ["build", str(run)]).output
    assert "built for own, the run's own; the run's other data sets, each by --task NAME: cars, pets" in " ".join(
        said.split()
    )
    said = CliRunner().invoke(app, ["build", str(run), "--task", "cars", "--task", "all"]).output
    assert "other data sets" not in said and built == ["", "cars", "", "pets"]
