from pathlib import Path

import pytest

from natdeploy.devices import HardwareProfile, device_fingerprint, parse_profile
from natdeploy.ground.errors import BadInput
from natdeploy.latency import choose_networks, find_latency_model, latency_model_path, profile_device
from natdeploy.latency.profiling import profile as profile_module
from natdeploy.measure import MeasurementStore
from natdeploy.spaces import costs, get_space
from tests.latency.timings import measurement, shipped_for_others, true_ms

MICRO = get_space("mbv3-micro")
SPEED = {"onnxruntime": 1.0, "tvm": 2.0}


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HardwareProfile:
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path / "home"))
    shipped_for_others(tmp_path / "shipped", monkeypatch)
    cluster = {"name": "cpu", "core": "made up", "cores": 1, "vector_bits": 128, "llvm_cpu": "cortex-a76"}
    value = {"name": "board", "title": "Board", "clusters": [cluster], "llvm_triple": "aarch64-linux-gnu"}
    return parse_profile({**value, "runtimes": ["onnxruntime", "tvm"], "reach": {"via": ["local"]}}, "board.yaml")


class Stopwatch:
    """Stands in for ``time_archs``: keeps to its contract, reads the made-up processor, counts, can be stopped."""

    def __init__(self) -> None:
        self.timed: list[tuple[str, str, str]] = []
        self.stop_after: int | None = None
        self.disturbed: frozenset[int] = frozenset()  # which timings, from 1

    def __call__(
        self, archs, *, space, profile, runtime, protocol, store, role, num_classes, occurrence, progress, access
    ) -> list:
        fingerprint = device_fingerprint(profile)
        known = store.query(device_fingerprint=fingerprint, runtime=runtime, space=space.name)
        stored = {
            item.arch: item for item in known if item.role == role.get(item.arch) and item.occurrence == occurrence
        }
        for index, arch in enumerate(archs):
            if arch in stored:
                continue
            if self.stop_after is not None and len(self.timed) >= self.stop_after:
                raise KeyboardInterrupt
            self.timed.append((arch.id, runtime, role[arch]))
            ms = true_ms(space.layers(arch)) * SPEED[runtime]
            device = {"device": profile.name, "device_fingerprint": fingerprint, "occurrence": occurrence}
            disturbed = len(self.timed) in self.disturbed
            stored[arch] = measurement(
                *(arch, 3 * ms if disturbed else ms, role[arch]), runtime=runtime, trusted=not disturbed, **device
            )
            store.add(stored[arch])
            if progress is not None:
                progress(role[arch], (index + 1) / len(archs))
        return [stored[arch] for arch in archs]


@pytest.fixture
def stopwatch(monkeypatch: pytest.MonkeyPatch) -> Stopwatch:
    stopwatch = Stopwatch()
    monkeypatch.setattr(profile_module, "time_archs", stopwatch)
    return stopwatch


def test_a_model_for_each_runtime_is_stored_and_found(board: HardwareProfile, stopwatch: Stopwatch) -> None:
    assert find_latency_model(board, "mbv3-micro", "tvm") is None
    seen: list[float] = []
    models = profile_device(
        board, "mbv3-micro", networks=40, holdout=10, progress=lambda stage, fraction: seen.append(fraction)
    )
    assert set(models) == {"onnxruntime", "tvm"}
    assert seen == sorted(seen)
    assert seen[-1] == 1
    probe = [MICRO.smallest(), MICRO.largest()]
    for runtime, model in models.items():
        found = find_latency_model(board, MICRO, runtime)
        assert found is not None
        assert (found.runtime, found.device, found.space) == (runtime, "board", "mbv3-micro")
        assert (found.predict(probe).mean_ms == model.predict(probe).mean_ms).all()
        assert (found.quality.networks, found.quality.training_networks, found.quality.repeats) == (10, 40, 10)
        assert found.quality.repeatability_within5 == 1
    ratio = models["tvm"].predict(probe).mean_ms / models["onnxruntime"].predict(probe).mean_ms
    assert ratio == pytest.approx(2, rel=0.1)


def test_a_stopped_profile_goes_on_and_repeats_nothing(board: HardwareProfile, stopwatch: Stopwatch) -> None:
    def run(networks: int) -> None:
        profile_device(board, MICRO, runtimes=["tvm"], networks=networks, holdout=6, store=MeasurementStore())

    stopwatch.stop_after = 17
    with pytest.raises(KeyboardInterrupt):
        run(32)
    assert find_latency_model(board, MICRO, "tvm") is None
    stopwatch.stop_after = None
    run(32)
    assert len(stopwatch.timed) == len(set(stopwatch.timed)) == 32 + 6 + 6
    run(36)
    assert len(stopwatch.timed) == len(set(stopwatch.timed)) == 36 + 6 + 6


def test_a_disturbed_timing_is_taken_once_more(board: HardwareProfile, stopwatch: Stopwatch) -> None:
    stopwatch.disturbed = frozenset(range(5, 20))
    told: list[float] = []
    for _ in range(2):
        model = profile_device(
            *(board, MICRO), runtimes=["tvm"], networks=30, holdout=10, progress=lambda _, done: told.append(done)
        )["tvm"]
        assert (model.quality.training_networks, model.quality.networks, model.quality.repeats) == (30, 10, 10)
        assert model.quality.within10 > 0.8
        assert len(stopwatch.timed) == 30 + 10 + 10 + 15  # those that are still disturbed are not tried for ever
    assert max(told) == 1.0


def test_what_is_judged_by_is_timed_among_what_is_trained_on(board: HardwareProfile, stopwatch: Stopwatch) -> None:
    profile_device(board, MICRO, runtimes=["tvm"], networks=60, holdout=40)
    roles = [role for _, _, role in stopwatch.timed]
    assert roles[100:] == ["repeat"] * 20
    for start in (0, 50):
        assert 10 <= roles[start : start + 50].count("holdout") <= 30


def test_bad_requests_time_nothing(board: HardwareProfile, stopwatch: Stopwatch) -> None:
    with pytest.raises(BadInput, match="'board': no runtime 'tflite'; its runtimes are onnxruntime, tvm"):
        profile_device(board, MICRO, runtimes=["tvm", "tflite"])
    with pytest.raises(BadInput, match="networks is 5, at least 30"):
        profile_device(board, MICRO, networks=5)
    with pytest.raises(BadInput, match="no runtime 'tflite'"):
        find_latency_model(board, MICRO, "tflite")
    with pytest.raises(BadInput, match="unknown space 'mbv4'"):
        find_latency_model(board, "mbv4", "tvm")
    assert stopwatch.timed == []


def test_a_stored_model_in_the_wrong_place(board: HardwareProfile, stopwatch: Stopwatch) -> None:
    profile_device(board, MICRO, runtimes=["tvm"], networks=30, holdout=2)
    stored = latency_model_path(board, MICRO, "tvm")
    wrong = latency_model_path(board, MICRO, "onnxruntime")
    wrong.write_bytes(stored.read_bytes())
    with pytest.raises(BadInput, match=r"onnxruntime\.json: latency model of device 'board' and runtime 'tvm'"):
        find_latency_model(board, MICRO, "onnxruntime")
    stored.write_bytes(stored.read_bytes()[:-200])
    with pytest.raises(BadInput, match=r"tvm\.json: not a readable latency model"):
        find_latency_model(board, MICRO, "tvm")


def test_chosen_networks() -> None:
    train, holdout = choose_networks(MICRO, 60, 30, seed=1)
    assert (len(set(train)), len(set(holdout)), set(train) & set(holdout)) == (60, 30, set())
    assert train[:2] == [MICRO.smallest(), MICRO.largest()]
    again, fewer = choose_networks(MICRO, 100, 10, seed=1)
    assert (again[:60], fewer) == (train, holdout[:10])
    assert choose_networks(MICRO, 60, 30, seed=2)[0] != train
    macs = sorted(costs(MICRO.layers(arch)).macs for arch in train)
    assert macs[0] < macs[15] < 0.5 * macs[-1]
    with pytest.raises(BadInput, match="at least 2 networks"):
        choose_networks(MICRO, 1, 5)
    with pytest.raises(BadInput, match="can be chosen at once"):
        choose_networks(MICRO, 10**6, 5)
