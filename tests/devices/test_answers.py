"""Devices that let wait: asked side by side, and no more of them than may be needed."""

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from natdeploy.devices import answers as rule
from natdeploy.devices import connection, units
from natdeploy.devices.answers import answers, answers_in_turn
from natdeploy.devices.connect import connect
from natdeploy.devices.units import Access, open_units
from natdeploy.ground.errors import BadInput, DeviceNotReachable, TimingNotPossible
from tests.devices.phones import command_and_folder, make_phone, wait_until
from tests.devices.test_connect import profile, root  # noqa: F401 - a folder of phones

ways = sys.modules["natdeploy.devices.connect"]  # the package has a function of that name
#: How long a stand-in waits for what must happen: never so long unless the test fails.
PATIENCE_S = 30.0


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rule, "HEAD_START_S", 0.02)


def nothing(answer: object) -> None:
    raise AssertionError(f"{answer} was dropped")


def test_a_device_that_answers_at_once_is_the_only_one_asked() -> None:
    asked: list[str] = []
    with closing(answers(["a", "b", "c"], lambda name: asked.append(name) or name, nothing)) as found:
        assert next(found) == (0, "a")
    assert asked == ["a"]
    with closing(answers(["a", "b", "c"], lambda name: name, nothing)) as found:
        assert list(found) == [(0, "a"), (1, "b"), (2, "c")]
    assert list(answers([], nothing, nothing)) == []


def test_those_that_let_wait_do_so_together(impatient: None) -> None:
    together = threading.Barrier(4)

    def ask(name: str) -> str:
        together.wait(PATIENCE_S)
        raise DeviceNotReachable(name)

    with closing(answers("abcd", ask, nothing)) as found:
        assert sorted((place, str(error)) for place, error in found) == list(enumerate("abcd"))


def test_as_many_as_are_needed_are_asked_at_once() -> None:
    together = threading.Barrier(3)

    def ask(name: str) -> str:
        together.wait(PATIENCE_S)
        return name

    with closing(answers("abc", ask, nothing, at_once=3)) as found:
        assert sorted(found) == list(enumerate("abc"))


def test_an_answer_that_comes_too_late_is_dropped(impatient: None) -> None:
    let_go, dropped = threading.Event(), threading.Event()

    def ask(name: str) -> str:
        if name == "slow":
            assert let_go.wait(PATIENCE_S)
        return name

    with closing(answers(["slow", "quick"], ask, lambda late: late == "slow" and dropped.set())) as found:
        assert next(found) == (1, "quick")
    let_go.set()
    assert dropped.wait(PATIENCE_S)


def test_what_is_no_refusal_is_raised() -> None:
    def ask(name: str) -> str:
        raise BadInput(name)

    with closing(answers(["a"], ask, nothing)) as found, pytest.raises(BadInput, match="a"):
        next(found)


def test_in_turn_each_is_asked_when_the_one_before_is_done_with() -> None:
    def ask(name: str) -> threading.Thread:
        if name == "b":
            raise DeviceNotReachable(name)
        return threading.current_thread()

    first, second, third = answers_in_turn("abc", ask)
    assert first == (0, threading.current_thread()) and third == (2, threading.current_thread())
    assert str(second[1]) == "b"


def test_attached_phones_that_hang_cost_one_limit(root: Path, impatient: None, monkeypatch) -> None:  # noqa: F811
    monkeypatch.setattr(connection, "CONNECT_LIMIT_S", 1.0)
    for serial in ("A1", "B2", "C3"):
        make_phone(root, serial).switch("hang")
    connected, together = ways._runner, threading.Barrier(3)

    def side_by_side(*given):
        together.wait(PATIENCE_S)
        return connected(*given)

    monkeypatch.setattr(ways, "_runner", side_by_side)
    with pytest.raises(DeviceNotReachable, match=r"none of 3 attached .* last: .* no answer after"):
        connect(profile({"via": ["adb"]}))


def test_a_phone_that_hangs_does_not_keep_the_next_one_waiting(root: Path, impatient: None, monkeypatch) -> None:  # noqa: F811
    make_phone(root, "stuck").switch("hang")
    make_phone(root, "right")
    let_go, connected = threading.Event(), ways._runner

    def hanging(link, *given):
        if link.unit == "stuck":
            assert let_go.wait(PATIENCE_S)
            raise DeviceNotReachable("stuck")
        return connected(link, *given)

    monkeypatch.setattr(ways, "_runner", hanging)
    board = profile({"via": ["adb"]})
    runner = connect(board)
    assert runner.describe().unit == "right"
    runner.close()
    with open_units(board, Access(test_only_clock=lambda runnable, repeats: [1.0] * repeats)) as held:
        assert [unit.describe().unit for unit in held] == ["right"]
    let_go.set()


def test_ctrl_c_ends_at_once_and_leaves_nothing_although_a_phone_hangs(root: Path, tmp_path: Path) -> None:  # noqa: F811
    phone, profiled = make_phone(root, "stuck"), tmp_path / "board.json"
    phone.switch("hang")
    profiled.write_text(json.dumps(profile({"via": ["adb"]}).model_dump(mode="json")))
    program = (
        "import json, signal, sys\n"
        "from pathlib import Path\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background jobs ignore it
        "from natdeploy.devices import connection\n"
        "from natdeploy.devices.connect import connect\n"
        "from natdeploy.devices.profile import parse_profile\n"
        "connection.CONNECT_LIMIT_S = 1000.0\n"
        "connect(parse_profile(json.loads(Path(sys.argv[1]).read_text()), 'board.yaml'))\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(profiled)], env=environment, stderr=subprocess.PIPE, text=True
    )
    wait_until(lambda: hanging_clients(process.pid))
    (hanging,) = hanging_clients(process.pid)
    process.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in process.communicate(timeout=PATIENCE_S)[1]
    wait_until(lambda: not command_and_folder(hanging))


def hanging_clients(pid: int) -> list[int]:
    children = [
        int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()
    ]
    return [child for child in children if command_and_folder(child).startswith("sleep")]


def test_named_units_are_all_connected_to_at_once_and_keep_their_order(root: Path, monkeypatch) -> None:  # noqa: F811
    phones = [make_phone(root, serial) for serial in ("A1", "B2", "C3")]
    together, reached = threading.Barrier(3), units.connect

    def side_by_side(*given, **more):
        together.wait(PATIENCE_S)
        return reached(*given, **more)

    monkeypatch.setattr(units, "connect", side_by_side)
    access = Access(units=("C3", "A1", "B2"), test_only_clock=lambda runnable, repeats: [1.0] * repeats)
    with open_units(profile({"via": ["adb"]}), access) as held:
        assert [unit.describe().unit for unit in held] == ["C3", "A1", "B2"]
    wait_until(lambda: not any(phone.left() for phone in phones))


def test_an_emulator_is_refused_before_it_is_started() -> None:
    with pytest.raises(TimingNotPossible, match="under qemu"), open_units(profile({"via": ["qemu"]}), Access()):
        pass
