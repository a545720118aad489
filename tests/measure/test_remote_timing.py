"""Timing on devices that are not this machine: stand-ins for phones, whose processor is qemu-aarch64."""

from pathlib import Path

import numpy as np
import pytest

from natdeploy.devices.units import Access
from natdeploy.ground.errors import TimingNotPossible
from natdeploy.measure import MeasurementStore, time_archs
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


def timed(archs: list[Arch], store: MeasurementStore, access: Access, **changes: object):
    return time_archs(
        archs,
        space=SPACE,
        profile=phone_profile(**changes),
        runtime="tvm",
        protocol=QUICK,
        store=store,
        access=access,
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
