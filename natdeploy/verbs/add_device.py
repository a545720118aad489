"""``devices add``: a hardware profile of the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from natdeploy.verbs.result import Result

if TYPE_CHECKING:
    from natdeploy.devices import HardwareProfile, Survey


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
    source: str | Survey,
    *,
    title: str | None = None,
    changes: Mapping[str, Any] | None = None,
    replace: bool = False,
) -> AddDeviceResult:
    """Write a hardware profile into the user's own folder, which is looked up before the shipped profiles.

    Args:
        name: what ``--device`` will take.
        source: where the facts come from: ``local`` (this machine), ``adb`` or ``adb:SERIAL``,
            ``ssh:[USER@]HOST[:PORT]``, a file with the output of ``lscpu``, ``/proc/cpuinfo`` or ``getprop``; or the
            facts themselves.
        title: the device's name for people; its own name for itself by default.
        changes: dotted field -> value, put in last: ``{"memory.gib": 8}``.
        replace: whether a profile of the user's of this name may be replaced.

    Raises BadInput for facts that say too little and for fields that do not fit, DeviceNotReachable with advice.
    """
    from natdeploy.devices import draft_profile, read_survey, save_profile, shipped_profiles_dir, user_profiles_dir
    from natdeploy.devices.ask import ask_device

    reach: dict[str, Any] = {}
    if isinstance(source, str):
        text, reach = ask_device(source)
        survey = read_survey(text)
    else:
        survey = source
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
