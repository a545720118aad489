"""Profiles that stop when they are good enough or late, and the networks that they choose."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from natdeploy.devices import HardwareProfile
from natdeploy.ground.errors import BadInput
from natdeploy.latency import find_latency_model, profile_device
from natdeploy.latency.profiling import profile as profile_module
from natdeploy.latency.profiling.adaptive import next_networks
from natdeploy.latency.profiling.choose import random_networks
from natdeploy.latency.profiling.goal import FIRST, FIRST_TRANSFERRED, Goal
from natdeploy.spaces import Layer, get_space
from tests.latency.profiling.test_profile import Stopwatch, board, stopwatch
from tests.latency.timings import made_up, true_ms
from tests.latency.transferred.test_other_devices import TABLES, stocked

__all__ = ["board", "stopwatch"]
MICRO = get_space("mbv3-micro")
POOL = random_networks(MICRO)


def trained_on(watch: Stopwatch) -> int:
    return len({arch for arch, _, role in watch.timed if role == "train"})


def test_a_profile_stops_when_it_is_good_enough(board: HardwareProfile, stopwatch: Stopwatch) -> None:
    models = profile_device(board, MICRO, runtimes=["tvm"], networks=100, holdout=10, goal=Goal(within10=0.9))
    assert models["tvm"].quality.within10 >= 0.9
    assert FIRST <= trained_on(stopwatch) < 100
    assert [role for _, _, role in stopwatch.timed[-10:]] == ["repeat"] * 10
    assert models["tvm"].source == "measured" and models["tvm"].quality.repeats == 10


def test_an_impossible_target_takes_all_networks(board: HardwareProfile, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Stopwatch()
    monkeypatch.setattr(profile_module, "time_archs", watch)
    monkeypatch.setattr("tests.latency.profiling.test_profile.true_ms", noisy_ms)
    profile_device(board, MICRO, runtimes=["tvm"], networks=50, holdout=6, goal=Goal(within10=1.0))
    assert trained_on(watch) == 50


def noisy_ms(layers: Sequence[Layer]) -> float:
    """The same for the same network, and more than a predictor can know."""
    spread = np.random.default_rng(sum(layer.macs for layer in layers)).normal(0, 0.2)
    return true_ms(layers) * float(np.exp(spread))


def test_a_stopped_adaptive_profile_times_nothing_twice(
    board: HardwareProfile, stopwatch: Stopwatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.latency.profiling.test_profile.true_ms", noisy_ms)

    def run() -> None:
        profile_device(board, MICRO, runtimes=["tvm"], networks=60, holdout=8, goal=Goal(within10=0.999))

    for limit in (5, 33, 47):
        stopwatch.stop_after = limit
        with pytest.raises(KeyboardInterrupt):
            run()
        assert find_latency_model(board, MICRO, "tvm") is None
    stopwatch.stop_after = None
    run()
    assert len(stopwatch.timed) == len(set(stopwatch.timed))
    resumed = find_latency_model(board, MICRO, "tvm")
    run()
    again = find_latency_model(board, MICRO, "tvm")
    assert resumed is not None and again is not None
    assert np.array_equal(resumed.predict(POOL[:9]).mean_ms, again.predict(POOL[:9]).mean_ms)


def test_a_profile_stops_when_its_time_is_up(
    board: HardwareProfile, stopwatch: Stopwatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profile_module.time, "monotonic", lambda: 6.0 * len(stopwatch.timed))
    with pytest.raises(
        BadInput, match=r"networks were timed in 1 minutes, too few for a model; they are stored: start"
    ):
        profile_device(board, MICRO, runtimes=["tvm"], networks=90, holdout=10, goal=Goal(minutes=1))
    first = len(stopwatch.timed)
    assert 10 <= first < 30
    profile_device(board, MICRO, runtimes=["tvm"], networks=90, holdout=10, goal=Goal(minutes=4))
    assert first < len(stopwatch.timed) < 90
    assert find_latency_model(board, MICRO, "tvm") is not None


def test_few_networks_suffice_where_other_devices_are_known(board: HardwareProfile, stopwatch: Stopwatch) -> None:
    with pytest.raises(BadInput, match=r"networks is 8, at least 30 are needed.*3 where at least 2 other devices"):
        profile_device(board, MICRO, runtimes=["tvm"], networks=8, holdout=10)
    assert stopwatch.timed == []
    stocked()
    models = profile_device(board, MICRO, runtimes=["tvm"], networks=8, holdout=10)
    assert models["tvm"].source == "transferred" and trained_on(stopwatch) == 8
    found = find_latency_model(board, MICRO, "tvm")
    assert found is not None and found.source == "transferred" and "phone" in found.caution
    with pytest.raises(BadInput, match="networks is 2, at least 3 are needed"):
        profile_device(board, MICRO, runtimes=["tvm"], networks=2)


def test_an_adaptive_profile_begins_with_what_others_taught(board: HardwareProfile, stopwatch: Stopwatch) -> None:
    stocked()
    models = profile_device(board, MICRO, runtimes=["tvm"], networks=60, holdout=20, goal=Goal(within10=0.9))
    assert models["tvm"].source == "transferred"
    assert FIRST_TRANSFERRED <= trained_on(stopwatch) < FIRST


@pytest.mark.parametrize(
    ("goal", "message"), [({"within10": 1.5}, "target_within10 is 1.5"), ({"minutes": 0.0}, "minutes is 0")]
)
def test_impossible_goals(goal: dict[str, float], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Goal(**goal)


def test_next_networks_are_others_and_the_same_each_time() -> None:
    timed = {item.arch: item.latency_ms for item in made_up(6) if item.arch is not None}
    chosen = next_networks(MICRO, [*POOL, *timed], timed, 5)
    assert len(set(chosen)) == 5 and not set(chosen) & set(timed)
    assert chosen == next_networks(MICRO, [*POOL, *timed], timed, 5)
    assert next_networks(MICRO, list(timed), timed, 5) == []
    assert len(next_networks(MICRO, POOL[:4], {}, 9)) == 4


@pytest.mark.skipif(not (TABLES / "help_fbnet.csv.gz").is_file(), reason="published latencies of FBNet are not there")
def test_chosen_networks_teach_more_than_random_ones() -> None:
    """Ten networks of a new device; mean over published devices and draws (benchmarks/chosen_networks.py)."""
    from benchmarks.chosen_networks import compare

    found = compare("fbnet", counts=(10,), seeds=range(2))
    assert found["chosen_mape_10"] < 0.9 * found["random_mape_10"]
    assert found["chosen_spearman_10"] > found["random_spearman_10"]
