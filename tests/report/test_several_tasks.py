"""A run of two data sets: what is said of a model is said of the data set that it was built for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from natdeploy.ground.files import read_json, write_json
from natdeploy.report.facts import Facts, gather
from natdeploy.report.reasons import reasons
from natdeploy.report.report import write_report
from natdeploy.runs.folder import write_items
from tests.report.made_run import MadeRun, make_run
from tests.report.page import Page


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> MadeRun:
    """The second bundle is the best on pets; all pets are recognised half as often as digits."""
    made = make_run(tmp_path_factory.mktemp("tasks") / "run", bundles=2, further_data={"pets": "pets.npz"})
    for name, entries in (("archive.json", made.archive), ("front.json", made.front)):
        figures = [{"top1:pets": one.top1 / 2, "loss:pets": 1.0, "val_images:pets": 77.0} for one in entries]
        write_items(made.run.result_path / name, [replace(one, more=more) for one, more in zip(entries, figures)])
    path = made.bundles[1] / "manifest.json"
    manifest = read_json(path, "manifest")
    write_json(path, {**manifest, "provenance": {**manifest["provenance"], "task": "pets", "picked_as": ["best"]}})
    return made


def facts_of(made: MadeRun) -> Facts:
    return gather(made.run, measurements=made.holdout)


def test_reasons_are_those_of_the_models_data_set(made: MadeRun) -> None:
    facts = facts_of(made)
    told = {manifest.provenance.task: reasons(facts, manifest)[0] for manifest in facts.bundles}
    highest = max(entry.top1 for entry in made.archive if entry.feasible)
    assert f"within the budget is {100 * highest:.1f}" in told[""] and "on 270 images. " in told[""]
    assert f"within the budget is {50 * highest:.1f}" in told["pets"] and "on 77 images of pets. " in told["pets"]


def test_the_runs_own_data_set_heads_the_page_and_is_named(made: MadeRun) -> None:
    facts = facts_of(made)
    assert facts.shown is not None and facts.shown.name == made.bundles[0].name
    text = Page(write_report(made.run, measurements=made.holdout)).text
    assert "images of digits" in text
    assert "of networks with 10 classes, as many as any of the data sets has" in text
    alone = Facts(**{**vars(facts), "bundles": tuple(one for one in facts.bundles if one.provenance.task)})
    assert alone.shown is not None and alone.shown.provenance.task == "pets"
