"""``natdeploy devices``: the list, one profile, and profiles of one's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from natdeploy.cli.main import app
from natdeploy.devices import load_profile, profile_paths

BOARD = "aarch64\nprocessor : 0\nFeatures : fp asimd asimddp\nCPU implementer : 0x41\nCPU part : 0xd0b\n"


@pytest.fixture
def facts(tmp_path: Path) -> Path:
    path = tmp_path / "facts.txt"
    path.write_text(BOARD)
    return path


def test_the_list_names_every_profile_once_by_kind(natdeploy) -> None:
    shown = natdeploy("devices").stdout
    lines = shown.splitlines()
    for name in profile_paths():
        assert sum(f"│ {name} " in line for line in lines) == 1, name
    assert shown.index("This machine") < shown.index("Phones, behind adb") < shown.index("pixel4")
    assert "Your own profiles" not in shown


def test_a_profile_of_ones_own_is_written_listed_and_shown(natdeploy, facts: Path, own_home: Path) -> None:
    result = natdeploy("devices", "add", "board", "--from", facts, "--title", "Mine", "--set", "memory.gib=8", "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["path"] == str(own_home / "hwprofiles" / "board.yaml")
    assert "clusters.0.clock_mhz" in found["unknown"] and found["hides"] is None
    assert (load_profile("board").title, load_profile("board").memory.gib) == ("Mine", 8)
    listed = natdeploy("devices").stdout
    assert listed.startswith("Your own profiles") and "│ board " in listed
    shown = natdeploy("devices", "board").stdout
    assert "board: Mine" in shown and "Cortex-A76" in shown and "reached by: ssh" in shown
    assert natdeploy("devices", "show", "board").stdout == shown
    for args in (("devices", "board", "--json"), ("devices", "--json", "board")):
        (one,) = json.loads(natdeploy(*args).stdout)["devices"]
        assert (one["name"], one["own"], one["here"]) == ("board", True, False)


def test_nothing_of_the_users_is_overwritten_unasked(natdeploy, facts: Path, own_home: Path) -> None:
    assert natdeploy("devices", "add", "rpi5", "--from", facts).stdout.count("hides the shipped profile") == 1
    before = (own_home / "hwprofiles" / "rpi5.yaml").read_text()
    again = natdeploy("devices", "add", "rpi5", "--from", facts, "--title", "Other")
    assert again.exit_code == 2 and "--force" in again.stderr and len(again.stderr.splitlines()) == 1
    assert (own_home / "hwprofiles" / "rpi5.yaml").read_text() == before
    assert natdeploy("devices", "add", "rpi5", "--from", facts, "--title", "Other", "--force").exit_code == 0
    assert load_profile("rpi5").title == "Other"


def test_facts_come_through_standard_input_too(own_home: Path) -> None:
    result = CliRunner().invoke(app, ["devices", "add", "piped", "--from", "-"], input=BOARD)
    assert result.exit_code == 0 and load_profile("piped").timed_cluster.core == "Cortex-A76"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("add", "board"), "nobody to ask"),
        (("add", "board", "--from", "/nope"), "/nope"),
        (("add", "Board", "--from", "local"), "'name'"),
        (("add", "board", "--from", "FACTS", "--set", "clusters.0.clock_mhz=2.4"), "'clusters.0.clock_mhz'"),
        (("add", "board", "--from", "FACTS", "--set", "colour=red"), "'colour'"),
        (("add", "board", "--from", "FACTS", "--set", "colour"), "FIELD=VALUE"),
        (("show", "nope"), "unknown device 'nope'"),
        (("pixel4", "pixel6"), "pixel6"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    natdeploy, facts: Path, own_home: Path, args: tuple[str, ...], words: str
) -> None:
    result = natdeploy("devices", *(str(facts) if arg == "FACTS" else arg for arg in args))
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1), result.stderr
    assert words in result.stderr and result.stdout == ""
    assert not (own_home / "hwprofiles").exists()


def test_who_is_asked_answers_for_the_device(monkeypatch: pytest.MonkeyPatch, natdeploy) -> None:
    answers = iter(["aarch64", True, "Cortex-X1", 1, 2900.0, "Cortex-A55", 4, 0.0, "", 8.0, "My Phone"])
    monkeypatch.setattr("natdeploy.cli.interview.typer.prompt", lambda *_, **__: next(answers))
    monkeypatch.setattr("natdeploy.cli.interview.typer.confirm", lambda *_, **__: next(answers))
    monkeypatch.setattr(
        "natdeploy.cli.interview.sys", type("Terminal", (), {"stdin": type("T", (), {"isatty": lambda: True})})
    )
    assert natdeploy("devices", "add", "told").exit_code == 0
    profile = load_profile("told")
    assert (profile.title, profile.abi, profile.way().__class__.__name__) == ("My Phone", "arm64-v8a", "Adb")
    assert [(one.core, one.cores, one.clock_mhz) for one in profile.clusters] == [
        ("Cortex-X1", 1, 2900),
        ("Cortex-A55", 4, None),
    ]


@pytest.mark.parametrize("device", ["pixel4", "pixel4-gpu", "iphone15", "rpi5"])
def test_a_device_that_is_not_here_cannot_be_profiled(natdeploy, device: str) -> None:
    result = natdeploy("profile", "--device", device)
    assert (result.exit_code, len(result.stderr.splitlines())) == (3, 1), result.stderr


@pytest.mark.parametrize("device", ["pixel4-gpu", "pixel7", "dgx-a100"])
def test_a_device_of_which_nothing_is_known_is_said_to_be_so_at_once(natdeploy, tmp_path: Path, device: str) -> None:
    """Not here, never timed, and without what a prior takes."""
    result = natdeploy("search", "--latency-ms", "20", "--device", device, "--out", tmp_path / "run")
    said = [line for line in result.stderr.splitlines() if not line.startswith("[")]  # progress does
    assert (result.exit_code, len(said)) == (3, 1), result.stderr
    assert "nor is there a prior" in said[0]
    assert not (tmp_path / "run").exists()
