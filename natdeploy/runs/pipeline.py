"""One file for a CI job: tasks, devices with their budgets, and what the bundles are held against.

``natdeploy.yaml``::

    tasks:
      digits: {data: digits, seed: 0}       # fields of a job, but for device and out
    devices:
      host: {latency_percentile: 40}        # the budget, and any other field of a job that is this device's own
      pixel4: {latency_ms: 2}
    gates:
      size: {rise: 0.05}

An entry is a task on a device; it is a whole :class:`natdeploy.runs.JobConfig`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from natdeploy.ground.errors import BadInput
from natdeploy.ground.validation import Real, Settings, Whole, read_yaml, validate
from natdeploy.runs.config import EVERY_TASK
from natdeploy.runs.job import JobConfig
from natdeploy.runs.settings import Name
from natdeploy.runs.signing import SigningSettings

PIPELINE_FILE = "natdeploy.yaml"
#: GitHub starts at most so many jobs of one matrix.
MOST_ENTRIES = 256

_BUDGETS = ("latency_ms", "latency_percentile")
_OF_THE_PIPELINE = ("device", "out")
#: Of a device's section; everything else there is a field of the job.
_OF_THE_DEVICE = ("profile_file", "tasks")

Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$")]
#: Nothing after the colon stands for no fields.
Fields = Annotated[dict[str, Any], BeforeValidator(lambda value: {} if value is None else value)]
Share = Annotated[Real, Field(ge=0, le=1)]
Rise = Annotated[Real, Field(ge=0, le=10)]


class AccuracyGate(Settings):
    """When accuracy counts as fallen.

    Attributes:
        split: images whose top-1 is compared.
        standard_errors: a fall of up to so many standard errors of the difference passes.
        fall: a further fall that passes, as a share of the images (0.01 is one point).
    """

    split: Literal["val", "test"] = "test"
    standard_errors: Annotated[Real, Field(ge=0, le=10)] = 2.0
    fall: Share = 0.0


class LatencyGate(Settings):
    """When latency counts as risen: its interval begins above the end of the baseline's.

    Attributes:
        confidence: of the interval of a measured median.
        rise: a rise that passes beyond the baseline's interval, as a share of the baseline's upper end. Two sessions
            of one machine differ by more than the visits of either tell.
    """

    confidence: Annotated[Real, Field(ge=0.5, le=0.9999)] = 0.95
    rise: Rise = 0.05


class SizeGate(Settings):
    """When size counts as risen.

    Attributes:
        rise: a rise that passes, as a share of the baseline.
    """

    rise: Rise = 0.02


class GateSettings(Settings):
    """Tolerances of the gates, one for each kind of figure.

    Attributes:
        accuracy: against the baseline's top-1.
        latency: measured against measured of the same machine, predicted against predicted.
        size: of the files that the budget's runtime needs.
    """

    accuracy: AccuracyGate = AccuracyGate()
    latency: LatencyGate = LatencyGate()
    size: SizeGate = SizeGate()


class PipelineConfig(Settings):
    """The file as it is written.

    Attributes:
        tasks: name to fields of a job.
        devices: name to the budget and further fields of a job, which go before the task's; ``profile_file`` names a
            hardware profile of your own (else the device's name is the profile's), ``tasks`` the tasks that are built
            for it (else all).
        gates: tolerances.
        signing: programs that sign bundles when they are published; none: they are not signed.
        out: folder that builds are kept in.
        keep_searches: how many searches an entry keeps, those used last; going back to one's budget finds it again.
        baselines: folder with a baseline per entry, to be committed.
    """

    schema_version: Literal[1] = 1
    tasks: Annotated[dict[Label, Fields], Field(min_length=1)]
    devices: Annotated[dict[Label, Fields], Field(min_length=1)]
    gates: GateSettings = GateSettings()
    signing: SigningSettings | None = None
    out: Name = "ci"
    keep_searches: Annotated[Whole, Field(ge=1, le=1000)] = 4
    baselines: Name = "baselines"

    @model_validator(mode="after")
    def _known_fields(self) -> PipelineConfig:
        job = {*JobConfig.model_fields} - {*_OF_THE_PIPELINE}
        for section, own in (("tasks", ()), ("devices", _OF_THE_DEVICE)):
            for name, fields in getattr(self, section).items():
                if taken := sorted({*fields} & {*_OF_THE_PIPELINE}):
                    raise ValueError(f"{section}.{name}.{taken[0]}: is the pipeline's to say; remove it")
                if unknown := sorted({*map(str, fields)} - job - {*own}):
                    raise ValueError(f"{section}.{name}.{unknown[0]}: unknown field; remove it or correct its name")
        for name, fields in self.devices.items():
            for task in _tasks_of(name, fields) or ():
                if task not in self.tasks:
                    raise ValueError(f"devices.{name}.tasks: no task {task!r}; tasks are {', '.join(self.tasks)}")
        return self


@dataclass(frozen=True)
class PipelineEntry:
    """A task on a device: one job of the matrix.

    Attributes:
        name: ``TASK-DEVICE``, its folder and its baseline are named so.
        task, device: as the file names them.
        job: what is to be done; ``job.out`` is None, ``job.device`` the hardware profile.
    """

    name: str
    task: str
    device: str
    job: JobConfig


@dataclass(frozen=True)
class Pipeline:
    """A pipeline whose entries were read.

    Attributes:
        path: the file.
        config: as written.
        entries: every task on every device it is built for, tasks first.
    """

    path: Path
    config: PipelineConfig
    entries: tuple[PipelineEntry, ...]

    def select(self, device: str | None = None, task: str | None = None) -> tuple[PipelineEntry, ...]:
        """Entries of a device, of a task, or of both. Raises BadInput for a name that the file does not have."""
        for name, known, what in ((device, self.config.devices, "device"), (task, self.config.tasks, "task")):
            if name is not None and name not in known:
                raise BadInput(f"{self.path}: no {what} {name!r} in this pipeline; it has {', '.join(known)}")
        found = [one for one in self.entries if device in (None, one.device) and task in (None, one.task)]
        if not found:
            raise BadInput(
                f"{self.path}: task {task!r} is not built for {device!r}; see field 'devices.{device}.tasks'"
            )
        return tuple(found)


def is_pipeline(value: Any) -> bool:
    """Whether what a YAML file holds is meant as a pipeline rather than as a single job."""
    return isinstance(value, Mapping) and bool({"tasks", "devices"} & {*value})


def load_pipeline(path: str | Path) -> Pipeline:
    """Read a pipeline and make a job of each entry. Raises BadInput naming file, entry and field."""
    path = Path(path)
    config = validate(PipelineConfig, read_yaml(path, "pipeline"), path)
    entries = [
        _entry(path, config, task, device)
        for task in config.tasks
        for device, fields in config.devices.items()
        if task in (_tasks_of(device, fields) or config.tasks)
    ]
    names = [entry.name for entry in entries]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise BadInput(f"{path}: two entries are named {twice!r}; rename a task or a device")
    if len(entries) > MOST_ENTRIES:
        raise BadInput(
            f"{path}: {len(entries)} entries, more than the {MOST_ENTRIES} jobs of a matrix; divide the file"
        )
    return Pipeline(path, config, tuple(entries))


def _entry(path: Path, config: PipelineConfig, task: str, device: str) -> PipelineEntry:
    own = {name: value for name, value in config.devices[device].items() if name not in _OF_THE_DEVICE}
    common = config.tasks[task]
    if {*own} & {*_BUDGETS}:  # a device's budget replaces the task's, of either kind
        common = {name: value for name, value in common.items() if name not in _BUDGETS}
    source = f"{path}: task {task!r} on device {device!r}"
    profile = config.devices[device].get("profile_file", device)
    job = validate(JobConfig, {**_laid_over(common, own), "device": profile}, source)
    if "front" in job.build.pick:
        raise BadInput(f"{source}: field 'build.pick': a front has no baseline to be held against; name best or knee")
    if len(job.build.task) > 1 or EVERY_TASK in job.build.task:
        raise BadInput(f"{source}: field 'build.task': a baseline is of one model a pick; name one data set")
    return PipelineEntry(f"{task}-{device}", task, device, job)


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Nested fields of ``above`` in place of those of ``below``."""
    merged = dict(below)
    for name, value in above.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = _laid_over(merged[name], value) if both else value
    return merged


def _tasks_of(device: str, fields: Mapping[str, Any]) -> list[str] | None:
    """The tasks that a device is for; None for all."""
    tasks = fields.get("tasks")
    if tasks is None:
        return None
    if not isinstance(tasks, list) or not tasks:
        raise ValueError(f"devices.{device}.tasks: expected a list of names, not {tasks!r:.60}")
    return tasks
