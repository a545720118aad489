"""Energy of a run: measured by made-up meters, modelled from a profile's figures, or absent with a reason."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from natdeploy.compiler import build_onnx
from natdeploy.devices import HardwareProfile
from natdeploy.devices.meter import TOLD_NOTHING, Meter, MeteredRun
from natdeploy.devices.units import Access
from natdeploy.measure import MeasurementStore
from natdeploy.measure.energy import Energy, energy_of, stored_energy, summarise
from natdeploy.measure.timer import Timer
from natdeploy.spaces import random_network
from tests.devices.phones import make_phone
from tests.devices.test_meter import BATTERY, RAPL, tree
from tests.measure.phones import clock, own_home, phone_profile, use_stand_in
from tests.measure.samples import SPACE, made_up
from tests.measure.test_remote_timing import small, timed
from tests.measure.test_timing import QUICK

COUNTER = "sys/class/powercap/intel-rapl:0/energy_uj"
GAUGE, NONE = Meter("battery gauge"), Meter(None, "no meter is readable")


@contextmanager
def counting(root: Path, watts: float) -> Iterator[None]:
    """A counter that goes with the clock, until the end of the block."""
    over, start = threading.Event(), time.monotonic()

    def count() -> None:
        while not over.is_set():
            new = root / "new"
            new.write_text(str(int(1e6 * watts * (time.monotonic() - start))))
            new.replace(root / COUNTER)
            time.sleep(0.002)

    thread = threading.Thread(target=count)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_rapl_of_this_machine(tmp_path: Path) -> None:
    root = tree(tmp_path / "root", RAPL)
    artifacts = [
        build_onnx(random_network(SPACE.layers(arch)), tmp_path / str(place))
        for place, arch in enumerate((SPACE.smallest(), SPACE.largest()))
    ]
    with counting(root, 5.0), Timer("onnxruntime", artifacts[0], QUICK, [0], root) as timer:
        found = timer.time_batch(artifacts)
    assert found.meter == Meter("RAPL (package-0)")
    small_one, large = found.metered
    assert small_one is not None and large is not None and large.run_ms > small_one.run_ms
    for run in (small_one, large):
        assert run.idle_watts is not None
        assert all(2 < watts < 12 for watts in (run.watts, run.idle_watts))  # the counter lags on a busy machine


def test_a_counter_that_stands_still_is_no_measurement(tmp_path: Path) -> None:
    root = tree(tmp_path / "root", RAPL)
    artifact = build_onnx(random_network(SPACE.layers(SPACE.smallest())), tmp_path / "model")
    with Timer("onnxruntime", artifact, QUICK, [0], root) as timer:
        found = timer.time_batch([artifact])
    assert found.metered == (TOLD_NOTHING,)
    energy = energy_of(TOLD_NOTHING, found.meter, phone_profile(), 1.0)
    assert energy.source is None and energy.reason.startswith("RAPL (package-0) told nothing while")


def test_energy_is_stored_with_a_phones_timings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_home(tmp_path / "home", monkeypatch)
    phone = make_phone(use_stand_in(tmp_path / "phones", monkeypatch), "R58M123")
    tree(phone.folder, BATTERY)
    with MeasurementStore(tmp_path / "store.sqlite") as store:
        (one,) = timed(small(1), store, Access(test_only_clock=clock()))
        (again,) = store.query()
    energy = stored_energy(again, phone_profile())
    assert (energy.source, energy.meter, energy.reason) == ("measured", "battery gauge", "")
    assert energy.watts == pytest.approx(2.0) and energy.idle_watts == pytest.approx(2.0)
    assert energy.millijoules is not None and energy.millijoules > 0
    assert again == one and not phone.left()


@pytest.mark.parametrize(
    ("power", "watts", "about"),
    [
        ({"core_w": 2.5}, 2.5, "power.core_w"),
        ({"idle_w": 2, "load_w": 6}, 4, "power.load_w less idle_w"),
        ({"limit_w": 15}, 15, "power.limit_w"),
    ],
)
def test_without_a_meter_it_is_modelled_and_says_so(power: dict[str, float], watts: float, about: str) -> None:
    energy = energy_of(None, NONE, phone_profile(power=power), 3.0)
    assert (energy.source, energy.watts, energy.reason) == ("modelled", watts, "no meter is readable")
    assert energy.millijoules == pytest.approx(3 * watts) and energy.meter and energy.meter.startswith(about)


@pytest.mark.parametrize("power", [None, {"idle_w": 2}])
def test_without_figures_it_is_absent_with_a_reason(power: dict[str, float] | None) -> None:
    energy = energy_of(None, NONE, phone_profile(power=power), 3.0)
    assert (energy.source, energy.millijoules, energy.watts) == (None, None, None)
    assert energy.reason.startswith("no meter is readable; hardware profile 'stand-in': no energy without the field")


def test_a_meter_comes_before_a_model() -> None:
    profile = phone_profile(power={"core_w": 2.5})
    energy = energy_of(MeteredRun(4.0, 1.0, 2.0), GAUGE, profile, 3.0)
    assert energy == Energy("measured", 8.0, 4.0, 1.0, "battery gauge", "")


def test_what_is_stored_is_read_back_and_older_timings_are_modelled() -> None:
    profile: HardwareProfile = phone_profile(power={"core_w": 2.5})
    energy = energy_of(MeteredRun(4.0, None, 2.0), GAUGE, profile, 3.0)
    assert stored_energy(made_up(conditions={"energy": energy.to_json()}), profile) == energy
    older = stored_energy(made_up(latency_ms=2.0), profile)
    assert (older.source, older.millijoules) == ("modelled", 5.0) and "not metered" in older.reason


def test_a_summary_speaks_of_the_best_known_ones() -> None:
    profile = phone_profile(power={"core_w": 2.5})
    modelled = [energy_of(None, NONE, profile, ms) for ms in (1.0, 2.0, 9.0)]
    measured = [energy_of(MeteredRun(4.0, 1.0, ms), GAUGE, profile, ms) for ms in (1.0, 3.0)]
    found = summarise([*modelled, *measured])
    assert found is not None and (found.source, found.networks, found.meter) == ("measured", 2, "battery gauge")
    assert (found.least_mj, found.most_mj) == (4.0, 12.0)
    found = summarise(modelled)
    assert found is not None and (found.source, found.median_mj) == ("modelled", 5.0)
    assert summarise([]) is None
    nothing = summarise([energy_of(None, NONE, phone_profile(), 1.0)])
    assert nothing is not None and (nothing.source, nothing.least_mj) == (None, None) and nothing.reason
