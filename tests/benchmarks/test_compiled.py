"""The comparison of runtimes: arithmetic on made-up turns, and workers with the runtime that is installed anyway."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from benchmarks import compiled_peers
from benchmarks.compiled import load_reference
from benchmarks.compiled_figures import figures, row_of, unfair
from benchmarks.compiled_peers import PEERS
from benchmarks.compiled_rounds import MAX_RUNS, MIN_RUNS, Worker, drift, timed_rounds
from benchmarks.compiled_worker import RUNTIMES
from benchmarks.litert_convert import spell_out_hard_sigmoids
from natdeploy.compiler import build_onnx
from natdeploy.ground.errors import BadInput, ChildFailed
from natdeploy.spaces import get_space, random_network

CHECKOUT = Path(__file__).parents[2]
PROCESSOR = sorted(os.sched_getaffinity(0))[-1:]


def rows(*times: dict[str, float]) -> list[dict]:
    error = {"natdeploy": 2e-6, "onnxruntime": 5e-6, "litert": 1e-6}
    return [
        row_of({name: [ms, ms, 9 * ms] for name, ms in some.items()}, macs=100_000_000, peak_gflops=200)
        | {"rel_error": error}
        for some in times
    ]


def test_ratios_are_of_medians_and_their_means_geometric() -> None:
    found = rows(
        {"natdeploy": 2.0, "onnxruntime": 2.5, "litert": 2.0}, {"natdeploy": 2.0, "onnxruntime": 1.6, "litert": 4.0}
    )
    assert [row["best"] for row in found] == ["litert", "onnxruntime"]
    assert [row["vs_best"] for row in found] == [1.0, 1.25]
    assert found[0]["fma_peak_share"] == pytest.approx(0.5)  # 0.2 GFLOP in 2 ms at 200 GFLOP/s
    result = figures(found, [1.0] * 20, threads=2, peak_gflops_per_core=100)
    assert result["geomean_vs_ort"] == pytest.approx(1.0)
    assert result["geomean_vs_litert"] == pytest.approx(0.5**0.5)
    assert result["geomean_vs_best"] == pytest.approx(1.25**0.5)
    assert result["worst_vs_ort"] == 1.25
    assert result["ort_fma_peak_share"] == pytest.approx((0.4 * 0.625) ** 0.5)
    assert result["max_rel_error"] == 2e-6 and result["peers_max_rel_error"] == 5e-6
    assert result["quiet"] == result["fair"] == 1
    assert (result["threads"], result["subnets"]) == (2, 2)


def test_a_run_that_is_not_fair_says_why() -> None:
    slow = rows({"natdeploy": 2.0, "onnxruntime": 4.0})
    steady = figures(slow, [1.0] * 20, threads=1, peak_gflops_per_core=200)
    busy = figures(slow, [1.0, 1.5] * 10, threads=1, peak_gflops_per_core=200)
    assert (steady["quiet"], busy["quiet"], steady["fair"], busy["fair"]) == (1, 0, 0, 0)
    assert "25%" in (unfair(steady) or "") and "quiet" in (unfair(steady) or "")
    assert "varied by 40%" in (unfair(busy) or "")
    assert (
        unfair(figures(rows({"natdeploy": 2, "onnxruntime": 2}), [1, 1], threads=1, peak_gflops_per_core=200)) is None
    )


def test_drift_ignores_single_turns() -> None:
    assert drift([2.0] * 99 + [20.0]) == 0
    assert drift([2.0, 3.0] * 50) == pytest.approx(0.4)


class Clock:
    def __init__(self, name: str, ms: float) -> None:
        self.name, self.ms, self.asked = name, ms, []

    def turn(self, repeats: int) -> list[float]:
        self.asked.append(repeats)
        return [self.ms] * repeats


def test_every_runtime_has_a_turn_in_every_round() -> None:
    clocks = [Clock("fast", 0.5), Clock("middle", 8.0), Clock("slow", 500.0)]
    turns = timed_rounds(clocks, 3, np.random.default_rng(0))
    assert turns == {"fast": [0.5] * 3, "middle": [8.0] * 3, "slow": [500.0] * 3}
    assert [clock.asked[1:] for clock in clocks] == [[MAX_RUNS] * 3, [5] * 3, [MIN_RUNS] * 3]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    space = get_space("mbv3-micro")
    return build_onnx(random_network(space.layers(space.largest())), tmp_path_factory.mktemp("model")).path


def test_a_worker_runs_and_times_a_model(model: Path, tmp_path: Path) -> None:
    image = np.random.default_rng(0).standard_normal((1, 3, 32, 32), dtype=np.float32)
    np.save(tmp_path / "image.npy", image)
    with Worker("onnxruntime", Path(sys.executable), PROCESSOR) as worker:
        logits = worker.load(model, tmp_path / "image.npy", tmp_path / "logits.npy")
        times = worker.turn(4)
        with pytest.raises(ChildFailed, match=r"runtime onnxruntime: .*leave it out with --without onnxruntime"):
            worker.load(tmp_path / "none.onnx", tmp_path / "image.npy", tmp_path / "logits.npy")
    (expected,) = onnxruntime.InferenceSession(str(model)).run(None, {"input": image})
    assert np.allclose(logits, expected[0], rtol=1e-5)
    assert len(times) == 4 and min(times) > 0


def test_the_reference_kernel_runs_on_every_processor(tmp_path: Path) -> None:
    processors = sorted(os.sched_getaffinity(0))[-2:]
    with Worker("reference", Path(sys.executable), processors) as worker:
        load_reference(worker, tmp_path)
        assert min(worker.turn(3)) > 0
    sums = np.load(tmp_path / "reference.npy")
    assert sums.shape == (len(processors),)
    assert np.allclose(sums, 16)  # ones stay ones: every 4096th of 65,536


def test_a_worker_whose_runtime_is_missing_says_so(model: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "image.npy", np.zeros((1, 3, 32, 32), np.float32))
    with (
        Worker("ncnn", Path(sys.executable), PROCESSOR) as worker,
        pytest.raises(ChildFailed, match="runtime ncnn: ModuleNotFoundError"),
    ):
        worker.load(model, tmp_path / "image.npy", tmp_path / "logits.npy")


def test_a_worker_that_dies_is_named(tmp_path: Path) -> None:
    with (
        Worker("natdeploy", Path("/bin/false"), PROCESSOR) as worker,
        pytest.raises(ChildFailed, match=r"runtime natdeploy: the process died$"),
    ):
        worker.turn(1)


def test_hard_sigmoids_are_spelt_out_to_the_same_numbers(model: Path) -> None:
    plain = onnx.load(model)
    spelt = onnx.load(model)
    spell_out_hard_sigmoids(spelt)
    onnx.checker.check_model(spelt)
    count = sum(node.op_type == "HardSigmoid" for node in plain.graph.node)
    assert count and len(spelt.graph.node) == len(plain.graph.node) + 2 * count
    assert all(node.op_type != "HardSigmoid" for node in spelt.graph.node)
    image = {"input": np.random.default_rng(1).standard_normal((1, 3, 32, 32), dtype=np.float32)}
    found = [onnxruntime.InferenceSession(one.SerializeToString()).run(None, image)[0] for one in (plain, spelt)]
    assert np.abs(found[0] - found[1]).max() < 1e-5 * np.abs(found[0]).max()


def test_other_hard_sigmoids_are_refused(model: Path) -> None:
    other = onnx.load(model)
    node = next(node for node in other.graph.node if node.op_type == "HardSigmoid")
    del node.attribute[:]
    node.attribute.append(onnx.helper.make_attribute("alpha", 0.2))
    with pytest.raises(SystemExit, match=r"slope 0\.2"):
        spell_out_hard_sigmoids(other)


def test_a_peer_that_cannot_be_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise BadInput("x==1 cannot be installed")

    monkeypatch.setattr(compiled_peers, "peer_python", fail)
    for name, peer in PEERS.items():
        with pytest.raises(
            BadInput, match=f"peer {name}: x==1 cannot be installed; leave it out with --without {name}"
        ):
            peer.python(name)
    assert set(PEERS) | {"natdeploy", "reference"} == set(RUNTIMES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--subnets", "0"], "--subnets must be at least 1, not 0"),
        (["--threads", "1000"], "1000 threads asked for"),
        (["--without", "onnxruntime"], "invalid choice: 'onnxruntime'"),  # every figure is relative to it
    ],
)
def test_bad_arguments(arguments: list[str], message: str) -> None:
    command = [sys.executable, "benchmarks/compiled.py", *arguments]
    ran = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    assert ran.returncode == 2 and message in ran.stderr and not ran.stdout
