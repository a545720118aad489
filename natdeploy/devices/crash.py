"""What it means that a child process died or hung while it ran an artifact on this machine."""

from __future__ import annotations

import signal
from pathlib import Path

from natdeploy.ground.errors import ChildFailed, DeviceNotReachable, NatdeployError, VerificationFailed


def failed_run(path: Path, error: ChildFailed) -> NatdeployError:
    """The error to raise in place of a child's: DeviceNotReachable where this machine cannot run what was built for
    processors with more instructions, VerificationFailed where the artifact is at fault. Both name its file.
    """
    if error.signal == signal.SIGILL:
        return DeviceNotReachable(
            f"{path}: this machine's processor lacks instructions that it was compiled for; "
            "run it on the device it was built for, or build it for this one"
        )
    return VerificationFailed(f"{path}: cannot be run; {error}; build it again")
