"""Runs of two data sets and of two runtimes: every figure is said to be of one, with its own source and error."""

from __future__ import annotations

from dataclasses import replace

import pytest

from natdeploy.ground.files import read_json, write_json
from natdeploy.report import front_table
from natdeploy.report.facts import Facts, gather
from natdeploy.report.provenance import provenance_table
from natdeploy.report.reasons import reasons
from natdeploy.report.report import write_report
from natdeploy.runs import Place
from natdeploy.runs.folder import write_items
from natdeploy.runs.quantities import with_ends
from tests.report.made_run import MadeRun, latency_model, make_run
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


def test_each_data_sets_accuracy_has_its_own_images(made: MadeRun) -> None:
    sources = dict(provenance_table(facts_of(made)).rows)
    assert sources["validation top-1"].startswith("270 validation images of digits, held out of training")
    assert sources["validation top-1, pets"].startswith("77 validation images of pets.npz, held out of training")
    assert "subnets of its own supernet" in sources["validation top-1, pets"]


def test_mirror_images_are_mentioned_where_validation_shows_them(made: MadeRun) -> None:
    facts = facts_of(made)
    adapt = facts.config.adapt.model_copy(update={"validate_on": "mirrored"})
    sources = dict(provenance_table(replace(facts, config=facts.config.model_copy(update={"adapt": adapt}))).rows)
    assert sources["validation top-1"].startswith("270 validation images of digits and their mirror images, held out")


def test_each_runtimes_latency_and_each_energy_has_its_own_source_and_each_accuracy_its_own_error(tmp_path) -> None:
    place = Place("host", "onnxruntime")
    names = ["top1", "top1:pets", "latency_ms", f"latency_ms:{place.key}", "energy_mj"]
    made = make_run(tmp_path / "run", objectives=names, further_data={"pets": "pets.npz"})
    model = replace(latency_model(), runtime=place.runtime, source="table", origin={"source": "x", "licence": "y"})
    (made.run.path / "elsewhere").mkdir()
    model.save(made.run.latency_model_of(place))
    power = {"": {"watts": 3.5, "about": "power.limit_w, 14 W, for 1 of 4 cores"}}
    write_json(made.run.path / "elsewhere" / "power.json", power)
    pets = {"top1:pets": 0.5, "loss:pets": 1.0, "val_images:pets": 77.0}
    more = {**pets, **with_ends(f"latency_ms:{place.key}", 2.0, 1.0, 3.0), **with_ends("energy_mj", 0.7, 0.6, 0.8)}
    for name, entries in (("archive.json", made.archive), ("front.json", made.front)):
        write_items(made.run.result_path / name, [replace(one, more=more) for one in entries])
    sources = dict(provenance_table(gather(made.run, measurements=made.holdout)).rows)
    assert "source: measured" in sources["predicted latency"] and "runtime tvm" in sources["predicted latency"]
    assert "source: table" in sources["predicted ms, host onnxruntime"]
    assert "published by x, licence y" in sources["predicted ms, host onnxruntime"]
    assert sources["modelled mJ"].startswith("a model, nothing measured: 3.5 W") and "14 W" in sources["modelled mJ"]
    front = front_table(made.run).to_json()
    assert front["rows"][0][front["columns"].index("top-1, pets")] == "50.0 ± 5.6 %"
