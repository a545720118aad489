"""What natdeploy can do on which operating system, said before anything is tried."""

from __future__ import annotations

import platform

from natdeploy.ground.errors import BadInput, DeviceNotReachable


def refuse_unknown_system() -> None:
    """Raise BadInput where natdeploy cannot work at all: its child processes and locks need a POSIX system."""
    if platform.system() == "Windows":
        raise BadInput(
            "natdeploy does not run on Windows itself; run it in WSL 2 (learn.microsoft.com/windows/wsl), which is "
            "Linux; a bundle's run.py and model.onnx work on Windows, with ONNX Runtime"
        )


def need_linux(what: str) -> None:
    """Raise DeviceNotReachable unless this is Linux: compiled libraries are ELF, processors are read from ``/proc``.

    Args:
        what: what was asked for, as the message's subject.
    """
    if (system := platform.system()) != "Linux":
        name = "macOS" if system == "Darwin" else system
        raise DeviceNotReachable(
            f"{what} needs Linux, this is {name}; here natdeploy searches for other devices (--device pixel4) and "
            "reports; for the rest use a Linux machine, a virtual one, or a container"
        )
