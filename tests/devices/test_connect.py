from pathlib import Path
from typing import Any

import numpy as np
import pytest

from natdeploy.compiler import Artifact
from natdeploy.devices import commands, connection, guard, tvm_rpc
from natdeploy.devices.connect import connect
from natdeploy.devices.profile import HardwareProfile, parse_profile
from natdeploy.ground.errors import BadInput, DeviceNotReachable, TimingNotPossible
from tests.devices.boards import emulator, image, reference
from tests.devices.phones import ADB, make_phone


def profile(reach: dict[str, Any], **more: Any) -> HardwareProfile:
    core = {"name": "big", "core": "A76", "cores": 1, "processors": [0], "vector_bits": 128, "llvm_cpu": "cortex-a76"}
    value = {"name": "board", "title": "Board", "llvm_triple": "aarch64-linux-android", "runtimes": ["tvm"]}
    return parse_profile({**value, "clusters": [core], "reach": reach, **more}, "board.yaml")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of phones, with the stand-in as adb."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "adb").symlink_to(ADB)
    (tmp_path / "devices").touch()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("STAND_IN", str(tmp_path))
    monkeypatch.setenv("QEMU", emulator("aarch64"))
    return tmp_path


def test_under_emulation(aarch64: Artifact) -> None:
    emulator("aarch64")
    runner = connect(profile({"via": ["adb", "qemu"]}), via="qemu")
    session = runner.open(aarch64)
    np.testing.assert_allclose(session.run(image()), reference(image()), rtol=1e-4, atol=1e-4)
    with pytest.raises(TimingNotPossible):
        session.time_ms(1, image())
    runner.close()


def test_the_phone_that_fits_is_found(root: Path, aarch64: Artifact) -> None:
    make_phone(root, "other").change("getprop", "Stand-in 4", "Stand-in 5")
    wanted = profile({"via": ["adb", "qemu"], "models": ["Stand-in 4*"]})
    with pytest.raises(DeviceNotReachable, match=r"it is a 'Stand-in 5', the profile is for Stand-in 4\*"):
        connect(wanted)
    make_phone(root, "right")
    runner = connect(wanted, test_only_clock=lambda repeats: [1.0] * repeats)
    assert runner.describe().unit == "right"
    assert runner.open(aarch64).time_ms(2, image()) == [1.0, 1.0]
    runner.close()
    with pytest.raises(DeviceNotReachable, match="none of 2 attached devices is a Board; last: adb device 'right'"):
        connect(profile({"via": ["adb"], "models": ["Pixel 4"]}))
    with pytest.raises(DeviceNotReachable, match="'gone': adb sees 'other', 'right'"):
        connect(wanted, unit="gone")


def test_ways_that_are_not_there(root: Path) -> None:
    with pytest.raises(BadInput, match=r"field 'reach.via' is qemu, not ssh"):
        connect(profile({"via": ["qemu"]}), via="ssh")
    with pytest.raises(DeviceNotReachable, match=r"TVM RPC tracker 127.0.0.1:1: nothing listens there"):
        connect(profile({"via": ["tvm-rpc"], "tvm_rpc": {"port": 1}}))
    with pytest.raises(BadInput, match="it is this machine"):
        connect(profile({"via": ["local"]}))
    with pytest.raises(DeviceNotReachable, match="no device is attached"):
        connect(profile({"via": ["adb"]}))


def test_what_is_waited_for_is_within_what_is_promised() -> None:
    """15 s for a device that does not answer, 10 s for a tracker or what it hands out; tests of how they fail cannot
    ask for less than a busy machine takes by itself.
    """
    ping_s, pulse_s = connection._LAST_PING_S, commands.PULSE_S + guard.ANSWER_LIMIT_S  # at the end, and meanwhile
    assert max(connection.CONNECT_LIMIT_S, connection.COMMAND_LIMIT_S) + ping_s <= 15 and pulse_s <= 15
    assert guard.ANSWER_LIMIT_S + guard._CLOSE_LIMIT_S <= 15
    assert max(tvm_rpc._TRACKER_LIMIT_S, tvm_rpc._REQUEST_LIMIT_S, tvm_rpc._ANSWER_LIMIT_S) <= 10
    assert tvm_rpc._TRACKER_LIMIT_S + tvm_rpc._REQUEST_LIMIT_S <= 10 and connection.COMMAND_LIMIT_S <= 10
