"""Linux boards and servers behind OpenSSH, through the system's own client and its configuration."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shlex
import shutil
import tempfile
from pathlib import Path

from natdeploy.devices.commands import CommandTimeout, Finished, run_command
from natdeploy.devices.link import Command
from natdeploy.ground.errors import BadInput, DeviceNotReachable

#: No option, nothing that a shell or OpenSSH's own configuration would expand.
_WORD = re.compile(r"[A-Za-z0-9_\[][A-Za-z0-9._:@\[\]-]*")
#: Longest path of a socket that OpenSSH can make, with what it appends while it does.
_SOCKET_PATH = 80
_ADVICE = (
    ("Permission denied", "add your key there (ssh-copy-id), or name the key in the profile; no password is asked for"),
    ("Host key verification failed", "log in once by hand, so that its host key is known"),
    ("Could not resolve", "check the host's name"),
    ("Name or service not known", "check the host's name"),
    ("Connection refused", "start its ssh server, or check the port"),
    ("not accessible", "check the key file of the profile"),
)
_GENERAL_ADVICE = "check that it is switched on and that you can log in with ssh"


class SshLink:
    """OpenSSH's client for one host: one connection, which the guard's command holds and the others share.

    Files go through ``cat``: many boards have no SFTP server, and there is no second syntax of paths to quote for.

    Args:
        host: name, address, or alias of the user's own configuration.
        user: who to log in as.
        port: TCP port.
        key: private key file.
        known_hosts: file of known host keys, in place of the user's own.
        folder: folder on the device below which scratch folders are made.

    What is None is up to OpenSSH's configuration. Raises BadInput for a host or user that is none, DeviceNotReachable
    where ssh is not installed.
    """

    via = "ssh"

    def __init__(
        self,
        host: str,
        *,
        user: str | None = None,
        port: int | None = None,
        key: Path | None = None,
        known_hosts: Path | None = None,
        folder: str = "/tmp",
    ) -> None:
        for field, value in (("host", host), ("user", user)):
            if value is not None and not _WORD.fullmatch(value):
                raise BadInput(f"ssh: {field} {value!r} is none: expected letters, digits and . _ : @ -")
        found = shutil.which("ssh")
        if found is None:
            raise DeviceNotReachable("ssh: not installed (Debian and Ubuntu: apt install openssh-client)")
        self.folder = folder
        self.unit = (f"{user}@" if user else "") + host + (f":{port}" if port else "")
        name = f"natdeploy-{secrets.token_hex(8)}.sock"
        socket = Path(tempfile.gettempdir()) / name
        self._socket = socket if len(str(socket)) <= _SOCKET_PATH else Path("/tmp") / name
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": "5",
            "ServerAliveInterval": "3",
            "ServerAliveCountMax": "2",
            "RequestTTY": "no",
            "LogLevel": "ERROR",
            "ForwardAgent": "no",
            "ForwardX11": "no",
            "ClearAllForwardings": "yes",
            "PermitLocalCommand": "no",
            "ControlPersist": "no",
            "ControlPath": str(self._socket),
        }
        if known_hosts is not None:
            options["UserKnownHostsFile"] = f'"{known_hosts}"'
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        words += ["-p", str(port)] if port else []
        words += ["-l", user] if user else []
        words += ["-i", str(Path(key).expanduser())] if key else []
        self._ssh, self._words, self._host = found, tuple(words), host

    def check(self) -> None:
        """Connecting tells; there is nothing to ask before."""

    def guard(self, script: str) -> Command:
        """The command that opens the connection."""
        return self._command("ControlMaster=yes", script)

    def shell(self, script: str) -> Command:
        """A command over the guard's connection; without that there is none, instead of a second one."""
        return self._command("ControlMaster=no", script, "-o", "ProxyCommand=false")

    def push(self, local: Path, remote: str) -> Command:
        """A file through ``cat``."""
        return Command(self.shell(f"cat > {shlex.quote(remote)}").argv, local)

    def failure(self, status: int, stderr: str) -> DeviceNotReachable | None:
        """OpenSSH's own failures have status 255."""
        if status != 255:
            return None
        said = Finished(status, b"", stderr).complaint if stderr.strip() else "the connection was lost"
        advice = next((text for key, text in _ADVICE if key in stderr), _GENERAL_ADVICE)
        return DeviceNotReachable(f"ssh device {self.unit!r}: {said.rstrip('.')}; {advice}")

    def toolchain(self) -> dict[str, str]:
        """OpenSSH's version."""
        with contextlib.suppress(OSError, CommandTimeout):
            return {"ssh": run_command([self._ssh, "-V"], timeout_s=5).complaint.partition(",")[0]}
        return {"ssh": "unknown"}

    def close(self) -> None:
        """Remove the socket of a connection that was cut off."""
        with contextlib.suppress(OSError):
            os.unlink(self._socket)

    def _command(self, master: str, script: str, *words: str) -> Command:
        # The user's login shell may be any; the one word that it gets is a POSIX shell with the script.
        remote = f"exec sh -c {shlex.quote(script)}"
        return Command((self._ssh, *self._words, "-o", master, *words, "--", self._host, remote))
