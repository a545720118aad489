"""Pipelines: a task on a device is a whole job; whatever does not fit is named with file, entry and field."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from natdeploy.ground.errors import BadInput
from natdeploy.runs.pipeline import is_pipeline, load_pipeline

EXAMPLE = Path(__file__).parents[2] / "examples" / "ci" / "natdeploy.yaml"
SMALL = {"tasks": {"digits": {"data": "digits"}}, "devices": {"host": {"latency_ms": 1}}}


def written(folder: Path, **changes: object) -> Path:
    path = folder / "natdeploy.yaml"
    path.write_text(yaml.safe_dump({**SMALL, **changes}))
    return path


def test_the_shipped_example_is_three_jobs() -> None:
    pipeline = load_pipeline(EXAMPLE)
    assert [entry.name for entry in pipeline.entries] == ["digits-host", "digits-pixel4", "digits-rpi4"]
    host, pixel4, _ = (entry.job for entry in pipeline.entries)
    assert (host.latency_percentile, host.latency_ms, host.profile.networks) == (40, None, 60)
    assert (pixel4.device, pixel4.latency_ms, pixel4.search.iterations) == ("pixel4", 2, 2)


def test_a_devices_fields_go_before_the_tasks(tmp_path: Path) -> None:
    tasks = {"a": {"latency_ms": 3, "search": {"iterations": 2, "initial": 9}}, "b": {"latency_ms": 4}}
    devices = {
        "host": {"latency_percentile": 30, "search": {"iterations": 7}},
        "phone": {"profile_file": "pixel4", "tasks": ["b"]},
    }
    pipeline = load_pipeline(written(tmp_path, tasks=tasks, devices=devices))
    jobs = {entry.name: entry.job for entry in pipeline.entries}
    assert list(jobs) == ["a-host", "b-host", "b-phone"]
    assert (jobs["a-host"].latency_ms, jobs["a-host"].latency_percentile) == (None, 30)
    assert (jobs["a-host"].search.iterations, jobs["a-host"].search.initial) == (7, 9)
    assert (jobs["b-phone"].latency_ms, jobs["b-phone"].device) == (4, "pixel4")


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"gate": {}}, "unknown field 'gate'"),
        ({"tasks": {}}, "field 'tasks'"),
        ({"tasks": {"digits": {"latency": 2}}}, "tasks.digits.latency: unknown field"),
        ({"tasks": {"digits": {"device": "host"}}}, "tasks.digits.device: is the pipeline's"),
        ({"tasks": {"../up": {}}}, "field 'tasks.../up"),
        ({"tasks": {"digits": {"search": {"iteration": 2}}}}, "task 'digits' on device 'host': unknown field"),
        ({"devices": {"host": {"latency_ms": 0}}}, "task 'digits' on device 'host': field 'latency_ms'"),
        ({"devices": {"host": None}}, "exactly one of the fields 'latency_ms' and 'latency_percentile'"),
        ({"devices": {"host": {"latency_ms": 1, "out": "x"}}}, "devices.host.out"),
        ({"devices": {"host": {"latency_ms": 1, "tasks": ["cats"]}}}, "devices.host.tasks: no task 'cats'"),
        ({"devices": {"host": {"latency_ms": 1, "tasks": "digits"}}}, "expected a list of names"),
        ({"devices": {"host": {"latency_ms": 1, "build": {"pick": "front"}}}}, "a front has no baseline"),
        ({"devices": {"host": {"latency_ms": 1, "build": {"task": "all"}}}}, "name one data set"),
        ({"gates": {"latency": {"rise": -1}}}, "field 'gates.latency.rise'"),
        ({"gates": {"accuracy": {"split": "train"}}}, "field 'gates.accuracy.split'"),
        ({"schema_version": 2}, "field 'schema_version'"),
        ({"out": "a\0b"}, "field 'out': expected a name without NUL characters"),
        ({"signing": {"sign": ["a\0b", "{file}", "{signature}"]}}, "field 'signing.sign'"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, changes: dict, fault: str) -> None:
    path = written(tmp_path, **changes)
    with pytest.raises(BadInput) as error:
        load_pipeline(path)
    assert str(error.value).startswith(str(path))
    assert fault in str(error.value)
    assert "\n" not in str(error.value)


def test_entries_have_distinct_names(tmp_path: Path) -> None:
    tasks = {"a": {"latency_ms": 1}, "a-b": {"latency_ms": 1}}
    with pytest.raises(BadInput, match="two entries are named 'a-b-c'"):
        load_pipeline(written(tmp_path, tasks=tasks, devices={"b-c": {}, "c": {}}))


def test_a_matrix_has_a_largest_size(tmp_path: Path) -> None:
    tasks = {f"t{number}": {"latency_ms": 1} for number in range(129)}
    with pytest.raises(BadInput, match="258 entries, more than the 256"):
        load_pipeline(written(tmp_path, tasks=tasks, devices={"host": None, "pixel4": None}))


def test_entries_are_selected_by_name() -> None:
    pipeline = load_pipeline(EXAMPLE)
    assert [entry.name for entry in pipeline.select(device="rpi4", task="digits")] == ["digits-rpi4"]
    with pytest.raises(BadInput, match="no device 'rpi5' in this pipeline; it has host, pixel4, rpi4"):
        pipeline.select(device="rpi5")


def test_pipelines_are_told_from_jobs() -> None:
    assert is_pipeline(yaml.safe_load(EXAMPLE.read_text()))
    assert not is_pipeline({"latency_ms": 2}) and not is_pipeline("tasks")
