import os
from pathlib import Path

import pytest

from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import atomic_folder, write_json
from natdeploy.runs import HistoryStep, RunConfig, RunFolder
from natdeploy.runs.folder import ARCHIVE, HISTORY, SUMMARY, write_items
from tests.runs.test_entry import entry


def save_model(path: Path) -> None:
    write_json(path, {"model": 1})


def create(path: Path, **fields: object) -> RunFolder:
    return RunFolder.create(path, RunConfig(latency_ms=1.0, **fields), save_model)


def test_created_whole_and_read_back(tmp_path) -> None:
    run = create(tmp_path / "run")
    assert run.latency_model_path.is_file() and not run.is_finished
    assert run.config().first_difference(RunConfig(latency_ms=1.0)) is None


def test_not_created_when_the_latency_model_cannot_be_written(tmp_path) -> None:
    def fail(path: Path) -> None:
        path.write_text("half")
        raise BadInput("disk is full")

    with pytest.raises(BadInput, match="full"):
        RunFolder.create(tmp_path / "run", RunConfig(latency_ms=1.0), fail)
    assert list(tmp_path.iterdir()) == []


def test_a_run_starts_where_the_folder_is_there_or_a_start_was_killed(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "latency_model.json").write_text("half a start")
    (tmp_path / ".run.json.x1y2").write_text("{")
    run = create(Path("."))
    assert run.latency_model_path.read_text() == '{\n "model": 1\n}\n'


def test_two_processes_do_not_start_one_run(tmp_path) -> None:
    def meanwhile(path: Path) -> None:
        with pytest.raises(BadInput, match="another natdeploy process"):
            create(tmp_path / "run", seed=2)
        save_model(path)

    run = RunFolder.create(tmp_path / "run", RunConfig(latency_ms=1.0, seed=1), meanwhile)
    (run.path / "state").mkdir()
    with pytest.raises(BadInput, match="another natdeploy process"):
        create(tmp_path / "run", seed=2)
    assert run.config().seed == 1 and run.state_path.is_dir()


def test_something_else_at_the_path_is_refused(tmp_path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"")
    with pytest.raises(BadInput, match="not a run folder, and not empty"):
        create(tmp_path / "photos")
    with pytest.raises(BadInput, match="is a file"):
        create(tmp_path / "photos" / "a.jpg")
    with pytest.raises(BadInput, match="not a run folder"):
        RunFolder(tmp_path / "photos")
    with pytest.raises(BadInput, match="no such run folder"):
        RunFolder(tmp_path / "none")
    with pytest.raises(BadInput, match="name too long"):
        create(tmp_path / ("a" * 300))


def test_another_run_is_refused_by_field(tmp_path) -> None:
    run = create(tmp_path / "run")
    with pytest.raises(BadInput, match=r"'space' is 'mbv3-micro'.*'ofa-mbv3-w1\.0'"):
        run.check_same(RunConfig(latency_ms=1.0, space="ofa-mbv3-w1.0"))
    with pytest.raises(BadInput, match="'latency_ms'"):
        run.check_same(RunConfig(latency_ms=2.0))
    run.check_same(RunConfig(latency_ms=1.0))


def test_state_until_there_is_a_result(tmp_path) -> None:
    run = create(tmp_path / "run")
    with pytest.raises(BadInput, match=r"not reached archive\.json"):
        run.archive()
    for folder, seed in ((run.state_path, 1), (run.result_path, 2)):
        with atomic_folder(folder) as new:
            write_items(new / ARCHIVE, [entry(seed)])
            if folder == run.result_path:
                write_json(new / SUMMARY, {"hypervolume_last": 0.5})
        assert run.archive() == [entry(seed)]
    assert run.summary() == {"hypervolume_last": 0.5} and run.random() == []


def test_a_damaged_archive_is_named(tmp_path) -> None:
    run = create(tmp_path / "run")
    run.state_path.mkdir()
    (run.state_path / ARCHIVE).write_text('[{"arch": 3}]')
    with pytest.raises(BadInput, match=r"archive\.json: architecture"):
        run.archive()
    (run.state_path / ARCHIVE).write_text("{")
    with pytest.raises(BadInput, match=r"archive\.json: not a readable"):
        run.archive()


def test_a_damaged_history_or_summary_is_named(tmp_path) -> None:
    run = create(tmp_path / "run")
    run.result_path.mkdir()
    step = HistoryStep(0, 0, 0.5, 3, 2, 1, 3, 0, None, {}, {"archive": 1.5})
    write_json(run.result_path / SUMMARY, [1])
    write_items(run.result_path / HISTORY, [step])
    assert run.history() == [step]
    with pytest.raises(BadInput, match=r"summary\.json: expected a JSON object"):
        run.summary()
    for field, value in (("hypervolume", "much"), ("seconds", {"archive": "long"}), ("front_size", None)):
        write_json(run.result_path / HISTORY, [{**step.to_json(), field: value}])
        with pytest.raises(BadInput, match=rf"history\.json: history: field '{field}"):
            run.history()


def test_only_one_process_at_a_time(tmp_path) -> None:
    run = create(tmp_path / "run")
    with run.lock(), pytest.raises(BadInput, match="another natdeploy process"), RunFolder(run.path).lock():
        pass
    with run.lock():
        pass


def test_a_state_lost_between_two_renames_comes_back(tmp_path) -> None:
    run = create(tmp_path / "run")
    with atomic_folder(run.state_path) as new:
        write_items(new / ARCHIVE, [entry(1)])
    old = run.path / ".state.old.abc"
    old.mkdir()
    os.replace(run.state_path, old / "state")
    (run.path / ".state.half").mkdir()
    with run.lock():
        assert run.archive() == [entry(1)]
    assert not list(run.path.glob(".state*"))


def test_a_run_made_before_it_could_say_so_was_calibrated_on_plain_images(tmp_path: Path) -> None:
    run = create(tmp_path / "run")
    assert run.config().adapt.calibrate_on == "varied"
    value = run.config().model_dump(mode="json")
    del value["adapt"]["calibrate_on"]
    write_json(run.path / "run.json", value)
    assert run.config().adapt.calibrate_on == "plain"
    with pytest.raises(BadInput, match=r"'adapt\.calibrate_on' is 'plain' in this run folder"):
        run.check_same(RunConfig(latency_ms=1.0))
