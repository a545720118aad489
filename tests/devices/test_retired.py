"""A device whose timings are retired goes on under another fingerprint."""

from pathlib import Path

import pytest

from natdeploy.compiler import tuning_of
from natdeploy.devices import device_fingerprint, hardware_fingerprint, load_profile
from natdeploy.devices.retired import fingerprint_in_use, is_retired, retire
from natdeploy.ground.errors import BadInput


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_each_retirement_leads_to_a_fingerprint_of_its_own() -> None:
    first = "0123456789abcdef"
    assert fingerprint_in_use(first) == first and not is_retired(first)
    second = retire(first)
    assert fingerprint_in_use(first) == fingerprint_in_use(second) == second
    third = retire(second)
    assert len({first, second, third}) == 3 and {len(first), len(second), len(third)} == {16}
    assert [is_retired(one) for one in (first, second, third)] == [True, True, False]
    assert retire(first) == third  # as before: it was retired already


def test_a_devices_timings_are_told_apart_and_its_hardware_is_not() -> None:
    phone, other = load_profile("pixel4"), load_profile("pixel1")
    before, tiles = device_fingerprint(phone), tuning_of(phone).folder
    assert before == hardware_fingerprint(phone)
    retire(before)
    assert device_fingerprint(phone) != before == hardware_fingerprint(phone)
    assert tuning_of(phone).folder == tiles  # tiles were compared with each other
    assert device_fingerprint(other) == hardware_fingerprint(other)


def test_a_home_that_cannot_be_written_is_one_line(home: Path) -> None:
    home.write_text("a file")
    with pytest.raises(BadInput, match="cannot write here"):
        retire("0123456789abcdef")
