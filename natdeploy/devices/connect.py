"""From a hardware profile to a runner that holds its device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from natdeploy.devices.answers import answers
from natdeploy.devices.link import Link
from natdeploy.devices.profile import HardwareProfile
from natdeploy.devices.reach import Adb, Ssh, TvmRpc, Via
from natdeploy.devices.runner import Runner
from natdeploy.ground.errors import BadInput, DeviceNotReachable
from natdeploy.ground.registry import Registry

if TYPE_CHECKING:
    from natdeploy.devices.tvm_rpc import RpcConnection

#: Way to a device -> ``connect(profile, unit, settings)``, which gives a runner of ``executable`` artifacts.
WAYS = Registry(
    "way to a device",
    {
        "adb": "natdeploy.devices.connect:connect_adb",
        "ssh": "natdeploy.devices.connect:connect_ssh",
        "tvm-rpc": "natdeploy.devices.connect:connect_tvm_rpc",
        "qemu": "natdeploy.devices.connect:connect_qemu",
    },
)


def connect(
    profile: HardwareProfile,
    *,
    via: Via | None = None,
    unit: str | None = None,
    run_limit_s: float = 300.0,
    test_only_clock: Callable[[int], list[float]] | None = None,
) -> Runner:
    """A runner of ``executable`` artifacts that holds the device of a profile; to be closed.

    Args:
        profile: the device.
        via: one of ``profile.reach.via``; the preferred one if not given.
        unit: which one of several: a serial for adb. The profile's own, or any that fits, if not given.
        run_limit_s: seconds that one image, or one series of timings, may take.
        test_only_clock: for tests of timing on emulators, see :class:`natdeploy.devices.remote_run.RemoteRunner`.

    Raises BadInput for a way that the profile does not list or that no runner is known for, DeviceNotReachable.
    """
    way = via or profile.reach.via[0]
    profile.way(way)
    if way == "local":
        raise BadInput(f"hardware profile {profile.name!r}: it is this machine, which needs no connection")
    if way not in WAYS.names():
        raise BadInput(f"hardware profile {profile.name!r}: no runner for {way}; known: {', '.join(WAYS.names())}")
    open_way: Callable[[HardwareProfile, str | None, Mapping[str, Any]], Runner] = WAYS.get(way)
    return open_way(profile, unit, {"run_limit_s": run_limit_s, "test_only_clock": test_only_clock})


def connect_adb(profile: HardwareProfile, unit: str | None, settings: Mapping[str, Any]) -> Runner:
    """The phone of a serial, or the first attached one that is of the profile's kind."""
    from natdeploy.devices.adb import AdbLink, attached_devices

    way = profile.way("adb")
    assert isinstance(way, Adb)
    serial = unit or way.serial
    serials: list[str | None] = [serial]
    if serial is None:
        serials = [found for found, state in attached_devices().items() if state == "device"] or [None]
    refusals = []

    def ask(one: str | None) -> Runner:
        return _runner(AdbLink(one, folder=way.folder), profile, settings)

    def drop(late: Runner) -> None:
        late.close()

    asked = answers(serials, ask, drop)
    with closing(asked) as found:
        for _, answer in found:
            if not isinstance(answer, DeviceNotReachable):
                return answer
            refusals.append(answer)
    if len(refusals) > 1:
        raise DeviceNotReachable(f"none of {len(refusals)} attached devices is a {profile.title}; last: {refusals[-1]}")
    raise refusals[0]


def connect_ssh(profile: HardwareProfile, unit: str | None, settings: Mapping[str, Any]) -> Runner:
    """The board that the profile names; a unit is another host."""
    from natdeploy.devices.ssh import SshLink

    way = profile.way("ssh")
    assert isinstance(way, Ssh)
    key = None if way.key is None else Path(way.key)
    link = SshLink(unit or way.host or profile.name, user=way.user, port=way.port, key=key, folder=way.folder)
    return _runner(link, profile, settings)


def connect_tvm_rpc(profile: HardwareProfile, unit: str | None, settings: Mapping[str, Any]) -> Runner:
    """A server that the profile's tracker hands out; a unit is another key."""
    from natdeploy.devices.tvm_rpc import RpcConnection

    way = profile.way("tvm-rpc")
    assert isinstance(way, TvmRpc)
    key = unit or way.key or profile.name
    return _runner(RpcConnection(way.host, way.port, key, way.session_timeout_s, profile.machine), profile, settings)


def connect_qemu(profile: HardwareProfile, unit: str | None, settings: Mapping[str, Any]) -> Runner:
    """An emulator of the profile's kind of processor."""
    from natdeploy.devices.qemu import QemuRunner

    return QemuRunner(profile.machine, run_limit_s=settings["run_limit_s"])


def _runner(link: Link | RpcConnection, profile: HardwareProfile, settings: Mapping[str, Any]) -> Runner:
    from natdeploy.devices.expected import Expected
    from natdeploy.devices.remote_run import RemoteRunner

    expected = Expected(
        abi=profile.abi,
        machine=profile.machine,
        accepts=profile.reach.accepts,
        models=profile.reach.models,
        min_battery_percent=profile.timing.min_battery_percent,
        max_celsius=profile.timing.max_celsius,
    )
    return RemoteRunner(link, expected=expected, processors=profile.timed_cluster.processors or None, **settings)
