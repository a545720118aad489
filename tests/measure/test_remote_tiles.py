"""Tiles measured on a stand-in for a phone, whose processor is qemu-aarch64, by a test-only clock."""

from collections.abc import Callable
from pathlib import Path

import pytest

from natdeploy.compiler import KernelCache, tuning_of
from natdeploy.compiler.kernels.objects import isa_for
from natdeploy.compiler.target import check_target
from natdeploy.compiler.trial import candidates
from natdeploy.devices import Runnable, llvm_target
from natdeploy.devices.units import Access
from natdeploy.ground.errors import DeviceNotReachable, TimingNotPossible
from natdeploy.ground.files import read_json
from natdeploy.measure import remote_tiles
from natdeploy.measure.tile_choice import TileProtocol
from natdeploy.measure.tiles import tune
from tests.devices.phones import Phone, make_phone
from tests.measure.phones import QUICK, clock, own_home, phone_profile, use_stand_in

PRODUCT = {"kind": "gemm", "m": 9, "k": 12, "n": 20, "activation": "relu", "residual": True}
DEPTHWISE = {"kind": "depthwise", "c": 6, "in_h": 5, "in_w": 9, "out_h": 5, "out_w": 9, "kernel": 3, "stride": 1}
WORKLOADS = [PRODUCT, {**DEPTHWISE, "activation": "relu"}]
FEW = TileProtocol(sessions=3)


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Phone:
    own_home(tmp_path / "home", monkeypatch)
    monkeypatch.setattr(remote_tiles, "protocol_for", lambda profile: QUICK)
    monkeypatch.setattr("natdeploy.compiler.kernels.kind.MOST_CANDIDATES", 3)
    return make_phone(use_stand_in(tmp_path / "phones", monkeypatch), "R58M123")


def faster_with(symbol: str) -> Callable[[Runnable, int], list[float]]:
    """A clock to which one kernel takes four fifths of what others do."""
    usual = clock()

    def times_ms(runnable: Runnable, repeats: int) -> list[float]:
        (kernel,) = read_json(Path(runnable.path).with_name("plan.json"), "plan")["kernels"]
        return [(0.8 if kernel["name"] == symbol else 1.0) * ms for ms in usual(runnable, repeats)]

    return times_ms


def test_a_phones_tiles_are_measured_on_it(phone: Phone) -> None:
    profile = phone_profile()
    isa = isa_for(check_target(llvm_target(profile)), KernelCache())
    wanted = candidates(PRODUCT, isa)[-1]
    access = Access(test_only_clock=faster_with(wanted.symbol))
    found = {one.workload["kind"]: one for one in tune(WORKLOADS, profile, protocol=FEW, access=access)}
    assert found["gemm"].chosen == wanted.schedule and found["gemm"].gain == pytest.approx(0.8, abs=0.02)
    assert found["gemm"].noise < 0.02 and len(found["gemm"].trials) == 3
    assert not found["depthwise"].changed
    assert {one.workload["kind"] for one in tuning_of(profile).entries} == {"gemm", "depthwise"}
    assert tuning_of(profile).schedule(PRODUCT, isa) == wanted.schedule
    assert not phone.left() and not phone.processes()
    phone.switch("hang")  # nobody asks it any more
    assert list(tune(WORKLOADS, profile, protocol=FEW, access=access)) == []


def test_what_cannot_be_timed_is_refused_and_nothing_is_kept(phone: Phone, tmp_path: Path) -> None:
    with pytest.raises(TimingNotPossible, match="its processor is emulated"):
        list(tune(WORKLOADS, phone_profile(), protocol=FEW))
    with pytest.raises(DeviceNotReachable, match="nobody"):
        list(tune(WORKLOADS, phone_profile(), protocol=FEW, access=Access(units=("nobody",))))
    assert tuning_of(phone_profile()).entries == () and not phone.left()
