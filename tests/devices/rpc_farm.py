"""TVM's own tracker and servers, as processes on loopback."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from natdeploy.devices.rpc_tracker import check_tracker
from natdeploy.ground.errors import DeviceNotReachable
from tests.devices.phones import wait_until

HOST = "127.0.0.1"


@dataclass
class Farm:
    """A tracker, and what it was told of servers."""

    port: int
    tracker: subprocess.Popen
    folder: Path
    servers: list[subprocess.Popen] = field(default_factory=list)

    def server(self, key: str) -> subprocess.Popen:
        port = free_port()
        words = ["--port", str(port), "--port-end", str(port + 50), "--tracker", f"{HOST}:{self.port}", "--key", key]
        process = start("rpc_server", *words, folder=self.folder)
        self.servers.append(process)
        wait_until(lambda: process.poll() is not None or self.has(key), 120)
        assert process.poll() is None, "the server did not start"
        return process

    def close(self) -> None:
        """End everything, also what a test that failed has left."""
        for process in (*self.servers, self.tracker):
            stop(process)

    def has(self, key: str) -> bool:
        try:
            check_tracker(HOST, self.port, key, 3)
        except DeviceNotReachable:
            return False
        return True

    def scratch(self) -> list[str]:
        """What sessions left on the device."""
        return [str(path) for path in self.folder.rglob("natdeploy-*") if path.is_dir()]


def start_farm(folder: Path) -> Farm:
    for _ in range(3):  # while TVM is imported, the port may become another program's
        port = free_port()
        tracker = start("rpc_tracker", "--port", str(port), "--port-end", str(port + 1), folder=folder)
        wait_until(lambda port=port, tracker=tracker: tracker.poll() is not None or listens(port), 120)
        if tracker.poll() is None:
            return Farm(port, tracker, folder)
    raise AssertionError("the tracker did not start")


def start(program: str, *words: str, folder: Path) -> subprocess.Popen:
    """In a process group of its own, with its temporary files in a folder of the test's, as on a board: without torch,
    which TVM would import wherever it starts a process."""
    (folder / "board").mkdir(exist_ok=True)
    (folder / "board" / "torch.py").write_text("raise ImportError('a board has no torch')\n")
    path = os.pathsep.join(filter(None, (str(folder / "board"), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": path}
    command = [sys.executable, "-m", f"tvm.exec.{program}", "--host", HOST, *words]
    with open(folder / f"{program}.log", "ab") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)


def stop(process: subprocess.Popen) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def free_port() -> int:
    with socket.socket() as one:
        one.bind((HOST, 0))
        return int(one.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex((HOST, port)) == 0
