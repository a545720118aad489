"""Systems that natdeploy does not run on, or not with everything: one line says so, and what works there."""

import subprocess
import sys
from pathlib import Path

import pytest

from natdeploy.cli.main import app
from natdeploy.devices import load_profile
from natdeploy.devices.native_local import load_library
from natdeploy.ground import system
from natdeploy.ground.errors import BadInput, DeviceNotReachable


def pretend(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(system.platform, "system", lambda: name)


def test_windows_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pretend(monkeypatch, "Windows")
    with pytest.raises(SystemExit) as left:
        app(["devices"])
    assert left.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "WSL 2" in line and "run.py" in line


def test_windows_is_refused_to_programs_too(monkeypatch: pytest.MonkeyPatch) -> None:
    import natdeploy

    monkeypatch.delitem(vars(natdeploy), "verbs", raising=False)
    assert natdeploy.verbs.devices
    monkeypatch.delitem(vars(natdeploy), "verbs", raising=False)
    pretend(monkeypatch, "Windows")
    with pytest.raises(BadInput, match="natdeploy does not run on Windows itself; run it in WSL 2"):
        _ = natdeploy.verbs


def test_the_command_gets_as_far_as_saying_so() -> None:
    """Windows has no fcntl: nothing that the command line loads at its start may need it."""
    script = "import sys; sys.modules['fcntl'] = None; import natdeploy.cli.main"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_macos_cannot_be_the_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pretend(monkeypatch, "Darwin")
    with pytest.raises(DeviceNotReachable, match=r"needs Linux, this is macOS; here natdeploy searches"):
        load_profile("host")
    with pytest.raises(DeviceNotReachable, match=r"libmodel\.so: loading a compiled library needs Linux"):
        load_library(tmp_path / "libmodel.so")
    assert load_profile("pixel4").name == "pixel4"


def test_linux_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, "Linux")
    system.refuse_unknown_system()
    system.need_linux("anything")
