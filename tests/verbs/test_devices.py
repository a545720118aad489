"""What is known of a device."""

from __future__ import annotations

from pathlib import Path

import pytest

from natdeploy import verbs
from natdeploy.devices import read_profile
from natdeploy.ground.errors import BadInput
from natdeploy.latency import fit_latency_model, latency_model_path
from tests.latency.timings import made_up

BOARD = """
name: board
title: A board that is not here
clusters: [{name: cpu, core: made up, cores: 1, vector_bits: 128, llvm_cpu: cortex-a76}]
llvm_triple: aarch64-linux-gnu
runtimes: [onnxruntime, tvm]
reach: {via: [adb]}
"""


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path / "home"))
    (tmp_path / "board.yaml").write_text(BOARD)
    return tmp_path / "board.yaml"


def test_an_unprofiled_device_that_is_not_here(board: Path) -> None:
    (found,) = verbs.devices(str(board)).devices
    assert (found.name, found.here, found.predictors, found.measurements) == ("board", False, (), {})


def test_a_predictor_that_cannot_be_read_hides_no_other(board: Path) -> None:
    profile = read_profile(board)
    elsewhere = fit_latency_model(made_up(60), "mbv3-micro")
    elsewhere.save(latency_model_path(profile, "mbv3-micro", "tvm"))
    latency_model_path(profile, "mbv3-micro", "onnxruntime").write_text("{")
    (found,) = verbs.devices(str(board)).devices
    assert (found.predictors, len(found.problems)) == ((), 2)
    assert "not a readable latency model" in found.problems[0] and "profile again" in found.problems[1]
    assert found.profile is not None and found.profile["title"] == "A board that is not here"


def test_an_unknown_name_lists_the_known(board: Path) -> None:
    with pytest.raises(BadInput, match=r"unknown device 'nope'.*; known: .*host"):
        verbs.devices("nope")
    assert "host" in [device.name for device in verbs.devices().devices]
