from pathlib import Path

import numpy as np
import pytest

from natdeploy.ground.errors import BadInput, BudgetNotMet
from natdeploy.ground.files import write_json
from natdeploy.runs import ArchiveEntry, RunConfig, RunFolder, ServedRun, tasks_to_build
from natdeploy.runs.folder import SUMMARY, write_items
from natdeploy.spaces import get_space

SPACE = get_space("mbv3-micro")
OTHER = "latency_ms:pixel4:tvm"


def entry(arch, ms: float, there_ms: float, macs: int) -> ArchiveEntry:
    more = {OTHER: there_ms, "latency_lower_ms:pixel4:tvm": there_ms, "latency_upper_ms:pixel4:tvm": there_ms}
    return ArchiveEntry(arch, 0.9, 0.5, 100, ms, ms, ms, macs, 1, 1, 0, True, more=more)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    config = RunConfig(latency_ms=5, further_devices={"pixel4": 9}, limits="macs<=100")
    run = RunFolder.create(tmp_path / "run", config, lambda path: path.write_text("{}"))
    entries = [entry(SPACE.smallest(), 4, 10, 50), entry(SPACE.largest(), 6, 8, 80)]
    run.state_path.mkdir()
    write_items(run.state_path / "archive.json", [*entries, entry(SPACE.sample(np.random.default_rng(0)), 1, 1, 200)])
    write_items(run.state_path / "front.json", entries)
    return run


def test_each_device_sees_its_own_latencies_budget_and_model(run: RunFolder) -> None:
    first, second = ServedRun(run, "host"), ServedRun(run, "pixel4")
    assert (first.config().latency_ms, second.config().latency_ms) == (5, 9)
    assert (first.config().device, second.config().device) == ("host", "pixel4")
    assert first.latency_model_path == run.latency_model_path
    assert second.latency_model_path.name == "pixel4-tvm.json"
    assert [one.latency_ms for one in first.front()] == [4] and [one.latency_ms for one in second.front()] == [8]


def test_what_breaks_a_limit_is_not_there(run: RunFolder) -> None:
    assert all(one.macs <= 100 for one in ServedRun(run).archive()) and len(run.archive()) == 3
    write_items(run.state_path / "archive.json", [entry(SPACE.smallest(), 4, 10, 500)])
    with pytest.raises(BudgetNotMet, match="keeps macs<=100"):
        ServedRun(run).archive()


@pytest.fixture
def several(tmp_path: Path) -> RunFolder:
    """A finished run of three data sets; what is best on the first is worst on the others."""
    further = {"pets": "pets.npz", "cars": "cars.npz"}
    config = RunConfig(latency_ms=5, data="own.npz", further_data=further, limits="top1>=0.8")
    run = RunFolder.create(tmp_path / "several", config, lambda path: path.write_text("{}"))
    archs = [SPACE.smallest(), SPACE.largest(), SPACE.sample(np.random.default_rng(0))]
    entries = []
    for arch, top1 in zip(archs, (0.9, 0.8, 0.7)):
        more = {f"{name}:{task}": value for task in further for name, value in figures(1 - top1).items()}
        entries.append(ArchiveEntry(arch, top1, 0.5, 100, 4, 4, 4, 50, 1, 1, 0, True, more=more))
    for task in ("", *further):
        folder = run.result_path / "tasks" / task if task else run.result_path
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "supernet.safetensors").write_text(f"of {task}")
    write_items(run.result_path / "archive.json", entries)
    write_items(run.result_path / "front.json", entries)
    digests = {"": "own's", "pets": "pets'", "cars": "cars'"}
    write_json(run.result_path / SUMMARY, {"data_fingerprint": "all", "data_fingerprints": digests})
    return run


def figures(top1: float) -> dict[str, float]:
    return {"top1": top1, "loss": 2.0, "val_images": 30.0}


def test_each_data_set_has_its_own_images_weights_and_accuracies(several: RunFolder) -> None:
    own, pets = ServedRun(several), ServedRun(several, task="pets")
    assert (own.config().data, pets.config().data) == ("own.npz", "pets.npz")
    assert not own.config().further_data and not pets.config().further_data
    assert (own.data_fingerprint, pets.data_fingerprint) == ("own's", "pets'")
    assert [run.supernet_path.read_text() for run in (own, pets)] == ["of ", "of pets"]
    assert [entry.top1 for entry in own.archive()] == [0.9, 0.8]  # the limit is on the run's own data set
    found = [(entry.top1, entry.loss, entry.val_images) for entry in pets.archive()]
    assert found == [(pytest.approx(0.1), 2.0, 30), (pytest.approx(0.2), 2.0, 30)]
    assert [entry.top1 for entry in pets.front()] == [entry.top1 for entry in pets.archive()]


def test_data_sets_are_named_as_the_run_names_them(several: RunFolder, run: RunFolder) -> None:
    assert tasks_to_build(several, None) == tasks_to_build(several, ()) == ("",)
    assert tasks_to_build(several, "cars") == ("cars",)
    assert tasks_to_build(several, ["cars", "all", "cars"]) == ("cars", "", "pets")
    assert tasks_to_build(run, "all") == ("",)
    for name in ("zoo", "own.npz"):
        with pytest.raises(BadInput, match=f"named '{name}': its further data sets are cars, pets"):
            tasks_to_build(several, ["pets", name])
    with pytest.raises(BadInput, match="has one data set alone"):
        ServedRun(run, task="pets")


def test_a_run_that_does_not_know_its_images_apart_says_how_it_learns_to(several: RunFolder) -> None:
    write_json(several.result_path / SUMMARY, {"data_fingerprint": "all"})
    with pytest.raises(BadInput, match=r"remove .*result and run natdeploy search again"):
        _ = ServedRun(several, task="pets").data_fingerprint
