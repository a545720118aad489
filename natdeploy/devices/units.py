"""Which units of a device to use, and holding each for one job at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from natdeploy.devices.answers import answers, answers_in_turn
from natdeploy.devices.connect import connect
from natdeploy.devices.profile import HardwareProfile
from natdeploy.devices.reach import Via
from natdeploy.devices.runner import RemoteTimekeeper, Runnable
from natdeploy.ground.errors import BadInput, DeviceNotReachable, TimingNotPossible
from natdeploy.ground.files import cache_root, content_key, readable_disk_errors


@dataclass(frozen=True)
class Access:
    """How to get at a device that is not this machine.

    Attributes:
        via: the way; the profile's preferred one if None.
        units: which ones: serials (adb) or hosts (ssh). All of them are used, each for one job at a time.
        matching: without ``units``: how many attached ones of the profile's kind to use.
        test_only_clock: milliseconds of a number of runs of an artifact, in place of the device's own clock. For tests
            on emulators; what it says is kept apart from real timings by their toolchain.
    """

    via: Via | None = None
    units: tuple[str, ...] = ()
    matching: int = 1
    test_only_clock: Callable[[Runnable, int], list[float]] | None = None

    def __post_init__(self) -> None:
        if self.matching < 1:
            raise BadInput(f"devices: expected at least 1, not {self.matching}")
        if len(set(self.units)) != len(self.units):
            raise BadInput(f"devices: one is named twice in {', '.join(self.units)}")
        if self.units and self.matching not in (1, len(self.units)):
            raise BadInput(f"devices: {len(self.units)} are named, but {self.matching} asked for")

    def check(self, profile: HardwareProfile) -> None:
        """Raise BadInput for a way that a profile does not list, and for any choice of one on this machine."""
        if not profile.is_this_machine:
            profile.way(self.via)
        elif self.via not in (None, "local") or self.units or self.matching > 1:
            raise BadInput(f"device {profile.name!r}: it is this machine; a way and units are for devices that are not")


@dataclass(frozen=True)
class _Reached:
    """A unit that is connected, and what identifies it."""

    runner: RemoteTimekeeper
    unit: str


@contextlib.contextmanager
def open_units(profile: HardwareProfile, access: Access) -> Iterator[list[RemoteTimekeeper]]:
    """Connect to the units that are asked for, and hold them until the end of the block.

    Raises DeviceNotReachable where one of them, or enough of them, are not there or are in use by another process.
    """
    with contextlib.ExitStack() as stack:
        held: dict[int, RemoteTimekeeper] = {}
        refusals: list[DeviceNotReachable] = []
        wanted = len(access.units) or access.matching
        with contextlib.closing(_reached(profile, access, wanted)) as found:
            for place, answer in found:
                try:
                    held[place] = _hold(answer, stack)
                except DeviceNotReachable as error:
                    if access.units:
                        raise
                    refusals.append(error)
                if len(held) == wanted:
                    break
        if len(held) < wanted:
            if wanted == 1:
                raise refusals[-1]
            reason = refusals[-1] if refusals else "no other one is attached"
            raise DeviceNotReachable(f"{len(held)} of {wanted} devices of kind {profile.name!r} are usable: {reason}")
        yield [held[place] for place in sorted(held)]


def timekeeper(unit: RemoteTimekeeper, runtime: str, profile: HardwareProfile) -> RemoteTimekeeper:
    """What times a runtime's artifacts on a unit that is held.

    Raises DeviceNotReachable for ONNX Runtime without its program for the device.
    """
    if runtime != "onnxruntime":
        return unit
    from natdeploy.devices.perf_test import PerfTestRunner
    from natdeploy.devices.remote_run import RemoteRunner

    assert isinstance(unit, RemoteRunner)
    return PerfTestRunner(unit, profile)


def _candidates(profile: HardwareProfile, access: Access) -> list[str | None]:
    """Units to try in order; None is the one that the way finds by itself."""
    if access.units:
        return list(access.units)
    via = access.via or profile.reach.via[0]
    if via == "adb" and profile.reach.way("adb", profile.name).serial is None:  # type: ignore[union-attr]
        from natdeploy.devices.adb import attached_devices

        ready = [serial for serial, state in attached_devices().items() if state == "device"]
        return [*ready] or [None]
    if via == "tvm-rpc":
        return [None] * access.matching  # the tracker hands out another one each time
    if access.matching > 1:
        raise BadInput(f"hardware profile {profile.name!r}: over {via}, several devices have to be named one by one")
    return [None]


def _reached(
    profile: HardwareProfile, access: Access, wanted: int
) -> Generator[tuple[int, _Reached | DeviceNotReachable], None, None]:
    """Place and runner of each unit that answers, or why it cannot be timed on, as they come."""
    via, candidates = access.via or profile.reach.via[0], _candidates(profile, access)
    if via == "qemu":
        raise TimingNotPossible(
            f"hardware profile {profile.name!r}: under qemu, whose times say nothing about the device; time it over "
            "another way"
        )
    ask = partial(_reach, profile, access)
    if via == "tvm-rpc":  # the child process that holds a session ends with the thread that has started it
        yield from answers_in_turn(candidates, ask)
    else:
        yield from answers(candidates, ask, lambda late: late.runner.close(), at_once=wanted)


def _reach(profile: HardwareProfile, access: Access, unit: str | None) -> _Reached:
    clock = None if access.test_only_clock is None else _no_time
    runner: Any = connect(profile, via=access.via, unit=unit, test_only_clock=clock)
    try:
        runner.refuse_to_time(profile.machine)  # before anything is compiled for it
        return _Reached(runner, f"{runner.name}:{runner.describe().unit}")
    except BaseException:
        runner.close()
        raise


def _hold(answer: _Reached | DeviceNotReachable, stack: contextlib.ExitStack) -> RemoteTimekeeper:
    if isinstance(answer, DeviceNotReachable):
        raise answer
    try:
        stack.enter_context(_locked(answer.unit))
    except BaseException:
        answer.runner.close()
        raise
    stack.callback(answer.runner.close)
    return answer.runner


def _no_time(repeats: int) -> list[float]:
    """The clock of sessions whose times another clock replaces."""
    return [0.0] * repeats


@contextlib.contextmanager
def _locked(unit: str) -> Iterator[None]:
    """Hold a unit against other processes. The lock ends with this process, however that ends."""
    folder = cache_root() / "units"
    with readable_disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with open(folder / f"{content_key(unit)[:16]}.lock", "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise DeviceNotReachable(f"{unit}: is being used by {holder}; wait for it to end") from None
        file.truncate(0)
        file.write(f"process {os.getpid()}")
        file.flush()
        yield
