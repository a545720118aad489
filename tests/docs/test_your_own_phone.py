"""The guide to a phone of one's own, followed word by word: its commands, in order, with the stand-in for adb.

What a test cannot have is stood in for: a phone's clock by a test-only one, the networks that are profiled by one small
executable, and training by little of it.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from natdeploy import verbs
from natdeploy.cli.main import app
from natdeploy.compiler import Artifact
from natdeploy.deploy import verify_bundle
from natdeploy.devices import HardwareProfile, load_profile, units
from natdeploy.devices.adb import attached_devices
from natdeploy.measure import MeasurementStore, builds, timing
from natdeploy.spaces import Network
from tests.devices.boards import AARCH64, executable
from tests.devices.phones import Phone, make_phone
from tests.docs.pages import CHECKOUT, blocks
from tests.measure.phones import QUICK, clock, own_home, use_stand_in

GUIDE = CHECKOUT / "docs" / "your-own-phone.md"
#: A phone with a fast core and a slow one; more may not be there to be held to.
CPUINFO = "".join(
    f"processor : {number}\\nFeatures : fp asimd fphp asimdhp asimddp\\nCPU implementer : 0x41\\n"
    f"CPU part : {'0xd0b' if number == 0 else '0xd05'}\\n\\n"
    for number in range(2)
)
SMALL_SEARCH = {
    "search": {"initial": 6, "iterations": 1, "candidates": 2, "archive": 8, "random_baseline": False},
    "adapt": {"warm_up_epochs": 1, "epochs_per_iteration": 0, "subnets_per_step": 1, "calibration_images": 64},
}


def commands() -> list[str]:
    return [line for code in blocks(GUIDE, "sh") for line in code.splitlines()]


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Phone:
    own_home(tmp_path / "home", monkeypatch)
    phone = make_phone(use_stand_in(tmp_path / "phones", monkeypatch), "R58M123")
    phone.program("cat", f'#!/bin/sh\n[ "$1" = /proc/cpuinfo ] && printf "{CPUINFO}" || exec /bin/cat "$@"\n')
    return phone


@pytest.fixture
def stood_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the phone, its networks and training are stood in for by."""
    made, access = executable(AARCH64, tmp_path / "made"), units.Access.__init__

    def with_clock(self: units.Access, *args: Any, **kwargs: Any) -> None:
        access(self, *args, **kwargs)
        object.__setattr__(self, "test_only_clock", clock())

    def build(self: builds.ArtifactBuilder, network: Network, folder: Path) -> Artifact:
        folder.mkdir(parents=True)
        path = Path(shutil.copy2(made.path, folder / "model_run"))
        calls = [{"macs": layer.macs} for layer in network.layers]
        (folder / "plan.json").write_text(json.dumps({"calls": calls}))
        return Artifact("executable", path, made.digest, made.input_shape, made.output_shape, {})

    real_profile, real_search = verbs.profile, verbs.search

    def profile(device: str, **asked: Any) -> Any:
        return real_profile(device, **{**asked, "networks": 30, "holdout": 5})

    def search(latency_ms: str, **asked: Any) -> Any:
        return real_search(latency_ms, **{**asked, "settings": {**(asked["settings"] or {}), **SMALL_SEARCH}})

    def toolchain(runtime: str, profile: HardwareProfile) -> dict[str, str]:
        """As timings by the test's clock have it: the search finds its predictor up to date."""
        return {**builds.runtime_toolchain(runtime, profile), "clock": "test-only"}

    monkeypatch.setattr("natdeploy.measure.runtime_toolchain", toolchain)
    monkeypatch.setattr(units.Access, "__init__", with_clock)
    monkeypatch.setattr(builds.ArtifactBuilder, "_built", build)
    monkeypatch.setattr(builds.ArtifactBuilder, "prepare", lambda self, archs, progress=None: None)
    for module in (timing, __import__("natdeploy.latency.profiling.profile", fromlist=["protocol_for"])):
        monkeypatch.setattr(module, "protocol_for", lambda profile: QUICK)
    monkeypatch.setattr(verbs, "profile", profile)
    monkeypatch.setattr(verbs, "search", search)
    monkeypatch.setattr(verbs, "bench", partial(verbs.bench, test_only_clock=lambda repeats: [0.5] * repeats))


def test_the_guide_goes_from_cable_to_budget() -> None:
    verbs_in_order = [line.split()[1] for line in commands() if line.startswith("natdeploy ")]
    assert verbs_in_order == ["doctor", *["devices"] * 2, *["profile"] * 2, "search", "build", "bench", "devices"]


@pytest.mark.usefixtures("stood_in")
def test_the_guide_works_word_by_word(phone: Phone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said: dict[str, str] = {}
    for line in commands():
        if line.startswith("sudo "):
            continue
        if line == "adb devices":
            assert attached_devices() == {"R58M123": "device"}
            continue
        if "NAME" in line:
            (bundle,) = Path("runs/my-phone/bundles").iterdir()
            line = line.replace("NAME", bundle.name)
        done = CliRunner().invoke(app, shlex.split(line)[1:])
        assert done.exit_code == 0, (line, done.stderr, done.exception)
        assert not phone.left() and not phone.processes(), line
        said[line] = done.stdout
    profile = load_profile("my-phone")
    assert (profile.timed_cluster.core, profile.timed_cluster.processors) == ("Cortex-A76", (0,))
    assert profile.runtimes == ("tvm", "onnxruntime") and profile.timing.onnxruntime_perf_test
    with MeasurementStore() as store:
        found = store.query()
    assert {one.role for one in found} == {"train", "holdout", "repeat", "build"}
    assert {one.conditions["unit"] for one in found} == {"R58M123"}
    (plan,) = (text for line, text in said.items() if "--plan" in line)
    assert "reached by adb" in plan and "nothing was touched" in plan
    (profiled,) = (text for line, text in said.items() if line == "natdeploy profile --device my-phone")
    assert "energy: not known: no meter is readable" in profiled
    bench = next(text for line, text in said.items() if " bench " in line)
    assert re.search(r"measured: 0\.5 ms on R58M123 by adb", bench) and "budget: " in bench
    (bundle,) = Path("runs/my-phone/bundles").iterdir()
    manifest = verify_bundle(bundle).manifest
    (measured,) = manifest.latency.measured or ()
    assert measured.latency_ms == 0.5 and manifest.verification.verified == "on the device (adb R58M123)"
    assert manifest.latency.predicted is not None and manifest.latency.predicted.source == "measured"
