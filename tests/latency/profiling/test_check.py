"""Whether a stored predictor still holds."""

from pathlib import Path

import numpy as np
import pytest

from natdeploy.devices import HardwareProfile, device_fingerprint, parse_profile
from natdeploy.ground.errors import BadInput
from natdeploy.latency import fit_latency_model, latency_model_path
from natdeploy.latency.profiling import check as check_module
from natdeploy.latency.profiling.check import LatencyCheck, check_latency_model
from natdeploy.measure import MeasurementStore
from natdeploy.spaces import get_space
from tests.latency.timings import measurement, true_ms

MICRO = get_space("mbv3-micro")


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HardwareProfile:
    """A device whose predictor was trained on 40 networks, timed with 2 % of noise."""
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(check_module, "runtime_toolchain", lambda runtime, profile: {"onnxruntime": "1.1"})
    cluster = {"name": "cpu", "core": "made up", "cores": 1, "vector_bits": 128, "llvm_cpu": "cortex-a76"}
    value = {"name": "board", "title": "Board", "clusters": [cluster], "llvm_triple": "aarch64-linux-gnu"}
    profile = parse_profile({**value, "runtimes": ["onnxruntime"], "reach": {"via": ["local"]}}, "board.yaml")
    rng, found = np.random.default_rng(0), {}
    while len(found) < 40:
        arch = MICRO.sample(rng)
        latency_ms = true_ms(MICRO.layers(arch)) * np.exp(0.02 * rng.standard_normal())
        found[arch] = measurement(arch, latency_ms, device="board", device_fingerprint=device_fingerprint(profile))
    MeasurementStore().add_all(found.values())
    fit_latency_model(list(found.values()), MICRO).save(latency_model_path(profile, MICRO, "onnxruntime"))
    return profile


def checked(
    board: HardwareProfile, monkeypatch: pytest.MonkeyPatch, factor: float, drift: float = 0.0, networks: int = 8
) -> tuple[LatencyCheck, list[int]]:
    """A check where everything takes a factor more than it did."""
    occurrences: list[int] = []

    def again(archs, *, space, profile, runtime, store, role, occurrence, num_classes, **_):
        occurrences.append(occurrence)
        items = [
            measurement(
                *(arch, factor * true_ms(space.layers(arch)), role),
                device="board",
                device_fingerprint=device_fingerprint(profile),
                drift=drift,
                occurrence=occurrence,
                num_classes=num_classes,
            )
            for arch in archs
        ]
        store.add_all(items)
        return items

    monkeypatch.setattr(check_module, "time_archs", again)
    return check_latency_model(board, MICRO, "onnxruntime", networks=networks), occurrences


def test_an_unchanged_device_still_holds(board: HardwareProfile, monkeypatch: pytest.MonkeyPatch) -> None:
    found, occurrences = checked(board, monkeypatch, 1.0)
    assert found.holds
    assert (found.networks, found.changed) == (8, ("onnxruntime 1.0 -> 1.1",))
    assert found.to_stored == pytest.approx(1, abs=0.03)
    assert found.to_prediction == pytest.approx(1, abs=0.03)
    assert found.pace == 1 and not found.slow_baseline
    assert occurrences == [1]
    assert checked(board, monkeypatch, 1.0)[1] == [2]  # timed once more, not read back


def test_a_slower_runtime_is_told_with_its_factor(board: HardwareProfile, monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = checked(board, monkeypatch, 1.5, drift=0.2)
    assert not found.holds
    assert found.inside == 0
    assert found.to_stored == pytest.approx(1.5, abs=0.05)
    assert found.pace == pytest.approx(1.2)


def test_a_baseline_of_a_busy_device_is_told(board: HardwareProfile, monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = checked(board, monkeypatch, 1.0, drift=-0.3)
    assert found.holds and found.pace == pytest.approx(0.7) and found.slow_baseline


def test_what_cannot_be_checked_is_refused(board: HardwareProfile, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match="2 networks, at least 3"):
        checked(board, monkeypatch, 1.0, networks=2)
    latency_model_path(board, MICRO, "onnxruntime").unlink()
    with pytest.raises(BadInput, match="was not profiled for mbv3-micro with onnxruntime"):
        checked(board, monkeypatch, 1.0)
