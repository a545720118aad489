"""What a run knows of its architectures, for the networks that are built: with the classes of their images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from natdeploy.deploy.built_run import BuiltRun
from natdeploy.devices import load_profile
from natdeploy.ground.errors import BadInput, BudgetNotMet
from natdeploy.ground.files import read_json, write_json
from natdeploy.latency import LatencyModel, fit_latency_model
from natdeploy.measure import MeasurementStore
from natdeploy.runs import Place, RunFolder, ServedRun
from natdeploy.runs.folder import CONFIG, write_items
from natdeploy.runs.quantities import edge, with_ends
from natdeploy.spaces import Arch, costs
from tests.deploy.made_run import made_up_timings, make_run
from tests.deploy.stand_ins import SPACE

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    store = MeasurementStore(tmp_path / "m.sqlite")
    return make_run(tmp_path / "run", load_profile("host"), store, budget_ms=1000.0, speed=1.0)


def as_built(run: RunFolder, classes: int) -> BuiltRun:
    return BuiltRun(run, None, "", classes, LatencyModel.load(run.latency_model_path))


def test_of_as_many_classes_as_were_searched_with_nothing_changes(run: RunFolder) -> None:
    served, built = ServedRun(run), as_built(run, SPACE.num_classes)
    assert built.archive() == served.archive() and built.front() == served.front()


def test_of_more_classes_costs_and_latencies_are_those_of_the_larger_classifier(run: RunFolder) -> None:
    model = LatencyModel.load(run.latency_model_path)
    before, found = ServedRun(run).archive(), as_built(run, 5000).archive()
    predicted = model.predict([entry.arch for entry in found], num_classes=5000)
    assert [entry.latency_upper_ms for entry in found] == list(predicted.upper_ms)
    for old, new in zip(before, found):
        cost = costs(SPACE.layers(new.arch, 5000))
        assert (new.macs, new.params, new.peak_activation_bytes) == (cost.macs, cost.params, cost.peak_activation_bytes)
        assert (new.arch, new.top1) == (old.arch, old.top1)
        assert new.params > old.params and new.latency_ms > old.latency_ms
    assert [entry.latency_ms for entry in as_built(run, 5000).front()] == sorted(entry.latency_ms for entry in found)


def test_budget_and_limits_are_held_by_the_network_that_is_built(run: RunFolder) -> None:
    entries = ServedRun(run).archive()
    config, most = read_json(run.path / CONFIG, "run"), max(entry.latency_upper_ms for entry in entries)
    write_json(run.path / CONFIG, {**config, "latency_ms": most})
    assert all(entry.feasible for entry in as_built(run, SPACE.num_classes).archive())
    assert not all(entry.feasible for entry in as_built(run, 5000).archive())
    write_json(run.path / CONFIG, {**config, "limits": [f"params<={max(entry.params for entry in entries)}"]})
    assert len(as_built(run, SPACE.num_classes).archive()) == len(entries)
    with pytest.raises(BudgetNotMet, match="keeps params<="):
        as_built(run, 5000).archive()


@pytest.fixture
def of_two_runtimes(run: RunFolder) -> tuple[RunFolder, Callable[[Arch, int], dict[str, float]]]:
    """Energy is asked for, and another runtime, three times as slow; and what the figures have to be."""
    place, watts = Place("host", "onnxruntime"), {"": 2.0, "host:onnxruntime": 0.5}
    timings = [replace(one, runtime=place.runtime) for one in made_up_timings(load_profile("host"), 3.0)]
    models = {"": LatencyModel.load(run.latency_model_path), place.key: fit_latency_model(timings, SPACE)}

    def figures(arch: Arch, classes: int) -> dict[str, float]:
        found: dict[str, float] = {}
        for key, model in models.items():
            of, latency = f":{key}" if key else "", model.predict([arch], num_classes=classes)
            ends = [float(values[0]) for values in (latency.mean_ms, latency.lower_ms, latency.upper_ms)]
            found |= with_ends(f"latency_ms{of}", *ends) if key else {}
            found |= with_ends(f"energy_mj{of}", *(watts[key] * end for end in ends))
        return found

    asked = {"objectives": ["top1", "latency_ms", "energy_mj", "energy_mj:host:onnxruntime"]}
    write_json(run.path / CONFIG, {**read_json(run.path / CONFIG, "run"), **asked})
    entries = [replace(one, more=figures(one.arch, SPACE.num_classes)) for one in run.archive()]
    write_items(run.result_path / "archive.json", entries)
    (run.path / "elsewhere").mkdir()
    models[place.key].save(run.latency_model_of(place))
    write_json(run.path / "elsewhere" / "power.json", {key: {"watts": drawn} for key, drawn in watts.items()})
    return run, figures


def test_energies_and_other_runtimes_are_those_of_the_larger_classifier(of_two_runtimes) -> None:
    run, figures = of_two_runtimes
    for old, new in zip(ServedRun(run).archive(), as_built(run, 5000).archive(), strict=True):
        assert new.more == pytest.approx(figures(new.arch, 5000))
        assert new.value("energy_mj") > old.value("energy_mj")
    assert as_built(run, SPACE.num_classes).archive() == ServedRun(run).archive()


@pytest.mark.parametrize("name", ["energy_mj", "energy_mj:host:onnxruntime", "latency_ms:host:onnxruntime"])
def test_limits_on_them_are_held_by_the_network_that_is_built(of_two_runtimes, name: str) -> None:
    run, _ = of_two_runtimes
    most = max(entry.value(edge(name, upper=True)) for entry in run.archive())
    write_json(run.path / CONFIG, {**read_json(run.path / CONFIG, "run"), "limits": [f"{name}<={most * 1.001}"]})
    assert as_built(run, SPACE.num_classes).archive()
    with pytest.raises(BudgetNotMet, match=f"keeps {name}<="):
        as_built(run, 50_000).archive()


def test_as_another_model_predicts_it_budget_and_limits_are_held(of_two_runtimes) -> None:
    """Refitted after a miss: everything is half as slow again, energies included."""
    run, _ = of_two_runtimes
    before, model = as_built(run, SPACE.num_classes), LatencyModel.load(run.latency_model_path)
    slower = fit_latency_model(made_up_timings(load_profile("host"), 1.5), SPACE)
    after = before.with_model(slower)
    other = "latency_ms:host:onnxruntime"
    for old, new in zip(before.archive(), after.archive(), strict=True):
        expected = slower.predict([new.arch], num_classes=SPACE.num_classes)
        assert new.latency_upper_ms == expected.upper_ms[0] > old.latency_upper_ms
        assert new.value("energy_mj") == pytest.approx(2 * expected.mean_ms[0])
        assert new.value(other) == old.value(other)
    most = max(entry.value("energy_upper_mj") for entry in before.archive())
    write_json(run.path / CONFIG, {**read_json(run.path / CONFIG, "run"), "limits": [f"energy_mj<={most * 1.001}"]})
    assert len(before.archive()) == len(before.with_model(model).archive()) == 3
    with pytest.raises(BudgetNotMet, match="keeps energy_mj<="):
        after.archive()


def test_power_figures_that_are_gone_are_told(of_two_runtimes) -> None:
    run, _ = of_two_runtimes
    write_json(run.path / "elsewhere" / "power.json", {"": {"watts": 2.0}})
    with pytest.raises(BadInput, match="power figures of host:onnxruntime are gone"):
        as_built(run, 5000).archive()
