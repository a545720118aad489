"""``devices add``: a hardware profile of the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from natdeploy.verbs.result import Result

if TYPE_CHECKING:
    from natdeploy.devices import HardwareProfile, Survey


_MOST_CORES = 1024


@dataclass(frozen=True)
class Output:
    """What ``uname -m``, ``/proc/cpuinfo``, ``lscpu`` or ``getprop`` printed on a device."""

    text: str


@dataclass(frozen=True)
class Cores:
    """Cores of one kind.

    Attributes:
        name: for instance ``Cortex-A76``.
        count: how many there are.
        clock_mhz: their highest clock; None where it is not known.
    """

    name: str
    count: int
    clock_mhz: float | None = None


@dataclass(frozen=True)
class Answers:
    """What somebody says of a device.

    Attributes:
        machine: as ``uname -m`` says it.
        cores: the fastest kind first.
        android_model: the model that an Android device reports; None for any other device.
        memory_gib: main memory; None where it is not known.
    """

    machine: str
    cores: tuple[Cores, ...]
    android_model: str | None = None
    memory_gib: float | None = None


@dataclass(frozen=True)
class AddDeviceResult(Result):
    """A profile that was written.

    Attributes:
        name: what ``--device`` takes.
        path: the file.
        hides: the shipped profile of the same name, which the new one now stands for.
        profile: what is in the file.
        unknown: fields that nothing told; they may be filled in by hand.
    """

    name: str
    path: Path
    hides: Path | None
    profile: Mapping[str, Any]
    unknown: tuple[str, ...]


def add_device(
    name: str,
    source: str | Output | Answers,
    *,
    title: str | None = None,
    changes: Mapping[str, Any] | None = None,
    replace: bool = False,
) -> AddDeviceResult:
    """Write a hardware profile into the user's own folder, which is looked up before the shipped profiles.

    Args:
        name: what ``--device`` will take.
        source: where the facts come from: ``local`` (this machine), ``adb`` or ``adb:SERIAL``,
            ``ssh:[USER@]HOST[:PORT]``, a file with the output of ``lscpu``, ``/proc/cpuinfo`` or ``getprop``; or
            such output itself, or answers.
        title: the device's name for people; its own name for itself by default.
        changes: dotted field -> value, put in last: ``{"memory.gib": 8}``.
        replace: whether a profile of the user's of this name may be replaced.

    Raises BadInput for facts that say too little and for fields that do not fit, DeviceNotReachable with advice.
    """
    from natdeploy.devices import draft_profile, save_profile, shipped_profiles_dir, user_profiles_dir

    survey, reach = _survey(source)
    profile = draft_profile(name, survey, title=title, reach=reach, changes=changes)
    path = save_profile(profile, user_profiles_dir(), replace=replace)
    shipped = shipped_profiles_dir() / f"{name}.yaml"
    return AddDeviceResult(
        name,
        path,
        shipped if shipped.exists() else None,
        profile.model_dump(mode="json", exclude_none=True, exclude_defaults=True),
        _unknown(profile),
    )


def _survey(source: str | Output | Answers) -> tuple[Survey, dict[str, Any]]:
    """What is known of the device, and what is known of the way to it."""
    from natdeploy.devices import CoreFacts, Survey, read_survey
    from natdeploy.devices.ask import ask_device
    from natdeploy.ground.errors import BadInput

    if isinstance(source, str):
        text, reach = ask_device(source)
        return read_survey(text), reach
    if isinstance(source, Output):
        return read_survey(source.text), {}
    for kind in source.cores:
        if not 1 <= kind.count <= _MOST_CORES:
            raise BadInput(f"cores {kind.name!r}: {kind.count} of them; expected 1 to {_MOST_CORES}")
    facts = [CoreFacts(model=kind.name, clock_mhz=kind.clock_mhz) for kind in source.cores for _ in range(kind.count)]
    properties = {"ro.product.model": source.android_model} if source.android_model else {}
    return Survey(source.machine, dict(enumerate(facts)), properties, memory_gib=source.memory_gib), {}


def _unknown(profile: HardwareProfile) -> tuple[str, ...]:
    """Fields that predictions from the profile alone would need."""
    fields = ("clock_mhz", "fmas_per_cycle", "caches")
    missing = [
        f"clusters.{number}.{field}"
        for number, cluster in enumerate(profile.clusters)
        for field in fields
        if not getattr(cluster, field)
    ]
    return (*missing, *(() if profile.memory.bandwidth_gb_s else ("memory.bandwidth_gb_s",)))
