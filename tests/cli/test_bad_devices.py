"""Bad profiles and devices that fail, as a user meets them: one line on stderr, the documented exit status, soon."""

from __future__ import annotations

import ast
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result

import natdeploy as package
from natdeploy.compiler import Artifact
from natdeploy.devices import adb, connection
from natdeploy.measure import builds
from natdeploy.spaces import Network
from tests.devices.boards import AARCH64, executable
from tests.devices.phones import Phone, make_phone
from tests.devices.test_adb import silicon
from tests.measure.phones import PROFILE, use_stand_in

#: A device that fails says so within seconds of the command, not minutes; a busy machine needs some for itself.
LIMIT_S = 60.0
Cli = Callable[..., Result]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return executable(AARCH64, tmp_path_factory.mktemp("made"))


@pytest.fixture
def phone(made: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Phone:
    """A phone that passes for a real one, for which one small executable stands in for all networks."""
    phone = make_phone(use_stand_in(tmp_path / "phones", monkeypatch), "R58M123")
    silicon(phone)

    def build(self: builds.ArtifactBuilder, network: Network, folder: Path) -> Artifact:
        return made

    monkeypatch.setattr(builds.ArtifactBuilder, "_built", build)
    monkeypatch.setattr(builds.ArtifactBuilder, "prepare", lambda self, archs, progress=None: None)
    return phone


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes the stand-in's profile with changes."""

    def profile(**changes: Any) -> Path:
        path = tmp_path / "stand-in.yaml"
        path.write_text(yaml.safe_dump({**PROFILE, **changes}))
        return path

    return profile


def fails(result: Result, status: int, *texts: str) -> None:
    said = [line for line in result.stderr.splitlines() if not line.startswith("[")]
    assert result.exit_code == status, (result.stderr, result.exception)
    assert len(said) == 1 and all(text in said[0] for text in texts), said


def profiling(natdeploy: Cli, device: Path, *options: str) -> Result:
    started = time.monotonic()
    result = natdeploy("profile", "--device", device, "--networks", 30, "--holdout", 5, *options)
    assert time.monotonic() - started < LIMIT_S
    return result


def test_a_profile_with_an_unknown_field(natdeploy: Cli, write: Callable[..., Path]) -> None:
    fails(natdeploy("devices", write(colour="red")), 2, "stand-in.yaml: unknown field 'colour'; remove it")


@pytest.mark.parametrize("clock_mhz", [0, -1, 5, 99_999, float("inf"), float("nan"), "fast"])
def test_an_impossible_clock(natdeploy: Cli, write: Callable[..., Path], clock_mhz: Any) -> None:
    path = write(clusters=[{**PROFILE["clusters"][0], "clock_mhz": clock_mhz}])  # type: ignore[index]
    fails(natdeploy("devices", path), 2, "stand-in.yaml: field 'clusters.0.clock_mhz'")


def test_two_profiles_with_one_name(natdeploy: Cli, own_home: Path) -> None:
    folder = own_home / "hwprofiles"
    folder.mkdir(parents=True)
    for suffix in ("yaml", "yml"):
        (folder / f"stand-in.{suffix}").write_text(yaml.safe_dump(PROFILE))
    fails(natdeploy("devices"), 2, "two profiles are named 'stand-in'", "remove one of them")


def test_a_device_of_another_interface(natdeploy: Cli, phone: Phone, write: Callable[..., Path]) -> None:
    phone.change("getprop", "arm64-v8a,armeabi-v7a,armeabi", "x86_64,x86")
    found = profiling(natdeploy, write())
    fails(found, 3, "adb device 'R58M123': its binary interfaces are x86_64, x86, the profile's is arm64-v8a")
    assert not phone.left() and not phone.processes()


@pytest.mark.parametrize(
    ("switch", "expected"),
    [
        ("full", "adb device 'R58M123': the device's disk is full"),
        ("noise", "expected model_run's JSON, found 'WARNING: linker"),
        ("hang", "adb device 'R58M123': no answer after"),
    ],
)
def test_a_device_that_fails(
    natdeploy: Cli,
    phone: Phone,
    write: Callable[..., Path],
    switch: str,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if switch == "hang":
        monkeypatch.setattr(connection, "CONNECT_LIMIT_S", 4.0)
    phone.switch(switch)
    fails(profiling(natdeploy, write()), 3, expected, "; ")
    assert not phone.left() and not phone.processes()


def test_an_adb_that_hangs(
    natdeploy: Cli, phone: Phone, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adb, "_LIST_LIMIT_S", 2.0)
    (phone.folder.parent / "hang").touch()
    fails(profiling(natdeploy, write()), 3, "adb: no answer after 2 s; try: adb kill-server")


@pytest.mark.parametrize("unit", [";rm -rf x", "$(rm -rf x)", "`rm -rf x`", "a'b", "-rf"])
def test_a_serial_never_reaches_a_shell(
    natdeploy: Cli,
    phone: Phone,
    write: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    unit: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").touch()
    fails(profiling(natdeploy, write(), f"--unit={unit}"), 3, f"adb device {unit!r}: adb sees 'R58M123'")
    assert (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("reach", "expected"),
    [
        ({"via": ["ssh"], "ssh": {"host": "127.0.0.1", "port": 1}}, "ssh device '127.0.0.1:1': "),
        ({"via": ["tvm-rpc"], "tvm_rpc": {"port": 1}}, "TVM RPC tracker 127.0.0.1:1: nothing listens there"),
    ],
)
def test_a_board_or_a_tracker_that_is_not_there(
    natdeploy: Cli, phone: Phone, write: Callable[..., Path], reach: dict[str, Any], expected: str
) -> None:
    fails(profiling(natdeploy, write(reach=reach)), 3, expected)


def test_nothing_of_natdeploys_listens() -> None:
    """A watched report is a file; trackers, servers and workers are those of TVM, Ray and torch."""
    calls = [
        f"{path}: {node.func.attr}"
        for path in Path(package.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        if node.func.attr in ("listen", "serve_forever", "create_server", "start_server", "start_unix_server")
    ]
    assert calls == []
