"""The runner for OpenSSH, against a real sshd on loopback."""

import os
import platform
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from natdeploy.compiler import Artifact
from natdeploy.devices.expected import Expected
from natdeploy.devices.remote_run import RemoteRunner
from natdeploy.devices.ssh import SshLink
from natdeploy.ground.errors import BadInput, DeviceNotReachable, TimingNotPossible
from tests.devices.boards import emulator, image, reference
from tests.devices.boards_over_ssh import Board
from tests.devices.phones import wait_until

#: A connection that fails says so within seconds, not minutes; a busy machine needs some more to start the processes.
LIMIT_S = 60.0


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """This machine's folder for temporary files; short, because sockets are made in it."""
    folder = Path("/tmp") / f"ssh-{os.getpid()}-{time.monotonic_ns()}"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    yield folder
    left = list(folder.iterdir())
    assert not left
    folder.rmdir()


@pytest.fixture
def make_board(tmp_path: Path, temporary: Path) -> Iterator[Callable[..., Board]]:
    boards: list[Board] = []

    def make(**shell: str) -> Board:
        boards.append(Board(tmp_path / f"board{len(boards)}", shell or None))
        return boards[-1]

    yield make
    for board in boards:
        board.close()


def nothing_is_left(board: Board) -> bool:
    return not board.left() and not board.sessions()


def test_runs_and_times_on_this_machine_over_ssh(make_board: Callable[..., Board], here: Artifact) -> None:
    board = make_board()
    runner = RemoteRunner(SshLink(**board.reach()), expected=Expected(machine=platform.machine()))
    said = runner.describe()
    assert (said.via, said.unit) == ("ssh", f"{board.reach()['user']}@127.0.0.1:{board.port}")
    assert said.machine == platform.machine() and said.clock == "device"
    assert runner.toolchain()["ssh"].startswith("OpenSSH")
    session = runner.open(here)
    for seed in range(2):
        np.testing.assert_allclose(session.run(image(seed)), reference(image(seed)), rtol=1e-4, atol=1e-4)
    if said.emulated:  # then it must not be timed
        with pytest.raises(TimingNotPossible):
            session.time_ms(5, image())
    else:
        times = session.time_ms(5, image())
        assert len(times) == 5 and all(time > 0 for time in times) and len(set(times)) > 1
    session.close()
    runner.close()
    wait_until(lambda: nothing_is_left(board))


def test_an_emulated_board_runs_and_is_not_timed(make_board: Callable[..., Board], aarch64: Artifact) -> None:
    board = make_board(QEMU=emulator("aarch64"))
    runner = RemoteRunner(SshLink(**board.reach()))
    session = runner.open(aarch64)
    np.testing.assert_allclose(session.run(image()), reference(image()), rtol=1e-4, atol=1e-4)
    if platform.machine() == "x86_64":
        with pytest.raises(TimingNotPossible, match="it says x86_64, and executables for aarch64 run on it"):
            session.time_ms(3, image())
    runner.close()
    timed = RemoteRunner(SshLink(**board.reach()), test_only_clock=lambda repeats: [2.0] * repeats)
    assert timed.open(aarch64).time_ms(3, image()) == [2.0] * 3
    timed.close()
    wait_until(lambda: nothing_is_left(board))


def test_another_machine_is_refused(make_board: Callable[..., Board], arm: Artifact) -> None:
    board = make_board()
    with pytest.raises(DeviceNotReachable, match="the profile's is riscv64; choose the profile of this device"):
        RemoteRunner(SshLink(**board.reach()), expected=Expected(machine="riscv64"))
    runner = RemoteRunner(SshLink(**board.reach()))
    with pytest.raises(DeviceNotReachable, match=r"cannot run .*model_run, built for armv7l"):
        runner.open(arm)
    runner.close()
    wait_until(lambda: nothing_is_left(board))


def test_refusals_of_the_server(make_board: Callable[..., Board], tmp_path: Path) -> None:
    board = make_board()
    reach = board.reach()
    with pytest.raises(DeviceNotReachable, match=r"Permission denied .*; add your key there"):
        RemoteRunner(SshLink(**reach | {"key": board.folder / "host"}))
    with pytest.raises(DeviceNotReachable, match="log in once by hand"):
        RemoteRunner(SshLink(**reach | {"known_hosts": tmp_path / "none"}))
    with pytest.raises(DeviceNotReachable, match=r"no scratch folder can be made in /nowhere: .*No such file"):
        RemoteRunner(SshLink(**reach | {"folder": "/nowhere"}))
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        with pytest.raises(DeviceNotReachable, match="Connection refused; start its ssh server") as caught:
            RemoteRunner(SshLink(**reach | {"port": silent.getsockname()[1]}))
        assert caught.value.exit_code == 3 and "\n" not in str(caught.value)


def test_a_server_that_says_nothing_is_given_up(temporary: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        started = time.monotonic()
        with pytest.raises(DeviceNotReachable, match=r"ssh device '127\.0\.0\.1:"):
            RemoteRunner(SshLink("127.0.0.1", port=silent.getsockname()[1]))
        assert time.monotonic() - started < LIMIT_S


@pytest.mark.parametrize("word", [";rm -rf x", "-oProxyCommand=touch x", "$(touch x)", "a b", "", "a\nb"])
def test_hosts_and_users_are_words(word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match=r"ssh: host .* is none: expected letters"):
        SshLink(word)
    with pytest.raises(BadInput, match=r"ssh: user .* is none: expected letters"):
        SshLink("127.0.0.1", user=word)
    assert not list(tmp_path.iterdir())


def test_a_scratch_folder_with_odd_signs_is_quoted(make_board: Callable[..., Board], here: Artifact) -> None:
    board = make_board()
    folder = board.tmp / "a $(touch x) 'b' ;c"
    folder.mkdir()
    runner = RemoteRunner(SshLink(**board.reach() | {"folder": str(folder)}))
    assert np.isfinite(runner.open(here).run(image())).all()
    runner.close()
    assert board.left() == [folder]


def test_a_greeting_is_told_from_the_result(make_board: Callable[..., Board], here: Artifact) -> None:
    board = make_board(GREETING="Welcome!", QEMU="")
    runner = RemoteRunner(SshLink(**board.reach()))
    with pytest.raises(DeviceNotReachable, match=r"says 'Welcome!.*let its shell's start-up files print nothing"):
        runner.open(here)
    runner.close()


def test_a_full_disk_is_said(make_board: Callable[..., Board], here: Artifact) -> None:
    board = make_board()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32k", "small", str(board.tmp)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        runner = RemoteRunner(SshLink(**board.reach()))
        with pytest.raises(DeviceNotReachable, match=r"the device's disk is full .*; free some space on it"):
            runner.open(here)
        runner.close()
        wait_until(lambda: nothing_is_left(board))
    finally:
        subprocess.run(["umount", str(board.tmp)], check=True)


@pytest.mark.parametrize("with_signal", [signal.SIGSTOP, signal.SIGKILL])
def test_a_connection_that_freezes_or_dies_in_a_long_run(
    make_board: Callable[..., Board], here: Artifact, with_signal: signal.Signals
) -> None:
    board = make_board()
    runner = RemoteRunner(SshLink(**board.reach()), test_only_clock=lambda repeats: [1.0] * repeats)
    session = runner.open(here)
    stopped: list[float] = []

    def stop() -> None:
        wait_until(lambda: list(board.tmp.glob("*/*.pid")))
        board.send(with_signal)
        stopped.append(time.monotonic())

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(DeviceNotReachable, match=r"ssh device '.*': .*(no answer|lost|closed|timeout|reset|Broken)"):
        session.time_ms(1_000_000, image())
    runner.close()
    thread.join()
    assert time.monotonic() - stopped[0] < LIMIT_S
    board.send(signal.SIGKILL)  # what froze with it
    RemoteRunner(SshLink(**board.reach())).close()  # removes what the device could not
    wait_until(lambda: nothing_is_left(board))


def test_a_crash_of_natdeploy_leaves_nothing(make_board: Callable[..., Board], here: Artifact, temporary: Path) -> None:
    board = make_board()
    program = (
        "import numpy as np\n"
        "from natdeploy.compiler import Artifact\n"
        "from natdeploy.devices.remote_run import RemoteRunner\n"
        "from natdeploy.devices.ssh import SshLink\n"
        "from pathlib import Path, PosixPath\n"
        f"artifact = Artifact('executable', Path({str(here.path)!r}), {here.digest!r}, (1, 3, 8, 8), (1, 5), {{}})\n"
        f"runner = RemoteRunner(SshLink(**{board.reach()!r}), test_only_clock=lambda repeats: [1.0] * repeats)\n"
        "runner.open(artifact).time_ms(1_000_000, np.zeros((1, 3, 8, 8), np.float32))\n"
    )
    environment = os.environ | {"TMPDIR": str(temporary), "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", program], env=environment)
    wait_until(lambda: list(board.tmp.glob("*/*.pid")), 60)
    process.kill()
    process.wait()
    wait_until(lambda: nothing_is_left(board) and not list(temporary.iterdir()), LIMIT_S)
