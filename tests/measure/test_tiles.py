"""Choosing tiles from times: the rule's stays unless clearly beaten; what was measured survives a kill."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from natdeploy.compiler import tuning_of
from natdeploy.compiler.kernels.isa import Isa
from natdeploy.compiler.kernels.kind import Kernel, candidate_schedules
from natdeploy.compiler.trial import network_workloads
from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import read_json
from natdeploy.measure.tile_choice import TileProtocol, judge
from natdeploy.measure.tiles import tune
from natdeploy.spaces import get_space
from tests.measure.test_timing import this_machine

ISA = Isa(16, 32)
GEMM = {"kind": "gemm", "m": 49, "k": 64, "n": 96, "activation": "relu", "residual": True}
KERNELS = [Kernel(GEMM, schedule, ISA) for schedule in candidate_schedules(GEMM, ISA)[:4]]
ORDER = [-1, 0, 1, 0, 2, 3]
QUICK = TileProtocol(sessions=2, visit_ms=0.5, least_rounds=2, most_rounds=3, warmup_ms=0)


def session(*calls_ms: float, rounds: int = 20, noise: float = 0.0, seed: int = 0) -> np.ndarray:
    """Rounds that take these times behind a call that does not count, the machine at one of several speeds in each."""
    rng = np.random.default_rng(seed)
    speeds = rng.choice([1.0, 1.5], (rounds, 1))
    calls = speeds * np.array([rng.uniform(0, 9), *calls_ms])
    return calls * (1 + noise * rng.standard_normal(calls.shape))


def test_a_tile_that_is_clearly_faster_is_taken() -> None:
    sessions = [session(1.0, 1.2, 1.01, 0.8, 0.99, noise=0.01, seed=seed) for seed in range(3)]
    found = judge(KERNELS, ORDER, sessions, TileProtocol(), threads=2)
    assert found.chosen == KERNELS[2].schedule and found.changed and found.threads == 2
    assert found.gain == pytest.approx(0.8 / 1.005, abs=0.02) and found.noise == pytest.approx(0.01, abs=0.02)
    assert [trial.schedule for trial in found.trials] == [kernel.schedule for kernel in KERNELS]
    assert found.trials[0].ratio == pytest.approx(1) and found.trials[1].ratio == pytest.approx(1.2 / 1.005, abs=0.02)


@pytest.mark.parametrize(
    "sessions",
    [
        [session(1.0, 1.0, 1.0, 0.98, 1.0)] * 3,  # less than the margin
        [session(1.0, 1.0, 1.1, 0.9, 1.0)] * 3,  # the rule's own calls differ by as much
        [session(1.0, 1.0, 1.0, 0.8, 1.0), session(1.0, 1.0, 1.0, 0.8, 1.0), session(1.0, 1.0, 1.0, 1.0, 1.0)],
        [session(1.0, 1.2, 1.0, 1.3, 1.0)] * 3,
    ],
    ids=["margin", "noise", "one session does not agree", "the rule is best"],
)
def test_else_the_rules_tile_stays(sessions: list[np.ndarray]) -> None:
    found = judge(KERNELS, ORDER, sessions, TileProtocol())
    assert found.chosen == found.rule == KERNELS[0].schedule and not found.changed


@given(seed=st.integers(0, 10**6), noise=st.floats(0.001, 0.2))
def test_tiles_that_take_the_same_do_not_beat_the_rule(seed: int, noise: float) -> None:
    sessions = [session(*[1.0] * 5, noise=noise, seed=3 * seed + number) for number in range(3)]
    found = judge(KERNELS, ORDER, sessions, TileProtocol())
    assert not found.changed or found.gain > 0.85  # noise of a fifth may look like that much, in 20 rounds


@pytest.mark.parametrize(
    "fields", [{"sessions": 0}, {"least_rounds": 9, "most_rounds": 8}, {"kept_share": 0}, {"margin": -1}]
)
def test_a_protocol_without_sense_is_refused(fields: dict) -> None:
    with pytest.raises(BadInput, match="tile protocol"):
        TileProtocol(**fields)


def workloads() -> list[dict]:
    space = get_space("mbv3-micro")
    found = network_workloads([space.layers(space.smallest())])
    kinds: dict[str, dict] = {}
    for one in found:
        kinds.setdefault(one["kind"], one)
    return list(kinds.values())


def test_each_workload_is_kept_at_once_and_never_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path / "home"))
    host, asked = this_machine(), workloads()
    visited: list[Path] = []

    def visit(library: Path, threads: int, protocol: TileProtocol) -> list[list[float]]:
        """A clock to which the tile that is measured last is the fastest."""
        visited.append(library)
        places = [int(call["layer"]) for call in read_json(library.parent / "plan.json", "plan")["calls"]]
        return [[1.0 - 0.05 * place for place in places]] * 4

    running = tune(asked, host, protocol=QUICK, visit=visit)
    first = next(running)
    running.close()  # as a kill would
    record = tuning_of(host)
    assert record.entries == (first,) and first.changed and first.chosen == first.trials[-1].schedule
    before = len(visited)
    rest = list(tune(asked, host, protocol=QUICK, visit=visit))
    assert first.workload not in [one.workload for one in rest] and len(visited) > before
    tunable = {one["kind"] for one in asked} - {"scale", "add", "block"}
    assert {one.workload["kind"] for one in (first, *rest)} <= tunable
    assert list(tune(asked, host, protocol=QUICK, visit=visit)) == []


def test_the_machines_own_clock_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path / "home"))
    told: list[tuple[str, float]] = []
    smallest = min(workloads(), key=lambda one: (one["kind"] != "gemm", one.get("m", 0)))
    (found,) = tune([smallest], this_machine(), protocol=QUICK, progress=lambda *said: told.append(said))
    assert all(trial.ms > 0 and trial.ratio > 0 for trial in found.trials) and len(found.trials) > 1
    assert found.trials[0].ratio == pytest.approx(1, abs=0.5) and found.noise >= 0
    assert any("measuring tiles" in stage for stage, _ in told)
