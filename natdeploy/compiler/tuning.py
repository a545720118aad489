"""A device's tuning record: which tile of each workload was measured to be the fastest there.

One JSON file a workload, below ``tuning`` in the cache folder: a folder for each device, in it one for each pair of
target and kernel generator, so that what was measured of other code is never taken. Files are written whole or not at
all. The rule's tile stays wherever nothing was measured to beat it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from natdeploy.compiler.kernels.isa import Isa
from natdeploy.compiler.kernels.kind import Schedule, Workload, candidate_schedules, default_schedule
from natdeploy.compiler.kernels.objects import generator_versions
from natdeploy.devices import HardwareProfile, hardware_fingerprint, llvm_target
from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import cache_root, content_key, read_json, write_json
from natdeploy.ground.validation import Real, checked

SCHEMA = 1
#: What stands for a record that changes no tile, and for no record at all.
RULES = "rules"


@dataclass(frozen=True)
class Trial:
    """One tile as it was measured.

    Attributes:
        schedule: the tile.
        ms: median of its calls.
        ratio: to the rule's tile in the same rounds; the median of the sessions.
        worst: the largest ratio of a session.
    """

    schedule: Schedule
    ms: Real
    ratio: Real
    worst: Real


@dataclass(frozen=True)
class Tuned:
    """What is known of one workload.

    Attributes:
        workload, isa: what is computed, with which vectors.
        chosen: the tile to use.
        noise: how far two calls of the rule's own tile were apart, relative; the largest of the sessions.
        threads: that computed.
        trials: all tiles that were measured, the rule's first.
    """

    workload: Workload
    isa: Isa
    chosen: Schedule
    noise: Real
    threads: int
    trials: tuple[Trial, ...]

    @property
    def rule(self) -> Schedule:
        """The rule's tile."""
        return self.trials[0].schedule

    @property
    def changed(self) -> bool:
        """Whether another tile than the rule's was chosen."""
        return self.chosen != self.rule

    @property
    def gain(self) -> float:
        """The chosen tile's time relative to the rule's."""
        return next(trial.ratio for trial in self.trials if trial.schedule == self.chosen)


class TuningRecord:
    """What was measured on one device for one target, as of now; :meth:`keep` adds to it.

    Args:
        device_fingerprint: of the device (:func:`natdeploy.devices.hardware_fingerprint`): tiles outlast its timings.
        target: TVM's target.
        root: folder of all records; by default ``tuning`` in the cache folder.

    Raises BadInput naming a file that cannot be read or asks for a tile that is no candidate.
    """

    def __init__(self, device_fingerprint: str, target: Mapping[str, Any], root: Path | None = None) -> None:
        code = {field: value for field, value in target.items() if field != "num-cores"}  # what decides the code
        place = content_key([code, generator_versions()])[:16]
        self.folder = (root or cache_root() / "tuning") / device_fingerprint / place
        self._found = {path.stem: _read(path) for path in sorted(self.folder.glob("*.json"))}

    @property
    def entries(self) -> tuple[Tuned, ...]:
        """Everything that was measured."""
        return tuple(self._found.values())

    @property
    def identity(self) -> str:
        """Sixteen hex digits over the tiles that differ from the rules'; :data:`RULES` where none does.

        Code that was compiled under one identity is the same; timings of another are of other code.
        """
        changed = {name: one.chosen for name, one in sorted(self._found.items()) if one.changed}
        return content_key(changed)[:16] if changed else RULES

    def find(self, workload: Workload, isa: Isa) -> Tuned | None:
        """What is known of a workload."""
        return self._found.get(_name(workload, isa))

    def keep(self, tuned: Tuned) -> None:
        """Store a workload's measurement, at once. Raises BadInput where the disk is full or not writable."""
        name = _name(tuned.workload, tuned.isa)
        write_json(self.folder / f"{name}.json", {"schema": SCHEMA, **asdict(tuned)})
        self._found[name] = tuned

    def schedule(self, workload: Workload, isa: Isa) -> Schedule:
        """The tile to compile: the record's where it has one, else the rule's."""
        found = self.find(workload, isa)
        return found.chosen if found else default_schedule(workload, isa)


def tuning_of(profile: HardwareProfile) -> TuningRecord:
    """The record of a device, as of now. Raises BadInput for a damaged one."""
    return TuningRecord(hardware_fingerprint(profile), llvm_target(profile))


def _name(workload: Workload, isa: Isa) -> str:
    return f"{workload['kind']}_{content_key([workload, asdict(isa)])[:16]}"


def _read(path: Path) -> Tuned:
    def refuse(what: str) -> BadInput:
        return BadInput(f"{path}: {what}; delete this file and run natdeploy tune again")

    try:
        value = read_json(path, "tuning record")
        if not isinstance(value, dict) or value.pop("schema", None) != SCHEMA:
            raise BadInput(f"field 'schema' is not {SCHEMA}")
        tuned = checked(Tuned, value, "tuning record")
    except BadInput as error:
        raise refuse(str(error).removeprefix(f"{path}: ")) from None
    if _name(tuned.workload, tuned.isa) != path.stem:
        raise refuse("field 'workload' is not the one that the file is named after")
    if not tuned.trials or tuned.chosen not in [trial.schedule for trial in tuned.trials]:
        raise refuse("field 'chosen' is none of the tiles in field 'trials'")
    if tuned.chosen not in candidate_schedules(tuned.workload, tuned.isa):
        raise refuse("field 'chosen' is no tile that this natdeploy would measure")
    return tuned
