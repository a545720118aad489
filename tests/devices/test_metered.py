"""Executables beside power meters of stand-ins: a phone behind adb, a Jetson behind a real sshd."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from natdeploy.compiler import Artifact
from natdeploy.devices.adb import AdbLink
from natdeploy.devices.remote_run import RemoteRunner
from natdeploy.devices.ssh import SshLink
from natdeploy.ground.errors import DeviceNotReachable, TimingNotPossible
from tests.devices.boards import emulator, image
from tests.devices.boards_over_ssh import Board
from tests.devices.phones import ADB, Phone, make_phone
from tests.devices.test_meter import BATTERY, JETSON_NANO, tree
from tests.measure.phones import use_stand_in


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Phone]:
    phone = make_phone(use_stand_in(tmp_path / "phones", monkeypatch), "R58M123")
    yield phone
    phone.end()


def clocked(link: AdbLink | SshLink) -> RemoteRunner:
    return RemoteRunner(link, test_only_clock=lambda repeats: [1.0] * repeats)


def test_a_phones_battery_over_adb(phone: Phone, aarch64: Artifact) -> None:
    tree(phone.folder, BATTERY)
    runner = clocked(AdbLink(adb=ADB))
    session = runner.open(aarch64)
    session.run(image())
    assert runner.meter().name == "battery gauge"
    run = runner.run_metered(session)
    assert run is not None and run.run_ms > 0
    assert (run.watts, run.idle_watts) == (pytest.approx(2.0), pytest.approx(2.0))
    assert np.isfinite(session.run(image())).all()
    session.close()
    assert len(phone.left()) == 1  # the scratch folder itself
    runner.close()
    assert not phone.left() and not phone.processes()


def test_a_phone_on_a_charger_or_without_a_gauge(phone: Phone) -> None:
    runner = RemoteRunner(AdbLink(adb=ADB))
    assert runner.meter().name is None and "no meter is readable" in runner.meter().reason
    tree(phone.folder, {**BATTERY, "sys/class/power_supply/usb/online": "1"})
    assert "on a charger" in runner.meter().reason
    runner.close()


def test_an_emulated_processor_is_not_metered(phone: Phone, aarch64: Artifact) -> None:
    tree(phone.folder, BATTERY)
    runner = RemoteRunner(AdbLink(adb=ADB))
    session = runner.open(aarch64)
    session.run(image())
    with pytest.raises(TimingNotPossible, match="its processor is emulated"):
        runner.run_metered(session)
    runner.close()


def test_a_phone_that_is_unplugged_meanwhile_leaves_nothing(phone: Phone, aarch64: Artifact) -> None:
    tree(phone.folder, BATTERY)
    runner = clocked(AdbLink(adb=ADB))
    session = runner.open(aarch64)
    session.run(image())
    (phone.folder.parent / "devices").write_text("")
    with pytest.raises(DeviceNotReachable, match="R58M123"):
        runner.run_metered(session)
    runner.close()
    assert not phone.left() and not phone.processes()


def test_a_jetsons_rails_over_ssh(tmp_path: Path, aarch64: Artifact) -> None:
    tree(tmp_path / "jetson", JETSON_NANO)
    board = Board(tmp_path / "board", {"QEMU": emulator("aarch64"), "SYS": str(tmp_path / "jetson")})
    try:
        runner = clocked(SshLink(**board.reach()))
        session = runner.open(aarch64)
        session.run(image())
        assert runner.meter().name == "INA3221 (POM_5V_IN)"
        run = runner.run_metered(session)
        assert run is not None and (run.watts, run.idle_watts) == (pytest.approx(3.5), pytest.approx(3.5))
        runner.close()
        assert not board.left()
    finally:
        board.close()
