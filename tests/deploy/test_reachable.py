"""The budget loop for a phone that is attached: the stand-in for adb, timed by a test-only clock."""

from pathlib import Path

import pytest
import yaml

from natdeploy.deploy import build, verify_bundle
from natdeploy.devices import load_profile, user_profiles_dir
from natdeploy.devices.units import Access
from natdeploy.ground.errors import BadInput, BudgetNotMet, DeviceNotReachable
from natdeploy.measure import MeasurementStore
from natdeploy.runs import RunFolder
from tests.deploy.made_run import make_run, small_archs
from tests.devices.phones import Phone, make_phone
from tests.measure.phones import PROFILE, clock, use_stand_in

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Phone:
    return make_phone(use_stand_in(tmp_path / "phones", monkeypatch), "R58M123")


@pytest.fixture
def device() -> str:
    """A profile of the user's own, by its name."""
    path = user_profiles_dir() / "stand-in.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(PROFILE))
    return path.stem


@pytest.fixture
def store(tmp_path: Path) -> MeasurementStore:
    return MeasurementStore(tmp_path / "store.sqlite")


def searched(tmp_path: Path, device: str, store: MeasurementStore, budget_ms: float) -> RunFolder:
    return make_run(tmp_path / "run", load_profile(device), store, budget_ms=budget_ms, speed=1.0)


def test_what_measures_over_the_budget_on_the_phone_is_not_shipped(
    phone: Phone, device: str, store: MeasurementStore, tmp_path: Path
) -> None:
    run = searched(tmp_path, device, store, budget_ms=1000.0)
    slow = Access(test_only_clock=lambda runnable, repeats: [2000.0] * repeats)
    with pytest.raises(BudgetNotMet, match=r"measured within the budget of 1000 ms; the nearest, .* took 2000 ms"):
        build(run, pick="best", device=device, store=store, attempts=1, access=slow)
    assert not (run.path / "bundles").exists() and not phone.left()
    assert [one.latency_ms for one in store.query(role="build")] == [pytest.approx(2000.0)]


def test_a_bundle_that_was_measured_on_the_phone(
    phone: Phone, device: str, store: MeasurementStore, tmp_path: Path
) -> None:
    run = searched(tmp_path, device, store, budget_ms=1000.0)
    access = Access(units=("R58M123",), test_only_clock=clock())
    (bundle,) = build(run, pick=small_archs()[0].id, device=device, store=store, access=access)
    latency = verify_bundle(bundle.path).manifest.latency
    (timing,) = latency.measured or ()
    assert (timing.runtime, latency.budget_ms, latency.predicted is not None) == ("tvm", 1000.0, True)
    (stored,) = store.query(role="build")
    assert stored.latency_ms == timing.latency_ms and stored.conditions["unit"] == "R58M123"
    assert stored.artifact_digest == timing.artifact_digest
    assert {one.split for one in bundle.manifest.accuracy} == {"val", "test"} and not phone.left()


def test_a_device_that_was_named_must_be_there(
    phone: Phone, device: str, store: MeasurementStore, tmp_path: Path
) -> None:
    run = searched(tmp_path, device, store, budget_ms=1000.0)
    with pytest.raises(DeviceNotReachable, match="'gone': adb sees 'R58M123'"):
        build(run, device=device, store=store, access=Access(units=("gone",)))
    with pytest.raises(BadInput, match="the run's predictor was not measured on it"):
        build(run, device="pixel4", store=store, access=Access(units=("R58M123",)))


def test_a_device_that_is_not_there_is_said_not_to_be_measured(
    phone: Phone, device: str, store: MeasurementStore, tmp_path: Path
) -> None:
    run, said = searched(tmp_path, device, store, budget_ms=1000.0), []
    (bundle,) = build(
        run, pick=small_archs()[0].id, device=device, store=store, progress=lambda stage, fraction: said.append(stage)
    )
    assert any(
        stage.startswith("nothing will be measured: adb device 'R58M123': its processor is emul") for stage in said
    )
    assert bundle.manifest.latency.measured is None and not store.query(role="build")
