"""Timing on devices that are not this machine: stand-ins for phones, whose processor is qemu-aarch64."""

import signal
import threading
from pathlib import Path

import numpy as np
import pytest

from natdeploy.devices import Runnable
from natdeploy.devices.units import Access, open_units
from natdeploy.ground.errors import BadInput, DeviceNotReachable, TimingNotPossible
from natdeploy.measure import Measurement, MeasurementStore, batch, remote_timer, time_archs
from natdeploy.measure.spread import unit_shares
from natdeploy.measure.timing import Progress
from natdeploy.spaces import Arch, get_space
from tests.devices.phones import Phone, make_phone
from tests.measure.phones import QUICK, clock, own_home, phone_profile, use_stand_in

SPACE = get_space("mbv3-micro")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    own_home(tmp_path / "home", monkeypatch)
    return use_stand_in(tmp_path / "phones", monkeypatch)


@pytest.fixture
def phone(root: Path) -> Phone:
    return make_phone(root, "R58M123")


@pytest.fixture
def store(tmp_path: Path) -> MeasurementStore:
    return MeasurementStore(tmp_path / "store.sqlite")


def small(count: int) -> list[Arch]:
    """Architectures of the smallest resolution, which an emulator runs soon."""
    rng = np.random.default_rng(5)
    found = [SPACE.smallest()]
    while len(found) < count:
        genome = SPACE.encode(SPACE.sample(rng))
        genome[0] = SPACE.encode(SPACE.smallest())[0]
        found.append(SPACE.decode(SPACE.repair(genome)))
    return found


def timed(
    archs: list[Arch], store: MeasurementStore, access: Access, progress: Progress | None = None, **changes: object
) -> list[Measurement]:
    return time_archs(
        archs,
        space=SPACE,
        profile=phone_profile(**changes),
        runtime="tvm",
        protocol=QUICK,
        store=store,
        access=access,
        progress=progress,
    )


def test_a_phone_is_timed_and_what_is_stored_is_not_timed_again(phone: Phone, store: MeasurementStore) -> None:
    archs = small(3)
    found = timed(archs, store, Access(test_only_clock=clock()))
    assert [one.arch for one in found] == archs and store.query() == found
    by_macs = sorted(found, key=lambda one: one.latency_ms)
    assert by_macs[0].latency_ms < by_macs[-1].latency_ms and all(one.trusted for one in found)
    (one, *_) = found
    assert one.device == "stand-in" and len(one.visits) == 3 and len(one.samples_ms) == 6
    assert (one.conditions["via"], one.conditions["unit"], one.conditions["clock"]) == ("adb", "R58M123", "test-only")
    assert one.toolchain["clock"] == "test-only"  # never mixed with real timings
    assert not phone.left() and not phone.processes()
    phone.switch("hang")  # nobody asks it any more
    assert timed(archs, store, Access(test_only_clock=clock())) == found


def test_an_emulated_processor_is_not_timed(phone: Phone, store: MeasurementStore) -> None:
    with pytest.raises(TimingNotPossible, match=r"R58M123': its processor is emulated"):
        timed(small(1), store, Access())
    with pytest.raises(TimingNotPossible, match="under qemu, whose times say nothing"):
        timed(small(1), store, Access(via="qemu"))
    assert not store.query() and not phone.left()


def test_units_share_the_work_and_one_that_is_lost_gives_its_share_back(root: Path, store: MeasurementStore) -> None:
    phones = [make_phone(root, serial) for serial in ("left", "right")]
    archs, seen, once = small(4), [], threading.Lock()

    def tell(stage: str, fraction: float) -> None:
        seen.append(stage)

    def unplug(runnable: Runnable, repeats: int) -> list[float]:
        """Both work; then one cable is pulled in the middle of a batch."""
        if phones[0].processes() and once.acquire(blocking=False):
            (root / "devices").write_text("right\tdevice\n")
            phones[0].stop(signal.SIGKILL)
        return clock()(runnable, repeats)

    access = Access(units=("left", "right"), test_only_clock=unplug)
    found = timed(archs, store, access, tell)
    assert once.locked() and [one.arch for one in found] == archs and len(store.query()) == 4
    assert {one.conditions["unit"] for one in found} == {"right"}
    assert any(stage.startswith("2 devices are timing") for stage in seen)
    assert any(stage.startswith("lost adb device 'left'") for stage in seen)
    assert not phones[1].left()


def test_three_of_those_attached_share_the_work_and_one_vanishes(root: Path, store: MeasurementStore) -> None:
    make_phone(root, "stranger").change("getprop", "Stand-in 4", "Stand-in 5")
    phones = {serial: make_phone(root, serial) for serial in ("a", "b", "c")}
    archs, seen, once = small(6), list[str](), threading.Lock()

    def unplug(runnable: Runnable, repeats: int) -> list[float]:
        if phones["b"].processes() and once.acquire(blocking=False):
            listed = (root / "devices").read_text()
            (root / "devices").write_text(listed.replace("b\tdevice\n", ""))
            phones["b"].stop(signal.SIGKILL)
        return clock()(runnable, repeats)

    found = timed(archs, store, Access(matching=3, test_only_clock=unplug), lambda stage, _: seen.append(stage))
    assert [one.arch for one in found] == archs and len(store.query()) == 6 and once.locked()
    assert {one.unit for one in unit_shares(found)} == {"a", "c"}
    assert any(stage.startswith("3 devices are timing") for stage in seen)
    assert any(stage.startswith("lost adb device 'b'") for stage in seen)
    assert not phones["a"].left() and not phones["c"].left()
    with pytest.raises(DeviceNotReachable, match=r"2 of 3 devices of kind 'stand-in' are usable: "):
        timed(small(7)[6:], store, Access(matching=3, test_only_clock=clock()))


def test_what_was_timed_before_the_last_unit_was_lost_is_stored(
    phone: Phone, root: Path, store: MeasurementStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "_NETWORKS", 1)
    archs, timed_before = small(3), []

    def unplug(runnable: Runnable, repeats: int) -> list[float]:
        if len(store_elsewhere.query()) == 2 and not timed_before:
            timed_before.append(True)
            (root / "devices").write_text("")
            phone.stop(signal.SIGKILL)
        return clock()(runnable, repeats)

    store_elsewhere = MeasurementStore(store.path)
    with pytest.raises(DeviceNotReachable, match="R58M123'"):
        timed(archs, store, Access(test_only_clock=unplug))
    kept = store.query()
    assert [one.arch for one in kept] == archs[:2]
    (root / "devices").write_text("R58M123\tdevice\n")
    again = timed(archs, store, Access(test_only_clock=clock()))
    assert again[:2] == kept and len(store.query()) == 3


def test_a_unit_serves_one_job_at_a_time(phone: Phone, root: Path, store: MeasurementStore) -> None:
    access = Access(test_only_clock=clock())
    with open_units(phone_profile(), access) as (unit,):
        with pytest.raises(DeviceNotReachable, match=r"adb:R58M123: is being used by process \d+; wait for it"):
            timed(small(1), store, access)
        make_phone(root, "other")
        with open_units(phone_profile(), access) as (another,):  # any that is free will do
            assert {unit.describe().unit, another.describe().unit} == {"R58M123", "other"}
        with pytest.raises(DeviceNotReachable, match=r"1 of 2 devices of kind 'stand-in' are usable: .*being used"):
            timed(small(1), store, Access(matching=2, test_only_clock=clock()))
    assert not phone.left()


def test_units_that_differ_are_told_and_divided_out(root: Path, store: MeasurementStore) -> None:
    for serial in ("fast", "slow"):
        make_phone(root, serial)
    archs = small(2)
    (first,) = timed(archs[:1], store, Access(units=("fast",), test_only_clock=clock()))
    (second,) = timed(archs[1:], store, Access(units=("slow",), test_only_clock=clock(slower=1.1)))
    _, alone = timed(archs, MeasurementStore(store.path.with_name("of-one")), Access(test_only_clock=clock()))
    assert second.raw_median_ms == pytest.approx(1.1 * alone.raw_median_ms, rel=0.01)
    assert second.latency_ms == pytest.approx(alone.latency_ms, rel=0.01)
    assert first.drift == pytest.approx(0, abs=0.01) and second.drift == pytest.approx(0.1, abs=0.01)
    fast, slow = unit_shares(store.query())
    assert (fast.unit, slow.unit, fast.timings, slow.timings) == ("fast", "slow", 1, 1)
    assert slow.reference_ratio / fast.reference_ratio == pytest.approx(1.1, rel=0.01)


def test_a_device_that_is_too_hot_rests(phone: Phone, store: MeasurementStore, monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []

    def rest(seconds: float) -> None:
        rests.append(seconds)
        if len(rests) == 2:
            phone.change("dumpsys", "temperature: 391", "temperature: 291")

    def heat(runnable: Runnable, repeats: int) -> list[float]:
        if not heated:
            heated.append(True)
            phone.change("dumpsys", "temperature: 291", "temperature: 391")
        return clock()(runnable, repeats)

    heated: list[bool] = []
    monkeypatch.setattr(remote_timer, "sleep", rest)
    timing = {"max_celsius": 35, "cooldown_s": 7}
    (one,) = timed(small(1), store, Access(test_only_clock=heat), timing=timing)
    assert rests == [7, 7] and one.trusted


def test_a_throttled_device_rests_and_what_it_did_is_not_trusted(phone: Phone, store: MeasurementStore, monkeypatch):
    rests: list[float] = []
    monkeypatch.setattr(remote_timer, "sleep", rests.append)
    (steady,) = timed(small(1), store, Access(test_only_clock=clock()))
    asked: list[int] = []

    def throttle(runnable: Runnable, repeats: int) -> list[float]:
        asked.append(1)
        return clock(slower=1 if len(asked) < 6 else 3)(runnable, repeats)

    (slow,) = timed(small(2)[1:], store, Access(test_only_clock=throttle), timing={"max_drift": 0.3, "cooldown_s": 5})
    assert steady.trusted and not slow.trusted and slow.drift > 0.3
    assert rests and set(rests) == {5}


def test_bad_access_is_refused(root: Path) -> None:
    for wrong in ({"matching": 0}, {"units": ("a", "a")}, {"units": ("a", "b"), "matching": 3}):
        with pytest.raises(BadInput, match="devices: "):
            Access(**wrong)  # type: ignore[arg-type]
    board = phone_profile(reach={"via": ["ssh"]})
    with (
        pytest.raises(BadInput, match="over ssh, several devices have to be named"),
        open_units(board, Access(matching=2)),
    ):
        pass
    with pytest.raises(DeviceNotReachable, match="no device is attached"), open_units(phone_profile(), Access()):
        pass
    with (
        pytest.raises(DeviceNotReachable, match="';rm -rf x': adb sees no device"),
        open_units(phone_profile(), Access(units=(";rm -rf x",))),
    ):
        pass
