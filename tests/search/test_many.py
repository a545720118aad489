"""Many objectives: limits, several devices, several data sets, energy."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from natdeploy.ground.errors import BadInput, BudgetNotMet
from natdeploy.runs import ArchiveEntry, Place, RunFolder
from natdeploy.search import search, steps
from natdeploy.search.evaluation import evaluate_all
from natdeploy.search.sharing import sharing
from natdeploy.search.tasks import SeveralTasks
from tests.search.make import estimator
from tests.search.synthetic import SPACE, Synthetic, Weights, small_config, true_latency_ms

LIGHT = {"iterations": 1, "surrogate": "ridge", "surrogate_evaluations": 60, "random_baseline": False}


def run_of(tmp_path: Path, **fields: object) -> RunFolder:
    fields["search"] = {**LIGHT, **fields.pop("search", {})}
    return search(small_config(**fields), tmp_path / "run", surroundings=Synthetic())


def test_limits_hold_for_the_front_and_decide_what_is_proposed(tmp_path: Path) -> None:
    largest = SPACE.layers(SPACE.largest(), 10)
    most = sum(layer.macs for layer in largest) * 0.15
    run = run_of(tmp_path, latency_ms=100, limits=[f"macs<={most}", "params>=400000"])
    assert run.front() and all(entry.macs <= most and entry.params >= 400_000 for entry in run.front())
    archive = run.archive()
    assert any(not entry.feasible for entry in archive)  # the largest is there for the surrogate to learn from
    assert all(entry.feasible == (entry.macs <= most and entry.params >= 400_000) for entry in archive)
    assert sum(entry.feasible for entry in archive) >= 4  # all candidates


def test_a_least_accuracy_is_held_by_what_was_evaluated(tmp_path: Path) -> None:
    run = run_of(tmp_path, latency_ms=20, limits="top1>=0.87", objectives=["macs", "params"])
    assert run.front() and all(entry.top1 >= 0.87 for entry in run.front())
    assert any(not entry.feasible for entry in run.archive())


def test_limits_that_nothing_can_keep_leave_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(BudgetNotMet, match=r"keeps macs<=1000 within.*has macs \d+, and macs<=1000 was asked for"):
        run_of(tmp_path, limits="macs<=1000")
    with pytest.raises(BudgetNotMet, match=r"params>=1e\+12 was asked for"):
        run_of(tmp_path, limits="params>=1e12")
    assert list(tmp_path.iterdir()) == []


def test_an_accuracy_that_nothing_reaches_is_said_and_the_run_is_there(tmp_path: Path) -> None:
    for _ in range(2):  # when it ends, and when it is asked for again
        with pytest.raises(BudgetNotMet, match=r"none of \d+ evaluated architectures keeps top1>=0\.999.*has top1 0\."):
            run_of(tmp_path, limits="top1>=0.999")
    assert RunFolder(tmp_path / "run").is_finished and not RunFolder(tmp_path / "run").front()


def test_two_devices_share_a_search(tmp_path: Path) -> None:
    run = run_of(tmp_path, latency_ms=5.0, further_devices={"deep": 13.0}, search={"iterations": 2})
    name, archive = "latency_ms:deep:tvm", run.archive()
    upper = "latency_upper_ms:deep:tvm"
    for entry in archive:
        assert entry.value(name) == pytest.approx(entry.latency_ms + 0.5 * len(entry.arch.ks))
        assert entry.feasible == (entry.latency_upper_ms <= 5.0 or entry.value(upper) <= 13.0)
    found = run.summary()["sharing"]
    ids = {entry.id: entry for entry in archive}
    shared = ids[found["shared"]["id"]]
    assert shared.latency_upper_ms <= 5.0 and shared.value(upper) <= 13.0
    for device, budget, end in (("latency_ms", 5.0, "latency_upper_ms"), (name, 13.0, upper)):
        alone = ids[found["devices"][device]["id"]]
        best = max(entry.top1 for entry in archive if entry.value(end) <= budget)
        assert alone.value(end) <= budget and alone.top1 == best
        assert found["devices"][device]["lost"] == pytest.approx(best - shared.top1) and best >= shared.top1
    assert run.latency_model_of(Place("deep", "tvm")).name == "deep-tvm.json"


def test_a_device_whose_budget_cannot_be_met_is_named(tmp_path: Path) -> None:
    with pytest.raises(BudgetNotMet, match=r"meets 0\.1 ms on deep with tvm: the fastest one"):
        run_of(tmp_path, further_devices={"deep": 0.1})
    assert list(tmp_path.iterdir()) == []


def test_where_no_model_serves_all_devices_it_is_said(tmp_path: Path) -> None:
    run = run_of(tmp_path, latency_ms=30, further_devices={"deep": 9.0}, search={"iterations": 0})
    slow = [replace(entry, more={**entry.more, "latency_upper_ms:deep:tvm": 99.0}) for entry in run.archive()]
    found = sharing(slow, run.config())
    assert found is not None and found["shared"]["id"] is None
    assert found["devices"]["latency_ms"]["id"] and found["devices"]["latency_ms"]["lost"] is None
    assert found["devices"]["latency_ms:deep:tvm"]["id"] is None
    assert sharing(slow, small_config()) is None


def test_energy_is_watts_times_latency_and_says_that_it_is_a_model(tmp_path: Path) -> None:
    run = run_of(
        tmp_path, objectives=["top1", "energy_mj", "energy_mj:deep", "file_bytes"], limits="energy_mj:deep<=60"
    )
    for entry in run.archive():
        assert entry.value("energy_mj") == pytest.approx(2 * entry.latency_ms)
        assert entry.value("energy_mj:deep:tvm") == pytest.approx(5 * entry.value("latency_ms:deep:tvm"))
    assert all(entry.value("energy_upper_mj:deep:tvm") <= 60 for entry in run.front())
    told = run.summary()["energy"]
    assert set(told) == {"", "deep:tvm"} and "not measured" in told[""]["model"] and told["deep:tvm"]["watts"] == 5


def test_three_data_sets_each_with_weights_of_its_own(tmp_path: Path) -> None:
    fields = {
        "further_data": {"hard": "hard", "flat": "shallow"},
        "objectives": ["macs", "top1", "top1:hard", "top1:flat"],
    }
    run = run_of(tmp_path, latency_ms=20, **fields)
    entries = run.archive()
    assert all(entry.value("top1:hard") <= entry.top1 for entry in entries)
    assert {entry.value("val_images:flat") for entry in entries} == {500}
    assert run.summary()["reference_point"]["top1:flat"] == 1.0
    assert set(run.summary()["data_fingerprints"]) == {"", "hard", "flat"}
    for name in ("hard", "flat"):
        kept = json.loads((run.result_path / "tasks" / name / "supernet.safetensors").read_text())
        assert kept["generation"] == 1 and "warm-up" in kept["drawn"]
    best = max(entries, key=lambda entry: entry.value("top1:flat"))
    assert len(best.arch.ks) < len(max(entries, key=lambda entry: entry.top1).arch.ks)


def test_of_several_data_sets_the_one_with_the_most_classes_counts(tmp_path: Path) -> None:
    most = 1_000_000
    limits, objectives = [f"params<={most}", "energy_mj<=10"], ["top1", "top1:many", "energy_mj"]
    run = run_of(tmp_path, latency_ms=20, further_data={"many": "many"}, objectives=objectives, limits=limits)
    assert run.summary()["num_classes"] == 500
    for entry in run.archive():
        assert entry.params == sum(layer.params for layer in SPACE.layers(entry.arch, 500))
        assert entry.latency_ms == pytest.approx(true_latency_ms(entry.arch) + 0.49)
        assert entry.value("energy_mj") == pytest.approx(2 * entry.latency_ms)
    assert run.front() and all(entry.params <= most and entry.value("energy_upper_mj") <= 10 for entry in run.front())


def test_each_data_sets_surrogate_is_judged_by_itself_and_a_limits_too(tmp_path: Path) -> None:
    said: list[str] = []
    config = small_config(
        latency_ms=20,
        further_data={"flat": "shallow", "hard": "hard"},
        objectives=["macs", "top1:flat"],
        limits=["top1:hard>=0.5"],
        search={**LIGHT, "surrogate": "auto"},
    )
    run = search(config, tmp_path / "run", surroundings=Synthetic(), progress=lambda stage, _: said.append(stage))
    qualities = run.history()[-1].surrogate["of"]
    assert list(qualities) == ["top1:flat", "top1:hard"] and run.history()[0].surrogate == {}
    for quality in qualities.values():
        assert quality["cv_kendall"] == quality["cv_kendall_of"][quality["chosen"]] and quality["rmse"] >= 0
    assert qualities["top1:flat"]["cv_kendall_of"] != qualities["top1:hard"]["cv_kendall_of"]
    (told,) = (stage for stage in said if stage.startswith("surrogates of iteration 1: "))
    assert [part.split(" by ")[0] for part in told.partition(": ")[2].split(", ")] == ["top1:flat", "top1:hard"]


def test_data_sets_that_are_evaluated_elsewhere_are_handed_out_at_once() -> None:
    config, handed = small_config(), {}

    class Elsewhere(Weights):
        def prepare(self, archs) -> None:
            handed[self.config.data] = list(archs)

    here, there = Weights(config), Elsewhere(config.model_copy(update={"data": "hard"}))
    archs = [SPACE.smallest(), SPACE.largest()]
    entries, failures = evaluate_all(SeveralTasks(here, {"hard": there}), estimator()(archs), generation=0, stage="x")
    assert handed == {"hard": archs} and not failures
    assert all(entry.value("top1:hard") < entry.top1 for entry in entries)


def test_a_failure_on_one_data_set_is_no_accuracy_on_the_others() -> None:
    config = small_config()
    here, there = Weights(config), Weights(config.model_copy(update={"data": "hard"}))
    there.fail = lambda arch: arch == SPACE.largest()
    archs = [SPACE.smallest(), SPACE.largest()]
    entries, failures = evaluate_all(SeveralTasks(here, {"hard": there}), estimator()(archs), generation=0, stage="x")
    assert [entry.arch for entry in entries] == archs[:1] and [failure.arch for failure in failures] == archs[1:]
    assert there.evaluated.count(SPACE.largest()) == 2


def test_interrupted_with_several_data_sets_devices_and_energy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = {
        "latency_ms": 9.0,
        "further_data": {"hard": "hard"},
        "further_devices": {"deep": 20.0},
        "objectives": ["top1", "top1:hard", "energy_mj:deep", "latency_ms"],
        "limits": ["top1:hard>=0.5"],
    }
    whole = run_of(tmp_path / "whole", **fields)
    real, left = steps.NatSteps.run, [3]

    def three_steps(self, step, state, progress):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return real(self, step, state, progress)

    with monkeypatch.context() as patch:
        patch.setattr(steps.NatSteps, "run", three_steps)
        with pytest.raises(KeyboardInterrupt):
            run_of(tmp_path / "parts", **fields)
    assert run_of(tmp_path / "parts", **fields).archive() == whole.archive()


def test_an_unknown_power_and_two_profiles_of_one_file_name(tmp_path: Path) -> None:
    run = run_of(tmp_path, objectives=["top1", "energy_mj"])
    power = run.path / "elsewhere" / "power.json"
    power.write_text("[]")
    with pytest.raises(BadInput, match=r"power\.json: expected watts by device"):
        run.power()
    with pytest.raises(BadInput, match=r"would both be b-tvm\.json"):
        search(small_config(further_devices={"a/b.yaml": 5, "c/b.yaml": 5}), tmp_path / "two", surroundings=Synthetic())


def test_an_entry_of_an_older_run_has_no_further_figures(tmp_path: Path) -> None:
    value = run_of(tmp_path).archive()[0].to_json()
    del value["more"]
    entry = ArchiveEntry.from_json(value)
    assert entry.more == {} and entry.value("macs") == entry.macs
    with pytest.raises(KeyError):
        entry.value("energy_mj")
    with pytest.raises(BadInput, match="'energy_mj' is 'high'"):
        ArchiveEntry.from_json({**value, "more": {"energy_mj": "high"}})
