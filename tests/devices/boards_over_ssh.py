"""A real sshd on loopback, with keys of its own."""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

SHELL = Path(__file__).with_name("stand_in_shell")


class Board:
    """An ssh server whose devices' folder is ``tmp``.

    Args:
        folder: for everything it needs.
        shell: variables of the stand-in for a login shell; None for the user's own shell.
    """

    def __init__(self, folder: Path, shell: dict[str, str] | None = None) -> None:
        self.folder, self.tmp = folder, folder / "tmp"
        self.tmp.mkdir(parents=True)
        program = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:" + os.environ["PATH"])
        if program is None or shutil.which("ssh") is None:
            pytest.skip("no OpenSSH server and client here (Debian: apt install openssh-server openssh-client)")
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        for name in ("host", "user"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        shutil.copyfile(folder / "user.pub", folder / "authorized")
        for _ in range(3):  # between finding a port and binding it, that may become another program's
            self._start(program, shell)
            if self._answers():
                return
            self._log.close()
        pytest.skip(f"sshd does not start here: {(folder / 'log').read_text()[-200:]!r}")

    def _start(self, program: str, shell: dict[str, str] | None) -> None:
        folder = self.folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        key = (folder / "host.pub").read_text().split()[:2]
        self.known_hosts = folder / "known_hosts"
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {' '.join(key)}\n")
        lines = [
            f"Port {self.port}",
            "ListenAddress 127.0.0.1",
            f"HostKey {folder / 'host'}",
            f"AuthorizedKeysFile {folder / 'authorized'}",
            "StrictModes no",
            "PidFile none",
            "UsePAM no",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "PermitRootLogin prohibit-password",
        ]
        if shell is not None:
            lines += [f"ForceCommand {SHELL}", "SetEnv " + " ".join(f'{k}="{v}"' for k, v in shell.items())]
        (folder / "config").write_text("\n".join(lines) + "\n")
        self._log = open(folder / "log", "wb")  # noqa: SIM115 - closed in close()
        command = [program, "-D", "-e", "-f", str(folder / "config")]
        self._server = subprocess.Popen(command, stdout=self._log, stderr=self._log)

    def reach(self) -> dict[str, Any]:
        """Arguments of a runner."""
        return {
            "host": "127.0.0.1",
            "user": getpass.getuser(),
            "port": self.port,
            "key": self.folder / "user",
            "known_hosts": self.known_hosts,
            "folder": str(self.tmp),
        }

    def sessions(self) -> list[int]:
        """Processes that serve connections, and what runs in them."""
        parents = {}
        for path in Path("/proc").iterdir():
            with suppress(OSError):
                fields = (path / "stat").read_text().rpartition(")")[2].split() if path.name.isdigit() else ["Z", "0"]
                if fields[0] != "Z":
                    parents[int(path.name)] = int(fields[1])
        found = [self._server.pid]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found[1:]

    def send(self, with_signal: signal.Signals) -> None:
        """Freeze or kill all connections."""
        for pid in self.sessions():
            with suppress(ProcessLookupError):
                os.kill(pid, with_signal)

    def freeze_server(self) -> None:
        self._server.send_signal(signal.SIGSTOP)

    def close(self) -> None:
        self.send(signal.SIGKILL)
        self._server.kill()
        self._server.wait()
        self._log.close()

    def left(self) -> list[Path]:
        return list(self.tmp.rglob("*"))

    def _answers(self) -> bool:
        """Wait until the server listens; False where it has ended."""
        while self._server.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return True
            time.sleep(0.05)
        return False
