"""adb's runner, with a stand-in for adb whose devices are folders and whose processor is qemu-aarch64."""

import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from natdeploy.compiler import Artifact
from natdeploy.devices.adb import AdbLink, attached_devices
from natdeploy.devices.expected import Expected
from natdeploy.devices.remote_run import RemoteRunner
from natdeploy.ground.errors import BadInput, DeviceNotReachable, TimingNotPossible, VerificationFailed
from tests.devices.boards import emulator, image, reference
from tests.devices.phones import ADB, Phone, make_phone, wait_until

#: A connection that fails says so within seconds, not minutes; a busy machine needs some more to start the processes.
LIMIT_S = 60.0


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "stand-in"
    folder.mkdir()
    (folder / "devices").touch()
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("STAND_IN", str(folder))
    monkeypatch.setenv("QEMU", emulator("aarch64"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    return folder


@pytest.fixture
def phone(root: Path) -> Iterator[Phone]:
    phone = make_phone(root, "R58M123")
    yield phone
    for pid in phone.processes():
        os.kill(pid, signal.SIGKILL)


def over_adb(serial: str | None = None, **settings: Any) -> RemoteRunner:
    return RemoteRunner(AdbLink(serial, adb=ADB), **settings)


def nothing_is_left(phone: Phone, tmp_path: Path) -> bool:
    return not phone.left() and not phone.processes() and not list((tmp_path / "temporary").iterdir())


def test_runs_an_executable_and_tidies_up(phone: Phone, aarch64: Artifact, tmp_path: Path) -> None:
    runner = over_adb()
    session = runner.open(aarch64)
    for seed in range(2):
        np.testing.assert_allclose(session.run(image(seed)), reference(image(seed)), rtol=1e-4, atol=1e-4)
    assert any("natdeploy-" in path for path in phone.left())
    with pytest.raises(BadInput, match=r"expected float32\[1, 3, 8, 8\]"):
        session.run(np.zeros((3, 8, 8), np.float32))
    session.close()
    assert len(phone.left()) == 1  # the scratch folder itself
    with pytest.raises(BadInput, match="the session is closed"):
        session.run(image())
    runner.close()
    runner.close()
    session.close()
    assert nothing_is_left(phone, tmp_path)


def test_describes_the_phone(phone: Phone) -> None:
    runner = over_adb(phone.serial)
    said = runner.describe()
    runner.close()
    assert (said.via, said.unit, said.model, said.machine) == ("adb", "R58M123", "Stand-in 4", "aarch64")
    assert said.abis == ("arm64-v8a", "armeabi-v7a", "armeabi")
    assert (said.battery_percent, said.powered, said.celsius, said.screen_on) == (83, True, 29.1, False)
    assert said.emulated and said.clock == "device"
    assert runner.toolchain() == {"adb": "1.0.41"}


def test_times_of_an_emulated_processor_are_refused(phone: Phone, aarch64: Artifact) -> None:
    runner = over_adb()
    with pytest.raises(TimingNotPossible, match=r"adb device 'R58M123': its processor is emulated \(it says aarch64"):
        runner.open(aarch64).time_ms(3, image())
    runner.close()


def test_the_timing_path_with_a_test_only_clock(phone: Phone, aarch64: Artifact) -> None:
    asked: list[int] = []

    def clock(repeats: int) -> list[float]:
        asked.append(repeats)
        return [1.5] * repeats

    runner = over_adb(test_only_clock=clock, processors=(0,))
    session = runner.open(aarch64)
    assert session.time_ms(4, image()) == [1.5] * 4 and asked == [4]
    assert runner.describe().clock == "test-only" and runner.toolchain()["clock"] == "test-only"
    runner.close()


def test_several_phones_by_serial(phone: Phone, root: Path, aarch64: Artifact) -> None:
    other = make_phone(root, "emulator-5554")
    make_phone(root, "locked", "unauthorized")
    assert attached_devices(ADB) == {"R58M123": "device", "emulator-5554": "device", "locked": "unauthorized"}
    with pytest.raises(DeviceNotReachable, match=r"2 devices are attached \(R58M123, emulator-5554\); name one"):
        over_adb()
    runners = [over_adb(serial) for serial in (phone.serial, other.serial)]
    for runner in runners:
        assert np.isfinite(runner.open(aarch64).run(image())).all()
    assert phone.left() and other.left()
    for runner in runners:
        runner.close()
    assert not phone.left() and not other.left()


def test_a_serial_is_never_part_of_a_shells_line(
    phone: Phone, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, aarch64: Artifact
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").touch()
    with pytest.raises(DeviceNotReachable, match=r"adb device ';rm -rf x': adb sees 'R58M123'; plug it in"):
        over_adb(";rm -rf x")
    nasty = make_phone(root, ";rm -rf x")  # a device that really has this name is reached by it
    runner = over_adb(";rm -rf x")
    np.testing.assert_allclose(runner.open(aarch64).run(image()), reference(image()), rtol=1e-4, atol=1e-4)
    runner.close()
    assert (tmp_path / "x").exists() and not nasty.left()


@pytest.mark.parametrize(
    ("state", "advice"),
    [
        ("unauthorized", "is unauthorized; confirm 'Allow USB debugging'"),
        ("offline", "is offline; unplug the cable"),
        ("no permissions (missing udev rules?); see [http]", "let your user open USB devices"),
        ("bootloader", "start Android on it"),
    ],
)
def test_a_device_that_is_not_ready(root: Path, state: str, advice: str) -> None:
    make_phone(root, "R1", state)
    for serial in ("R1", None):
        with pytest.raises(DeviceNotReachable, match=advice.replace("(", r"\(")) as caught:
            over_adb(serial)
        assert caught.value.exit_code == 3 and "\n" not in str(caught.value)


def test_no_adb_and_no_device(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeviceNotReachable, match="no device is attached; plug it in"):
        over_adb()
    with pytest.raises(DeviceNotReachable, match="adb sees no device at all; plug it in"):
        over_adb("R1")
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(DeviceNotReachable, match=r"adb: not installed .*apt install adb"):
        AdbLink()


def test_another_model_or_interface_is_refused(phone: Phone, tmp_path: Path) -> None:
    def only(name: str) -> Callable[[str], bool]:
        return lambda model: model == name

    with pytest.raises(
        DeviceNotReachable, match="interfaces are arm64-v8a, armeabi-v7a, armeabi, the profile's is x86"
    ):
        over_adb(expected=Expected(abi="x86_64"))
    with pytest.raises(DeviceNotReachable, match="it is a 'Stand-in 4', the profile is for Pixel 4"):
        over_adb(expected=Expected(accepts=only("Pixel 4"), models=("Pixel 4",)))
    over_adb(expected=Expected(abi="arm64-v8a", accepts=only("Stand-in 4"))).close()
    assert nothing_is_left(phone, tmp_path)


def test_an_executable_of_another_machine_is_refused(phone: Phone, here: Artifact, tmp_path: Path) -> None:
    runner = over_adb()
    with pytest.raises(
        DeviceNotReachable, match=r"cannot run .*model_run, built for .*; use the profile of this device"
    ):
        runner.open(here)
    runner.close()
    assert nothing_is_left(phone, tmp_path)


def test_a_model_of_other_shapes_is_refused(phone: Phone, aarch64: Artifact) -> None:
    runner = over_adb()
    with pytest.raises(BadInput, match=r"expected one of float32\[1, 7\]; build it again"):
        runner.open(dataclasses.replace(aarch64, output_shape=(1, 7)))
    runner.close()


def silicon(phone: Phone) -> None:
    """Let the phone look like a real one."""
    cpuinfo = "processor : 0\nCPU implementer : 0x51\n"
    phone.program("cat", f'#!/bin/sh\n[ "$1" = /proc/cpuinfo ] && printf "{cpuinfo}" || exec /bin/cat "$@"\n')
    phone.program("systemd-detect-virt", "#!/bin/sh\necho none\n")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("level: 83", "level: 7", "its battery is at 7 %, timing takes 20 %; charge it first"),
        ("temperature: 291", "temperature: 455", "it is at 45.5 degrees, timing takes 40 at most; let it cool down"),
    ],
)
def test_a_weak_or_hot_phone_is_not_timed(phone: Phone, aarch64: Artifact, old: str, new: str, message: str) -> None:
    silicon(phone)
    phone.change("dumpsys", old, new)
    runner = over_adb(expected=Expected(min_battery_percent=20, max_celsius=40))
    session = runner.open(aarch64)
    assert np.isfinite(session.run(image())).all()
    with pytest.raises(TimingNotPossible, match=message):
        session.time_ms(2, image())
    runner.close()


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("SEGV", VerificationFailed, r"model_run: cannot be run; it died by signal 11 on adb device 'R58M123'"),
        ("ILL", DeviceNotReachable, r"its processor lacks instructions of .*; check llvm_cpu and llvm_features"),
    ],
)
def test_an_executable_that_dies_there_is_as_one_that_dies_here(
    phone: Phone,
    aarch64: Artifact,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    kind: type[Exception],
    message: str,
) -> None:
    runner = over_adb()
    session = runner.open(aarch64)
    phone.program("die", f"#!/bin/sh\nkill -{name} $$\n")
    monkeypatch.setenv("QEMU", "die")
    with pytest.raises(kind, match=message):
        session.run(image())
    runner.close()
    assert nothing_is_left(phone, tmp_path)


def test_a_full_disk_is_said(phone: Phone, aarch64: Artifact, tmp_path: Path) -> None:
    runner = over_adb()
    phone.switch("full")
    with pytest.raises(DeviceNotReachable, match=r"the device's disk is full .*; free some space on it"):
        runner.open(aarch64)
    runner.close()
    assert nothing_is_left(phone, tmp_path)


def test_output_that_is_not_json_is_said(phone: Phone, aarch64: Artifact, tmp_path: Path) -> None:
    runner = over_adb()
    session = runner.open(aarch64)
    phone.switch("noise")
    with pytest.raises(DeviceNotReachable, match="expected model_run's JSON, found 'WARNING: linker"):
        session.run(image())
    runner.close()
    assert nothing_is_left(phone, tmp_path)


def test_an_adb_that_hangs_is_stopped(phone: Phone, root: Path, tmp_path: Path) -> None:
    started = time.monotonic()
    (root / "hang").touch()
    with pytest.raises(DeviceNotReachable, match="adb: no answer after 6 s; try: adb kill-server"):
        over_adb("R58M123")
    (root / "hang").unlink()
    assert time.monotonic() - started < LIMIT_S
    started = time.monotonic()
    phone.switch("hang")
    with pytest.raises(DeviceNotReachable, match=r"no answer after .*; check the cable"):
        over_adb("R58M123")
    assert time.monotonic() - started < LIMIT_S and nothing_is_left(phone, tmp_path)


@pytest.mark.parametrize("with_signal", [signal.SIGSTOP, signal.SIGKILL])
def test_a_connection_that_freezes_or_dies_in_a_long_run(
    phone: Phone, aarch64: Artifact, tmp_path: Path, with_signal: signal.Signals
) -> None:
    runner = over_adb(test_only_clock=lambda repeats: [1.0] * repeats)
    session = runner.open(aarch64)
    stopped: list[float] = []

    def stop() -> None:
        wait_until(lambda: list((phone.folder / "tmp").glob("*/*.pid")))
        phone.stop(with_signal)
        stopped.append(time.monotonic())

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(DeviceNotReachable, match=r"R58M123': (no answer after 5 s; check|the connection was lost)"):
        session.time_ms(1_000_000, image())
    runner.close()
    thread.join()
    assert time.monotonic() - stopped[0] < LIMIT_S
    phone.end()  # the device's own, which froze with it
    wait_until(lambda: not phone.processes())
    over_adb().close()  # removes what the device could not
    assert nothing_is_left(phone, tmp_path)


def test_a_crash_of_natdeploy_leaves_nothing(phone: Phone, aarch64: Artifact, tmp_path: Path) -> None:
    program = (
        "import numpy as np\n"
        "from natdeploy.compiler import Artifact\n"
        "from natdeploy.devices.adb import AdbLink\n"
        "from natdeploy.devices.remote_run import RemoteRunner\n"
        "from pathlib import Path\n"
        f"path, digest = Path({str(aarch64.path)!r}), {aarch64.digest!r}\n"
        "artifact = Artifact('executable', path, digest, (1, 3, 8, 8), (1, 5), {})\n"
        f"runner = RemoteRunner(AdbLink(adb={ADB!r}), test_only_clock=lambda repeats: [1.0] * repeats)\n"
        "runner.open(artifact).time_ms(1_000_000, np.zeros((1, 3, 8, 8), np.float32))\n"
    )
    environment = os.environ | {"TMPDIR": str(tmp_path / "temporary"), "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", program], env=environment)
    wait_until(lambda: list((phone.folder / "tmp").glob("*/*.pid")), 60)
    process.kill()
    process.wait()
    wait_until(lambda: not phone.left() and not phone.processes(), LIMIT_S)
