"""The whole job as one YAML file, for ``natdeploy run FILE.yaml``.

A file may hold any of the fields of :class:`JobConfig`; flags of the command line override them::

    data: digits
    device: host
    latency_ms: 0.5
    search: {iterations: 5}
    build: {pick: best}
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from natdeploy.ground.errors import BadInput
from natdeploy.ground.validation import Real, Settings, Whole, read_yaml, validate
from natdeploy.runs.config import EVERY_TASK, RunConfig, Task
from natdeploy.runs.examples import job_path
from natdeploy.runs.settings import Budget, Name


def _one_as_many(value: Any) -> Any:
    """A single name stands for a list of one."""
    return (value,) if isinstance(value, str) else value


class ProfileSettings(Settings):
    """How a device is profiled when it has no latency model yet.

    Attributes:
        networks: subnets timed to train the latency model; fewer than 30 suffice where other devices are known.
        holdout: further subnets timed to judge it.
        target_within10: time only as many as it takes to predict this share of the holdout within +-10 %.
        minutes: for each runtime; what was timed by then has to suffice.
        level: what is timed: ``network`` whole ones, ``kernel`` single kernels and few networks, ``both`` all of these.
        runtimes: runtimes to profile; empty means all the device has.
    """

    networks: Annotated[Whole, Field(ge=3, le=100_000)] = 120
    holdout: Annotated[Whole, Field(ge=5, le=100_000)] = 40
    target_within10: Annotated[Real, Field(gt=0, le=1)] | None = None
    minutes: Annotated[Real, Field(gt=0)] | None = None
    level: Literal["network", "kernel", "both"] = "network"
    runtimes: tuple[Name, ...] = ()


class BuildSettings(Settings):
    """What is built from the finished search.

    Attributes:
        pick: ``best``, ``knee``, ``fastest``, ``front`` (all of it) or an architecture's id; or a list of these.
        task: further data sets that it is built for, by name, each with its own weights and images; ``all``: these and
            the job's own, ``data``, which is the one where none is named.
        attempts: how many candidates are built before the budget counts as not met.
        finetune_epochs: epochs that what is built is trained on its own, after a quarter as many of its classifier
            alone; 0: none.
    """

    pick: Annotated[tuple[Name, ...], BeforeValidator(_one_as_many), Field(min_length=1)] = ("best",)
    task: Annotated[tuple[Name, ...], BeforeValidator(_one_as_many)] = ()
    attempts: Annotated[Whole, Field(ge=1, le=100)] = 5
    finetune_epochs: Annotated[Whole, Field(ge=0, le=10_000)] = 0


class JobConfig(Task):
    """From images, device and budget to bundles.

    Attributes:
        latency_ms: the budget in milliseconds.
        latency_percentile: instead of ``latency_ms``: that percentile of the profiled random subnets' latencies.
        out: the run's folder; None derives one from the budget and the data's name.
        profile, build: settings of the stages around the search.
    """

    latency_ms: Budget | None = None
    latency_percentile: Annotated[Real, Field(gt=0, le=100)] | None = None
    out: Name | None = None
    profile: ProfileSettings = ProfileSettings()
    build: BuildSettings = BuildSettings()

    @model_validator(mode="after")
    def _one_budget(self) -> JobConfig:
        if (self.latency_ms is None) == (self.latency_percentile is None):
            raise ValueError("expected exactly one of the fields 'latency_ms' and 'latency_percentile'")
        return self

    @model_validator(mode="after")
    def _known_tasks_to_build(self) -> JobConfig:
        for name in {*self.build.task} - {EVERY_TASK, *self.further_data}:
            known = ", ".join(self.further_data) or "none"
            raise ValueError(f"field 'build.task': no further data set is named {name!r}; known: {known}")
        return self

    def run_config(self, latency_ms: float | None = None) -> RunConfig:
        """The search's part, with ``latency_ms`` for a budget given as a percentile."""
        budget = self.latency_ms if latency_ms is None else latency_ms
        if budget is None:
            raise BadInput("job: the budget is a percentile; give its value in milliseconds")
        value = {**self.model_dump(include=set(Task.model_fields)), "latency_ms": budget}
        return validate(RunConfig, value, "job")


def load_job(path: Path | None, overrides: Mapping[str, Any] | None = None) -> JobConfig:
    """Read a job file and lay flags over it.

    Args:
        path: the YAML file, or ``example:NAME`` for one that comes with natdeploy; None for none.
        overrides: dotted field name (``search.iterations``) to value; None values are left out.

    Raises BadInput naming file and field.
    """
    path = None if path is None else job_path(path)
    value = read_yaml(path, "job file") if path is not None else {}
    source = path if path is not None else "job"
    if not isinstance(value, dict):
        raise BadInput(f"{source}: expected fields with values, as in 'latency_ms: 2'")
    given = {name: item for name, item in (overrides or {}).items() if item is not None}
    if "latency_ms" in given or "latency_percentile" in given:  # a flag's budget replaces the file's, of either kind
        value = {name: item for name, item in value.items() if name not in ("latency_ms", "latency_percentile")}
    for name, item in given.items():
        value = _with(value, name.split("."), item, source)
    return validate(JobConfig, value, source)


def _with(value: Mapping[str, Any], parts: list[str], item: Any, source: object) -> dict[str, Any]:
    """A copy of nested mappings with one field replaced."""
    if len(parts) == 1:
        return {**value, parts[0]: item}
    inner = value.get(parts[0]) or {}
    if not isinstance(inner, Mapping):
        raise BadInput(f"{source}: field {parts[0]!r}: expected fields with values, not {inner!r:.60}")
    return {**value, parts[0]: _with(inner, parts[1:], item, source)}
