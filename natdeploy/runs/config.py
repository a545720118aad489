"""What a search was asked to do: :class:`RunConfig`, kept as ``run.json`` in the run's folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from natdeploy.ground.errors import BadInput
from natdeploy.ground.processes import allowed_processors
from natdeploy.ground.validation import Settings, Whole
from natdeploy.runs.quantities import LEARNED, Limit, Place, Requirements, argument_of, canonical, kind_of, place_of
from natdeploy.runs.settings import AdaptSettings, Budget, Name, SearchSettings, Seed, TaskName
from natdeploy.spaces import SPACES, get_space

#: Fields that say when and with what a run was made, not what it is.
_CIRCUMSTANCES = ("created", "threads")

#: Stands before a predictor's name in the field ``accuracy``.
PREDICTOR = "predictor:"
#: Space of each shipped accuracy predictor, which is searched where none is named.
PREDICTED_SPACES = {"ofa-imagenet": "ofa-mbv3-w1.0"}
#: In place of the names of a run's data sets.
EVERY_TASK = "all"
#: Images or weights that a job does not have.
NOT_GIVEN = "none"


def _one_as_many(value: Any) -> Any:
    """A single number stands for a list of one."""
    return (value,) if isinstance(value, int) else value


def _one_text_as_many(value: Any) -> Any:
    """A single limit stands for a list of one."""
    return (value,) if isinstance(value, str) else value


class Task(Settings):
    """What is searched for, but for the budget.

    Attributes:
        space: search space; of predicted accuracies the predictor's, unless given.
        resolutions: input resolutions that are searched, some of the space's; empty means all of them.
        accuracy: ``measured`` on validation images with a supernet's weights, or ``predictor:NAME``: predicted, without
            images and weights (``data`` and ``supernet`` are then for the build, and ``none`` if not given).
        data: source of labelled images, as ``--data`` takes it.
        device, runtime: hardware profile and runtime whose latency counts.
        further_devices: more devices that the search serves, each with its own budget in milliseconds (none: the same).
        further_data: more data sets, by a name of one's choice: sources of labelled images like ``data``. Each adapts a
            supernet of its own; ``top1:NAME`` is the accuracy on it.
        objectives: what is traded off, by name: ``top1``, ``macs``, ``latency_ms:pixel4`` and so on, see
            :mod:`natdeploy.runs.quantities`. Unless given: ``top1`` of each data set and ``latency_ms`` of each device.
        limits: what must hold of every architecture beside the budgets, as ``macs<=200e6`` or ``top1>=0.9``.
        seed: of everything random.
        supernet: ``box`` (the shipped one), a checkpoint's path or its address.
        search, adapt: settings of the search, and of the weights that follow it.
    """

    space: Name = "mbv3-micro"
    resolutions: Annotated[tuple[Whole, ...], BeforeValidator(_one_as_many)] = ()
    accuracy: Annotated[str, Field(pattern=rf"^(measured|{PREDICTOR}.+)$")] = "measured"
    data: Name = "digits"
    device: Name = "host"
    runtime: Name = "tvm"
    further_devices: Mapping[Name, Budget | None] = Field(default_factory=dict)
    further_data: Mapping[TaskName, Name] = Field(default_factory=dict)
    objectives: tuple[Name, ...] = ("top1", "latency_ms")
    limits: Annotated[tuple[str, ...], BeforeValidator(_one_text_as_many)] = ()
    seed: Seed = 0
    supernet: Name = "box"
    search: SearchSettings = SearchSettings()
    adapt: AdaptSettings = AdaptSettings()

    @property
    def predictor(self) -> str | None:
        """Name of the accuracy predictor; None where accuracies are measured."""
        return self.accuracy.removeprefix(PREDICTOR) if self.accuracy.startswith(PREDICTOR) else None

    @model_validator(mode="before")
    @classmethod
    def _nothing_to_train(cls, value: Any) -> Any:
        """Predicted accuracies need neither images nor weights: what was not given is not taken from the box."""
        accuracy = str(value.get("accuracy", "")) if isinstance(value, Mapping) else ""
        if not accuracy.startswith(PREDICTOR):
            return value
        space = PREDICTED_SPACES.get(accuracy.removeprefix(PREDICTOR))
        return {"data": NOT_GIVEN, "supernet": NOT_GIVEN, **({"space": space} if space else {}), **value}

    @model_validator(mode="before")
    @classmethod
    def _one_objective_each(cls, value: Any) -> Any:
        """Unless objectives are named, every data set's accuracy and every device's latency is one."""
        if not isinstance(value, Mapping) or "objectives" in value:
            return value
        tasks, devices = value.get("further_data"), value.get("further_devices")
        more = [f"top1:{name}" for name in tasks] if isinstance(tasks, Mapping) else []
        also = [f"latency_ms:{name}" for name in devices] if isinstance(devices, Mapping) else []
        return {**value, "objectives": ("top1", *more, "latency_ms", *also)} if more or also else value

    @property
    def home(self) -> Place:
        """The run's own device and runtime."""
        return Place(self.device, self.runtime)

    @property
    def budgeted(self) -> tuple[str, ...]:
        """Name of the latency on each device that is served, the run's own first."""
        return ("latency_ms", *(canonical(f"latency_ms:{name}", self.home) for name in self.further_devices))

    @property
    def requested(self) -> tuple[Limit, ...]:
        """The limits, read."""
        return tuple(map(Limit.parse, self.limits))

    @property
    def named(self) -> tuple[str, ...]:
        """Every figure that is asked for: objectives, limits, the latencies that budgets are for."""
        return tuple(dict.fromkeys([*self.objectives, *(limit.name for limit in self.requested), *self.budgeted]))

    @property
    def places(self) -> tuple[Place, ...]:
        """Every device and runtime that matters, the run's own first."""
        found = [place_of(name, self.home) for name in self.named]
        return tuple(dict.fromkeys([self.home, *(place for place in found if place is not None)]))

    @property
    def powered(self) -> tuple[Place, ...]:
        """Those of the places whose energy is asked for."""
        found = {place_of(name, self.home) for name in self.named if kind_of(name) == "energy_mj"}
        return tuple(place for place in self.places if place in found)

    @model_validator(mode="after")
    def _known_tasks(self) -> Task:
        for name in self.named:
            task = argument_of(name) if kind_of(name) in LEARNED else ""
            if task and task not in self.further_data:
                known = ", ".join(self.further_data) or "none"
                raise ValueError(
                    f"{name!r}: no further data set is named {task!r} in field 'further_data'; known: {known}"
                )
        if self.predictor is not None and self.further_data:
            raise ValueError("field 'further_data': predicted accuracies are of one data set, and need no images")
        return self

    @field_validator("further_data")
    @classmethod
    def _not_all(cls, named: Mapping[str, str]) -> Mapping[str, str]:
        if EVERY_TASK in named:
            raise ValueError(f"a data set cannot be named {EVERY_TASK!r}, which means every one of them")
        return named

    @model_validator(mode="after")
    def _known_resolutions(self) -> Task:
        try:
            get_space(self.space).at_resolutions(self.resolutions)
        except BadInput as error:
            raise ValueError(f"field 'resolutions': {error}") from None
        return self

    @field_validator("space")
    @classmethod
    def _known_space(cls, name: str) -> str:
        if name not in SPACES.names():
            raise ValueError(f"unknown space; known: {', '.join(SPACES.names())}")
        return name

    @field_validator("further_devices")
    @classmethod
    def _really_further(cls, budgets: Mapping[str, float | None], info: ValidationInfo) -> Mapping[str, float | None]:
        if info.data.get("device") in budgets:
            raise ValueError(f"{info.data['device']!r} is the run's own device already")
        if runtime := next((name for name in budgets if ":" in name), None):
            raise ValueError(
                f"{runtime!r}: expected a device alone; a runtime's latency is an objective, latency_ms:{runtime}, or "
                f"a limit, latency_ms:{runtime}<=20"
            )
        return budgets

    @field_validator("limits")
    @classmethod
    def _readable(cls, limits: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if not {"device", "runtime"} <= info.data.keys():
            return limits  # what is wrong there is said there
        read = [Limit.parse(limit) for limit in limits]
        return tuple(str(replace(limit, name=canonical(limit.name, _home(info)))) for limit in read)

    @field_validator("objectives")
    @classmethod
    def _some_and_distinct(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if {"device", "runtime"} <= info.data.keys():
            names = tuple(canonical(name, _home(info)) for name in names)
        if not names or len(set(names)) != len(names):
            raise ValueError("expected at least one objective and none twice")
        return names


def _home(info: ValidationInfo) -> Place:
    return Place(info.data["device"], info.data["runtime"])


class RunConfig(Task):
    """One search, complete: equal configurations give equal archives.

    Attributes:
        latency_ms: the budget; held by the upper end of the predicted interval.
        threads: processor threads for training, fixed when the run starts: sums depend on their number.
        created: UTC time of the first start.
    """

    schema_version: Literal[1] = 1
    latency_ms: Budget
    threads: Annotated[Whole, Field(ge=1, le=4096)] = Field(default_factory=lambda: len(allowed_processors()))
    created: str = Field(default_factory=lambda: datetime.now(timezone.utc).isoformat(timespec="seconds"))

    @property
    def budgets(self) -> dict[str, float]:
        """Budget in milliseconds of each device that is served, by its latency's name."""
        more = (self.latency_ms if budget is None else budget for budget in self.further_devices.values())
        return dict(zip(self.budgeted, (self.latency_ms, *more), strict=True))

    @property
    def requirements(self) -> Requirements:
        """Budgets and limits."""
        return Requirements(self.budgets, self.requested)

    def first_difference(self, other: RunConfig) -> str | None:
        """Dotted name of the first field in which two runs differ, or None when they are the same run."""
        mine, others = (config.model_dump(exclude=set(_CIRCUMSTANCES)) for config in (self, other))
        return _first_difference(mine, others, "")


def _first_difference(mine: dict, others: dict, prefix: str) -> str | None:
    if mine.keys() != others.keys():  # named by the user
        return prefix.removesuffix(".")
    for field, value in mine.items():
        other = others[field]
        if isinstance(value, dict):
            if found := _first_difference(value, other, f"{prefix}{field}."):
                return found
        elif value != other:
            return f"{prefix}{field}"
    return None
