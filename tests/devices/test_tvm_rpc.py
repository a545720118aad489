"""Over TVM's own tracker and servers on loopback: what works, and every way in which it may not."""

import os
import platform
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from natdeploy.compiler import Artifact
from natdeploy.devices import tvm_rpc
from natdeploy.devices.connect import connect
from natdeploy.devices.profile import HardwareProfile, parse_profile
from natdeploy.devices.rpc_tracker import check_tracker
from natdeploy.devices.runner import Series
from natdeploy.ground.errors import DeviceNotReachable
from tests.devices.boards import image, reference
from tests.devices.phones import wait_until
from tests.devices.rpc_farm import HOST, Farm, free_port, start_farm, stop

pytest.importorskip("tornado", reason="TVM's tracker and server need tornado")
#: A device that fails says so within seconds, not minutes; importing TVM is this machine's time, not the device's.
LIMIT_S = 60.0


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    farm = start_farm(tmp_path_factory.mktemp("farm"))
    yield farm
    farm.close()


def board(port: int, key: str, **more: object) -> HardwareProfile:
    processors = sorted(os.sched_getaffinity(0))[:1]
    core = {
        "name": "cpu",
        "core": "x",
        "cores": 1,
        "processors": processors,
        "vector_bits": 256,
        "llvm_cpu": "x86-64-v3",
    }
    reach = {"via": ["tvm-rpc"], "tvm_rpc": {"host": HOST, "port": port, "key": key, **more}}
    value = {"name": "board", "title": "Board", "llvm_triple": f"{platform.machine()}-linux-gnu", "runtimes": ["tvm"]}
    return parse_profile({**value, "clusters": [core], "reach": reach}, "board.yaml")


def test_runs_and_times_what_adb_and_ssh_do(farm: Farm, here: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    server = farm.server("fine")
    runner = connect(board(farm.port, "fine"))
    try:
        said = runner.describe()
        assert (said.via, said.machine) == ("tvm-rpc", platform.machine())
        assert said.unit.startswith(f"fine@{platform.node()}-")
        session = runner.open(here)
        np.testing.assert_allclose(session.run(image()), reference(image()), rtol=1e-4, atol=1e-4)
        (one, other) = runner.time_turn([Series(session, 3, 1), Series(session, 2, 0)], limit_s=60)  # type: ignore[attr-defined]
        assert len(one.milliseconds) == 3 and len(other.milliseconds) == 2 and min(one.milliseconds) > 0
        assert one.peak_rss_kib and farm.scratch()
        monkeypatch.setattr(tvm_rpc, "_REQUEST_LIMIT_S", 2.0)
        with pytest.raises(DeviceNotReachable, match=r"no server of the key is free, or it does not answer, after 2 s"):
            connect(board(farm.port, "fine"))
    finally:
        runner.close()
    wait_until(lambda: not farm.scratch())
    stop(server)


@pytest.mark.parametrize("with_signal", [signal.SIGSTOP, signal.SIGKILL])
def test_a_server_that_freezes_or_dies_in_a_long_run(farm: Farm, here: Artifact, with_signal: signal.Signals) -> None:
    server = farm.server(f"doomed-{with_signal.name}")
    runner = connect(board(farm.port, f"doomed-{with_signal.name}"), test_only_clock=lambda repeats: [1.0] * repeats)
    session = runner.open(here)
    struck: list[float] = []

    def strike() -> None:
        wait_until(lambda: list(farm.folder.rglob("*.pid")))
        struck.append(time.monotonic())
        os.killpg(server.pid, with_signal)

    thread = threading.Thread(target=strike)
    thread.start()
    try:
        with pytest.raises(DeviceNotReachable, match=r"(no answer after 6 s; check|the connection was lost \()"):
            session.time_ms(1_000_000, image())
        assert time.monotonic() - struck[0] < LIMIT_S
        runner.close()
    finally:
        thread.join()
        stop(server)


def test_a_session_that_is_over_says_so(farm: Farm) -> None:
    server = farm.server("brief")
    runner = connect(board(farm.port, "brief", session_timeout_s=8))
    scratch = Path(runner.connection.scratch)  # type: ignore[attr-defined]
    assert scratch.is_dir()
    with pytest.raises(
        DeviceNotReachable, match=r"its session of 8 s is over; raise field 'reach.tvm_rpc.session_time"
    ):
        for _ in range(120):
            runner.describe()
            time.sleep(0.5)
    runner.close()
    wait_until(lambda: not scratch.exists())
    stop(server)


def test_an_unknown_key(farm: Farm) -> None:
    started = time.monotonic()
    with pytest.raises(
        DeviceNotReachable, match=rf"no server of key 'nobody', .*rpc_server --tracker {HOST}:\d+ --key"
    ):
        connect(board(farm.port, "nobody"))
    assert time.monotonic() - started < LIMIT_S


def test_no_tracker_and_what_is_none() -> None:
    with pytest.raises(DeviceNotReachable, match=r"nothing listens there; start it: python -m tvm.exec.rpc_tracker"):
        check_tracker(HOST, free_port(), "any", 3)
    started = time.monotonic()
    with socket.create_server((HOST, 0)) as silent:  # as one that was stopped: the system still accepts
        with pytest.raises(DeviceNotReachable, match="no answer after 1 s"):
            check_tracker(HOST, silent.getsockname()[1], "any", 1)
        silent.accept()[0].close()  # the one that gave up, before another thread may take it for the next
        thread = threading.Thread(target=lambda: silent.accept()[0].sendall(b"SSH-2.0-OpenSSH\n"))
        thread.start()
        with pytest.raises(DeviceNotReachable, match="what answers is no TVM RPC tracker"):
            check_tracker(HOST, silent.getsockname()[1], "any", 3)
        thread.join()
    assert time.monotonic() - started < LIMIT_S
    with pytest.raises(DeviceNotReachable, match="check host, port and network"):
        check_tracker("no-such-host.invalid", 9190, "any", 3)


def test_a_tracker_that_is_frozen(tmp_path: Path) -> None:
    farm = start_farm(tmp_path)
    os.killpg(farm.tracker.pid, signal.SIGSTOP)
    started = time.monotonic()
    try:
        with pytest.raises(DeviceNotReachable, match="no answer after 3 s; start it again"):
            connect(board(farm.port, "any"))
        assert time.monotonic() - started < LIMIT_S
    finally:
        stop(farm.tracker)
