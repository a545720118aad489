"""Errors a user can cause or meet, each with the exit status that the command line documents.

Messages say which file and field, what was expected and what to do, in one line. Anything that is not one of these
is a defect of natdeploy and keeps its traceback.
"""


class NatdeployError(Exception):
    """Base of all expected errors; ``exit_code`` is the command line's status."""

    exit_code = 1


class BadInput(NatdeployError):
    """A wrong argument, file, field or environment (a full disk, too): exit 2."""

    exit_code = 2


class OutOfMemory(BadInput):
    """Not even the smallest batch of images fits into memory: exit 2."""


class DeviceNotReachable(NatdeployError):
    """The device, or a way to it, is not there: exit 3."""

    exit_code = 3


class TimingNotPossible(DeviceNotReachable):
    """The runner can run the artifact but its clock says nothing about the device (an emulator): exit 3."""


class BudgetNotMet(NatdeployError):
    """No architecture meets the budget: exit 4."""

    exit_code = 4


class VerificationFailed(NatdeployError):
    """An artifact is damaged or disagrees with its source: exit 5."""

    exit_code = 5


class GateFailed(NatdeployError):
    """A comparison with a baseline fell outside its tolerance: exit 6."""

    exit_code = 6


class ChildFailed(NatdeployError):
    """A child process crashed, hung or raised something unexpected; the message carries the end of its output.

    ``signal`` is the number of the signal that it died by, if it did.
    """

    def __init__(self, message: str, signal: int | None = None) -> None:
        super().__init__(message)
        self.signal = signal
