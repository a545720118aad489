"""A hardware profile drafted from what is known of a device, and kept in the user's own folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from natdeploy.devices.arm_cores import ArmCore, arm_core, arm_core_named
from natdeploy.devices.llvm import baseline_cpu, host_llvm
from natdeploy.devices.processor import vector_bits, vector_isa
from natdeploy.devices.profile import HardwareProfile, parse_profile
from natdeploy.devices.survey import CoreFacts, Survey
from natdeploy.ground.errors import BadInput, ChildFailed
from natdeploy.ground.files import write_text

_CLUSTERS = {1: ("cpu",), 2: ("big", "little"), 3: ("big", "mid", "little")}
#: Architecture by ``uname -m`` -> LLVM triples of Linux and of Android.
_TRIPLES = {
    "aarch64": ("aarch64-linux-gnu", "aarch64-linux-android"),
    "arm64": ("aarch64-linux-gnu", "aarch64-linux-android"),
    "armv7l": ("armv7l-linux-gnueabihf", "armv7l-linux-androideabi"),
    "armv8l": ("armv7l-linux-gnueabihf", "armv7l-linux-androideabi"),
    "x86_64": ("x86_64-linux-gnu", "x86_64-linux-android"),
}


def draft_profile(
    name: str,
    survey: Survey,
    *,
    title: str | None = None,
    reach: Mapping[str, Any] | None = None,
    changes: Mapping[str, Any] | None = None,
) -> HardwareProfile:
    """The profile of a surveyed device.

    Args:
        name: what ``--device`` will take.
        survey: what is known.
        title: name for people; the device's own name for itself by default.
        reach: the section ``reach``, as far as it is known; the rest follows from the device.
        changes: dotted field -> value, put in last: ``{"clusters.0.clock_mhz": 2400}``.

    Raises BadInput where the survey does not tell what the processor is, and for a field or value that is none.
    """
    source = f"device {name!r}"
    if survey.machine not in _TRIPLES or not survey.cores:
        missing = "how many cores it has"
        if survey.machine not in _TRIPLES:
            missing = f"that its processor is one of {', '.join(_TRIPLES)}"
        raise BadInput(
            f"{source}: nothing tells {missing}; expected the output of uname -m and of lscpu or /proc/cpuinfo "
            "(in a terminal, natdeploy devices add without --from asks for it)"
        )
    triple = _TRIPLES[survey.machine][survey.android]
    here = "local" in (reach or {}).get("via", ())
    clusters = _clusters(survey)
    if here:
        clusters = [_named_by_llvm(survey.machine, cluster) for cluster in clusters]
    value: dict[str, Any] = {
        "schema_version": 1,
        "name": name,
        "title": title or survey.model or name,
        "soc": _soc(survey),
        "clusters": clusters,
        "memory": {"gib": survey.memory_gib} if survey.memory_gib else {},
        "llvm_triple": triple,
        "runtimes": ["onnxruntime", "tvm"] if here else ["tvm"],
        "reach": {
            "via": ["adb", "tvm-rpc", "qemu"] if survey.android else ["ssh", "tvm-rpc", "qemu"],
            **({"models": [survey.model]} if survey.model and not here else {}),
            **(reach or {}),
        },
        "timing": _timing(survey),
        "sources": ["the device itself"],
        "notes": _notes(clusters),
    }
    for field, item in (changes or {}).items():
        _assign(value, field.split("."), item, f"{source}: field {field!r}")
    return parse_profile(value, source)


def save_profile(profile: HardwareProfile, folder: Path, *, replace: bool = False) -> Path:
    """Write a profile into a folder, atomically; returns its path.

    Raises BadInput where there is one of its name (unless it is to be replaced) or the folder cannot be written.
    """
    path = folder / f"{profile.name}.yaml"
    if not replace and (there := [other for other in (path, path.with_suffix(".yml")) if other.exists()]):
        raise BadInput(f"{there[0]}: there is a profile of this name; choose another, or replace it with --force")
    value = profile.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    head = {"schema_version": profile.schema_version}
    text = yaml.safe_dump(head | value, sort_keys=False, default_flow_style=None, width=110, allow_unicode=True)
    write_text(path, f"# Every field is described in hwprofiles/README.md.\n{text}")
    return path


def _clusters(survey: Survey) -> list[dict[str, Any]]:
    """Cores of one kind and clock together, the fastest kind first."""
    kinds: dict[tuple[Any, ...], list[int]] = {}
    for number, core in survey.cores.items():
        kinds.setdefault((core.implementer, core.part, core.model, core.clock_mhz), []).append(number)
    drafts = [_cluster(survey.machine or "", survey.cores[numbers[0]], numbers) for numbers in kinds.values()]
    drafts.sort(key=lambda draft: (draft.get("clock_mhz") or 0, draft.get("fmas_per_cycle") or 0), reverse=True)
    names = _CLUSTERS.get(len(drafts)) or [f"cluster-{number}" for number in range(len(drafts))]
    return [{"name": name, **draft} for name, draft in zip(names, drafts)]


def _cluster(machine: str, core: CoreFacts, numbers: Sequence[int]) -> dict[str, Any]:
    isa = vector_isa(core.flags)
    known = _known(core)
    cluster: dict[str, Any] = {
        "core": known.name if known else (core.model or _numbers(core) or machine)[:200],
        "cores": len(numbers),
        "processors": list(numbers),
        "clock_mhz": core.clock_mhz,
        "isa": list(isa),
        "vector_bits": vector_bits(isa),
        "fmas_per_cycle": known.fmas_per_cycle if known else None,
        "caches": [
            {"level": level, "kind": kind, "kib": kib, "shared_by": shared} for level, kind, kib, shared in core.caches
        ],
        "llvm_cpu": known.llvm_cpu if known else baseline_cpu(machine, isa),
    }
    if known and known.sve and "sve" not in isa:
        cluster["llvm_features"] = ["-sve"]
    return cluster


def _named_by_llvm(machine: str, cluster: dict[str, Any]) -> dict[str, Any]:
    """Where only a baseline is known for this machine's own processor, LLVM can often name it."""
    if cluster["llvm_cpu"] != baseline_cpu(machine, cluster["isa"]):
        return cluster
    try:
        found = host_llvm(machine, cluster["isa"])
    except ChildFailed:  # without TVM the baseline stays, and a note says so
        return cluster
    return {**cluster, "llvm_cpu": found.cpu, "llvm_features": list(found.features)}


def _known(core: CoreFacts) -> ArmCore | None:
    if core.implementer is not None and core.part is not None:
        return arm_core(core.implementer, core.part)
    return arm_core_named(core.model) if core.model else None


def _numbers(core: CoreFacts) -> str | None:
    return None if core.part is None else f"implementer {core.implementer or 0:#x}, part {core.part:#x}"


def _soc(survey: Survey) -> str | None:
    maker, model = (survey.properties.get(f"ro.soc.{field}", "") for field in ("manufacturer", "model"))
    first = next(iter(survey.cores.values()))
    return f"{maker} {model}".strip() or (first.model if "x86" in (survey.machine or "") else None)


def _timing(survey: Survey) -> dict[str, Any]:
    """Phones rest when they are warm or their battery is low; whatever is not here rests when it drifts."""
    if survey.android:
        return {"max_drift": 0.15, "max_celsius": 40, "cooldown_s": 60, "min_battery_percent": 30}
    return {"max_drift": 0.3}


def _notes(clusters: Sequence[Mapping[str, Any]]) -> list[str]:
    notes = []
    for number, cluster in enumerate(clusters):
        if cluster["llvm_cpu"] == "generic" or cluster["llvm_cpu"].startswith("x86-64"):
            notes.append(
                f"Code for {cluster['name']} is generated for the safe baseline {cluster['llvm_cpu']}; LLVM's name of "
                f"the processor in clusters.{number}.llvm_cpu would make it faster."
            )
    return notes


def _assign(value: Any, path: Sequence[str], item: Any, source: str) -> None:
    """Put an item at a dotted path; a number is a place in a list. What is put there is validated afterwards."""
    first, *rest = path
    if isinstance(value, list):
        if not first.isdigit() or int(first) >= len(value):
            raise BadInput(f"{source}: expected a number from 0 to {len(value) - 1} in place of {first!r}")
        key: Any = int(first)
    elif isinstance(value, dict):
        key = first
        if rest:
            value.setdefault(key, {})
    else:
        raise BadInput(f"{source}: there is nothing below a plain value")
    if rest:
        _assign(value[key], rest, item, source)
    else:
        value[key] = item
