"""A job's stages before the search."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from natdeploy import verbs
from natdeploy.ground.errors import BadInput
from natdeploy.runs import RunFolder
from natdeploy.spaces import get_space
from natdeploy.supernets import PUBLISHED, box_path
from natdeploy.verbs.job import (
    budget_fields,
    check_job,
    ensure_latency_model,
    new_budget,
    read_job,
    run_path,
    started_budget,
)

SPACE = get_space("mbv3-micro")
PROFILE: Any = SimpleNamespace(name="host", runtimes=("onnxruntime", "tvm"))
MODEL: Any = SimpleNamespace(
    device="host", device_fingerprint="f", runtime="tvm", space="mbv3-micro", is_about=lambda timing: timing.same
)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, {}),
        (2.0, {"latency_ms": 2.0}),
        ("2", {"latency_ms": "2"}),
        ("p40", {"latency_percentile": 40.0}),
        (" p12.5 ", {"latency_percentile": 12.5}),
        ("fast", {"latency_ms": "fast"}),
    ],
)
def test_a_budget_is_milliseconds_or_a_percentile(given: Any, expected: dict[str, Any]) -> None:
    assert budget_fields(given) == expected


@pytest.mark.parametrize("budget", [0, -1.0, float("nan"), float("inf"), "fast", True, None, "p0", "p200"])
def test_no_budget_names_its_field(budget: Any) -> None:
    with pytest.raises(BadInput, match="latency_"):
        verbs.search(budget)


def test_a_flag_replaces_a_budget_of_the_other_kind(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("latency_percentile: 40\nseed: 3\n")
    assert read_job(file, None, {}).latency_percentile == 40
    job = read_job(file, "0.5", {"seed": None})
    assert (job.latency_ms, job.latency_percentile, job.seed) == (0.5, None, 3)


def test_the_run_folder_is_named_after_the_job() -> None:
    assert run_path(read_job(None, 2, {})) == Path("runs/digits-host-tvm-2ms-seed0")
    assert run_path(read_job(None, "p40", {"data": "hf:user/set", "seed": 7})).name == "set-host-tvm-p40-seed7"
    assert run_path(read_job(None, 2, {"data": "..", "device": "a/b.yaml"})) == Path("runs/data-b-tvm-2ms-seed0")
    assert run_path(read_job(None, 2, {"out": "elsewhere"})) == Path("elsewhere")


class Store:
    """Timings by role; from 500 ms on of another toolchain, from 1000 ms on not trusted either."""

    def __init__(self, **latencies: list[float]) -> None:
        rng = np.random.default_rng(0)
        self.rows = {
            role: [
                SimpleNamespace(arch=SPACE.sample(rng), latency_ms=value, trusted=value < 1000, same=value < 500)
                for value in values
            ]
            for role, values in latencies.items()
        }

    def query(self, *, role: str, space: str, runtime: str, **_: Any) -> list[Any]:
        assert (space, runtime) == ("mbv3-micro", "tvm")
        return self.rows.get(role, [])


def budget_of(monkeypatch: pytest.MonkeyPatch, store: Store, **fields: Any) -> float:
    monkeypatch.setattr("natdeploy.measure.MeasurementStore", lambda: store)
    return new_budget(read_job(None, fields.pop("latency", "p40"), fields), MODEL)


def test_a_percentile_is_taken_over_training_and_holdout_networks(monkeypatch, tmp_path: Path) -> None:
    store = Store(train=[1.0, 2.0, 3.0, 600.0], holdout=[4.0, 5.0, 1500.0], build=[100.0], repeat=[100.0])
    assert budget_of(monkeypatch, store, out=str(tmp_path / "run")) == pytest.approx(2.6)
    assert budget_of(monkeypatch, store, latency=7) == 7


def test_a_percentile_of_nothing_is_an_error(monkeypatch, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="latency_percentile"):
        budget_of(monkeypatch, Store(build=[1.0]), out=str(tmp_path / "run"))


def test_a_started_run_keeps_its_budget(tmp_path: Path) -> None:
    job = read_job(None, "p40", {"out": str(tmp_path / "run")})
    assert started_budget(job) is None
    RunFolder.create(tmp_path / "run", job.run_config(1.25), lambda path: path.write_text("{}"))
    assert started_budget(job) == 1.25
    assert started_budget(read_job(None, 7, {"out": str(tmp_path / "run")})) == 7


def test_a_device_is_profiled_only_when_it_has_no_model(monkeypatch) -> None:
    asked: list[dict[str, Any]] = []

    def profile_device(profile: Any, space: str, **settings: Any) -> dict[str, str]:
        asked.append({"space": space, **settings})
        return {name: f"new {name}" for name in settings["runtimes"]}

    monkeypatch.setattr("natdeploy.latency.profile_device", profile_device)
    job = read_job(None, 1, {"runtime": "tvm", "profile": {"runtimes": ["onnxruntime"], "networks": 30}})
    stored = SimpleNamespace(toolchain={"compiler": "1"})
    monkeypatch.setattr("natdeploy.latency.find_latency_model", lambda *args: stored)
    monkeypatch.setattr("natdeploy.measure.runtime_toolchain", lambda *args: {"compiler": "1", "more": "2"})
    assert ensure_latency_model(job, PROFILE, None) is stored
    assert asked == []
    monkeypatch.setattr("natdeploy.measure.runtime_toolchain", lambda *args: {"compiler": "2"})
    assert ensure_latency_model(job, PROFILE, None) == "new tvm"
    asked.clear()
    monkeypatch.setattr("natdeploy.latency.find_latency_model", lambda *args: None)
    assert ensure_latency_model(job, PROFILE, None) == "new tvm"
    assert (asked[0]["space"], asked[0]["networks"]) == ("mbv3-micro", 30)
    assert asked[0]["runtimes"] == ("onnxruntime", "tvm")
    assert (asked[0]["level"], asked[0]["goal"].adaptive) == ("network", False)
    ensure_latency_model(read_job(None, 1, {"profile": {"level": "both", "minutes": 3}}), PROFILE, None)
    assert (asked[1]["level"], asked[1]["goal"].minutes) == ("both", 3)


def test_a_supernet_of_another_space_is_found_before_anything_is_timed(tmp_path: Path) -> None:
    job = read_job(None, 1, {"space": "ofa-mbv3-w1.0", "out": str(tmp_path / "run")})
    with pytest.raises(
        BadInput, match=r"field .supernet.: box is of space mbv3-micro, not ofa-mbv3-w1\.0; give"
    ) as error:
        check_job(job, PROFILE)
    for told in (PUBLISHED["ofa-mbv3-w1.0"], "--accuracy predictor:ofa-imagenet", "natdeploy pretrain"):
        assert told in str(error.value)
    given = read_job(None, 1, {"space": "ofa-mbv3-w1.2", "supernet": str(box_path()), "out": str(tmp_path / "run")})
    with pytest.raises(
        BadInput, match=r"not ofa-mbv3-w1\.2; search that one, --space mbv3-micro, or give a checkpoint"
    ):
        check_job(given, PROFILE)


def test_a_space_that_has_no_supernet_says_so(tmp_path: Path) -> None:
    job = read_job(None, 1, {"space": "fbnet", "out": str(tmp_path / "run")})
    with pytest.raises(
        BadInput, match=r"'space': fbnet only .* as there is for mbv3-micro, ofa-mbv3-w1\.0, ofa-mbv3-w1\.2$"
    ):
        check_job(job, PROFILE)


def test_missing_weights_are_found_before_anything_is_timed(tmp_path: Path) -> None:
    where = tmp_path / "ofa_mbv3_d234_e346_k357_w1.0"
    job = read_job(None, 1, {"space": "ofa-mbv3-w1.0", "supernet": str(where), "out": str(tmp_path / "run")})
    with pytest.raises(BadInput, match=f"no such supernet checkpoint; fetch it from {PUBLISHED['ofa-mbv3-w1.0']}"):
        check_job(job, PROFILE)
    assert not list(tmp_path.iterdir())


def test_an_unknown_augmentation_is_found_before_anything_is_timed(tmp_path: Path) -> None:
    job = read_job(None, 1, {"adapt.augmentation": "nope", "out": str(tmp_path / "run")})
    with pytest.raises(BadInput, match=r"'adapt\.augmentation' is 'nope', expected one of none, crop"):
        check_job(job, PROFILE)
