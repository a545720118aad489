"""What a run knows of its architectures, for the networks that are built: with the classes of their images."""

from __future__ import annotations

from pathlib import Path

import pytest

from natdeploy.deploy.built_run import BuiltRun
from natdeploy.devices import load_profile
from natdeploy.ground.errors import BudgetNotMet
from natdeploy.ground.files import read_json, write_json
from natdeploy.latency import LatencyModel
from natdeploy.measure import MeasurementStore
from natdeploy.runs import RunFolder, ServedRun
from natdeploy.runs.folder import CONFIG
from natdeploy.spaces import costs
from tests.deploy.made_run import make_run
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
