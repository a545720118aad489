"""Phones of the stand-in for adb, which is named so: ``stand_in_adb``."""

import os
import re
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ADB = str(Path(__file__).with_name("stand_in_adb"))

_GETPROP = """#!/bin/sh
echo "[init.svc.adbd]: [running]"
echo "[ro.product.cpu.abilist]: [arm64-v8a,armeabi-v7a,armeabi]"
echo "[ro.product.model]: [Stand-in 4]"
"""
_DUMPSYS = """#!/bin/sh
case $1 in
  battery) printf 'Current Battery Service state:\\n  AC powered: false\\n  USB powered: true\\n  level: 83\\n'
           printf '  temperature: 291\\n' ;;
  power) printf '  mWakefulness=Asleep\\nDisplay Power: state=OFF\\n' ;;
esac
"""
_UNAME = "#!/bin/sh\necho aarch64\n"


@dataclass(frozen=True)
class Phone:
    serial: str
    folder: Path

    def program(self, name: str, text: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(text)
        path.chmod(0o755)

    def change(self, name: str, old: str, new: str) -> None:
        text = (self.folder / "bin" / name).read_text()
        assert old in text
        self.program(name, text.replace(old, new))

    def switch(self, failure: str) -> None:
        (self.folder / failure).touch()

    def left(self) -> list[str]:
        """Files in its scratch folder."""
        return [str(path.relative_to(self.folder)) for path in (self.folder / "tmp").rglob("*")]

    def processes(self) -> list[int]:
        """What runs on it."""
        return [pid for pid in everything() if str(self.folder / "tmp") in command_and_folder(pid)]

    def stop(self, with_signal: signal.Signals) -> None:
        pids = self.processes()
        assert pids
        send(pids, with_signal)

    def end(self) -> None:
        """Kill what still runs on it, if anything does."""
        send(self.processes(), signal.SIGKILL)


def make_phone(root: Path, serial: str, state: str = "device") -> Phone:
    folder = root / re.sub("[^A-Za-z0-9-]", "_", serial)
    for name in ("tmp", "bin"):
        (folder / name).mkdir(parents=True)
    phone = Phone(serial, folder)
    for name, text in (("getprop", _GETPROP), ("dumpsys", _DUMPSYS), ("uname", _UNAME)):
        phone.program(name, text)
    with open(root / "devices", "a") as file:
        file.write(f"{serial}\t{state}\n")
    return phone


def send(pids: list[int], with_signal: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, with_signal)


def everything() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def command_and_folder(pid: int) -> str:
    """The command line and the folder of a process that has not ended."""
    try:
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return ""
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace") + os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return ""


def wait_until(condition, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)
