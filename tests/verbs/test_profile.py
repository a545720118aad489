"""``profile`` and ``estimate`` of a made-up board: levels, goals, and what the results say of their sources."""

from __future__ import annotations

from pathlib import Path

import pytest

from natdeploy import verbs
from natdeploy.compiler import build_onnx
from natdeploy.devices import HardwareProfile
from natdeploy.ground.errors import BadInput
from natdeploy.runs import load_job
from natdeploy.spaces import get_space, random_network
from natdeploy.verbs.job import ensure_latency_model
from tests.latency.kernels.test_kernel_level import Bench, bench
from tests.latency.profiling.test_profile import Stopwatch, board, stopwatch
from tests.latency.transferred.test_other_devices import stocked

__all__ = ["bench", "board", "stopwatch"]
MICRO = get_space("mbv3-micro")


@pytest.fixture(autouse=True)
def known(board: HardwareProfile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("natdeploy.devices.load_profile", lambda name, derive=True: board)


def test_kernels_are_summed_up_and_estimate_goes_by_them(stopwatch: Stopwatch, bench: Bench, tmp_path: Path) -> None:
    (one,) = verbs.profile("board", runtimes=["tvm"], holdout=20, level="kernel").runtimes
    assert one.kernels is not None and one.source == "measured"
    assert one.kernels.timed["dense"] >= 4 and one.kernels.joined["dense+add"] > 0.5
    assert one.kernels.quality == one.quality
    model = build_onnx(random_network(MICRO.layers(MICRO.largest())), tmp_path / "net").path
    found = verbs.estimate(model, device="board")
    assert (found.source, found.runtime, found.unknown) == ("measured", "tvm", ())
    assert "kernels of mbv3-micro timed on this device" in found.caution
    assert found.lower_ms < found.latency_ms < found.upper_ms


def test_few_networks_and_others_say_whom_they_learned_from(stopwatch: Stopwatch) -> None:
    stocked()
    (one,) = verbs.profile("board", runtimes=["tvm"], networks=9, holdout=8).runtimes
    assert (one.source, one.quality.training_networks, one.kernels) == ("transferred", 9, None)
    assert "phone (onnxruntime" in one.others and "board (onnxruntime" in one.others
    (info,) = [item for item in verbs.devices("board").devices[0].predictors if item.runtime == "tvm"]
    assert info.source == "transferred"
    planned = verbs.plan_profile("board", runtimes=["tvm"], networks=9, holdout=8)
    assert planned.runtimes[0].networks == {"train": 9, "holdout": 8, "repeat": 8}


def test_a_plan_for_an_unknown_processor_reckons_with_the_size_of_networks(
    board: HardwareProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = board.model_copy(update={"clusters": ()})
    monkeypatch.setattr("natdeploy.devices.load_profile", lambda name, derive=True: bare)
    small, large = (
        verbs.plan_profile("board", space=space, runtimes=["onnxruntime"], networks=30, holdout=8).runtimes[0].least_s
        for space in ("mbv3-micro", "ofa-mbv3-w1.0")
    )
    assert large > 5 * small > 0


def test_a_goal_through_the_verb(stopwatch: Stopwatch) -> None:
    (one,) = verbs.profile("board", runtimes=["tvm"], holdout=10, target_within10=0.8, minutes=60).runtimes
    assert one.source == "measured" and one.quality.training_networks < 120


@pytest.mark.parametrize(
    ("settings", "field"),
    [({"level": "layer"}, "level"), ({"target_within10": 1.2}, "target_within10"), ({"minutes": -1}, "minutes")],
)
def test_bad_settings_name_their_field(settings: dict, field: str) -> None:
    with pytest.raises(BadInput, match=field):
        verbs.profile("board", **settings)


def test_a_search_goes_by_the_transferred_model_that_is_there(
    stopwatch: Stopwatch, board: HardwareProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    stocked()
    verbs.profile("board", runtimes=["tvm"], networks=9, holdout=8)
    monkeypatch.setattr("natdeploy.measure.runtime_toolchain", lambda *_: {"onnxruntime": "1.0"})  # the stopwatch's
    timed = len(stopwatch.timed)
    job = load_job(None, {"latency_ms": 1.0, "device": "board", "runtime": "tvm", "space": "mbv3-micro"})
    model = ensure_latency_model(job, board, None)
    assert (model.source, len(stopwatch.timed)) == ("transferred", timed)
    assert model.caution.startswith("latencies of board are transferred: 9 timed subnets of it and what is known of")
