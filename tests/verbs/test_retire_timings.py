"""``devices retire``, and who says when to."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from natdeploy import devices, verbs
from natdeploy.cli.main import app
from natdeploy.devices import device_fingerprint, load_profile
from natdeploy.ground.errors import BadInput
from natdeploy.latency import find_latency_model, fit_latency_model, latency_model_path
from natdeploy.measure import MeasurementStore, Visit
from tests.latency.timings import made_up

PHONE = load_profile("pixel4")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a phone that was profiled."""
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path / "home"))
    place = {"device": "pixel4", "device_fingerprint": device_fingerprint(PHONE), "runtime": "tvm"}
    timings = [replace(one, **place, visits=(Visit((1.0,), 1.0),)) for one in made_up(40)]
    MeasurementStore().add_all(timings)
    fit_latency_model(timings, "mbv3-micro").save(latency_model_path(PHONE, "mbv3-micro", "tvm"))
    return tmp_path / "home"


def test_a_retired_device_is_as_if_it_had_never_been_timed() -> None:
    before = device_fingerprint(PHONE)
    assert find_latency_model(PHONE, "mbv3-micro", "tvm") is not None
    found = verbs.retire_timings("pixel4")
    assert (found.device, found.retired, found.timings) == ("pixel4", before, 40)
    assert device_fingerprint(PHONE) == found.fingerprint != before
    assert find_latency_model(PHONE, "mbv3-micro", "tvm") is None
    assert verbs.devices("pixel4").devices[0].measurements == {}
    assert len(MeasurementStore().query(device_fingerprint=before)) == 40  # they stay
    with pytest.raises(BadInput, match="'pixel4': no timings of it are stored; there is nothing to retire"):
        verbs.retire_timings("pixel4")


def test_the_command_says_what_to_do_next() -> None:
    done = CliRunner().invoke(app, ["devices", "retire", "pixel4"])
    assert done.exit_code == 0
    assert "40 timings of pixel4 stay stored" in done.stdout and "natdeploy profile --device pixel4" in done.stdout
    again = CliRunner().invoke(app, ["devices", "retire", "pixel4", "--json"])
    assert again.exit_code == 2 and json.loads(again.stdout)["error"]["kind"] == "BadInput"


def test_the_doctor_knows_a_machine_that_was_busy_when_it_was_first_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    doctor = importlib.import_module("natdeploy.verbs.doctor")  # the package's own attribute is the function
    monkeypatch.setattr(devices, "load_profile", lambda name: PHONE)
    assert doctor._timings() == "40 stored"
    store = MeasurementStore()
    repeated = store.query()[:8]
    store.add_all([replace(one, role="repeat", drift=-0.3, taken_at="2026-02-01T00:00:00") for one in repeated])
    with pytest.raises(
        doctor._Missing, match=r"mbv3-micro with tvm now takes 0\.70 times what it took .* \(median of 8\)"
    ):
        doctor._timings()
    verbs.retire_timings("pixel4")
    assert doctor._timings() == "0 stored"
