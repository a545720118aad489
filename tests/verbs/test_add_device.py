"""Profiles from answers; what devices say of themselves is in ``tests/devices/test_survey.py``."""

from __future__ import annotations

from pathlib import Path

import pytest

from natdeploy import verbs
from natdeploy.devices import load_profile
from natdeploy.ground.errors import BadInput
from natdeploy.verbs.add_device import Answers, Cores, Output


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path / "home"))


def test_answers_become_a_profile() -> None:
    answers = Answers("aarch64", (Cores("Cortex-X1", 1, 2900), Cores("Cortex-A55", 4)), "My Phone", 8)
    result = verbs.add_device("told", answers, changes={"memory.bandwidth_gb_s": 51.2})
    profile = load_profile("told")
    assert result.path.is_file() and result.profile["title"] == profile.title == "My Phone"
    assert [(one.name, one.core, one.processors) for one in profile.clusters] == [
        ("big", "Cortex-X1", (0,)),
        ("little", "Cortex-A55", (1, 2, 3, 4)),
    ]
    assert (profile.abi, profile.reach.via[0], profile.memory.gib) == ("arm64-v8a", "adb", 8)
    assert result.unknown == ("clusters.0.caches", "clusters.1.clock_mhz", "clusters.1.caches")


def test_output_becomes_a_profile_that_hides_the_shipped_one() -> None:
    output = Output("aarch64\nCPU(s): 4\nModel name: Cortex-A72\n")
    result = verbs.add_device("rpi4", output)
    assert result.hides is not None and result.hides.name == "rpi4.yaml"
    assert load_profile("rpi4").sources == ("the device itself",)
    assert result.to_json()["path"] == str(result.path)


@pytest.mark.parametrize("count", [0, -1, 10**9])
def test_no_device_has_so_many_cores(count: int) -> None:
    with pytest.raises(BadInput, match="expected 1 to 1024"):
        verbs.add_device("x", Answers("aarch64", (Cores("Cortex-A72", count),)))
    with pytest.raises(BadInput, match="unknown device"):
        load_profile("x")
