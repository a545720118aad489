"""``ci plan``: what there is to build, in the form that a CI system starts its jobs from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from natdeploy.verbs.result import Progress, Result


@dataclass(frozen=True)
class PlannedEntry:
    """One job of the matrix.

    Attributes:
        name: the entry; its folder and its baseline are named so.
        task, device: what to give to ``ci build``.
        profile: the hardware profile's name.
        here: whether the device is the machine that builds; else its executable is verified under emulation.
        key: digest of everything the entry is made from; equal keys give equal bundles but for measurements.
    """

    name: str
    task: str
    device: str
    profile: str
    here: bool
    key: str


@dataclass(frozen=True)
class PlanResult(Result):
    """The matrix, as ``fromJSON`` of GitHub Actions takes it.

    Attributes:
        include: one job each.
    """

    include: tuple[PlannedEntry, ...]


def plan(
    file: str | Path = "natdeploy.yaml",
    *,
    device: str | None = None,
    task: str | None = None,
    progress: Progress | None = None,
) -> PlanResult:
    """List a pipeline's entries with their content keys; nothing is timed, trained or written.

    Args:
        file: the pipeline.
        device, task: only the entries of these.
        progress: told what is going on.

    Raises BadInput naming file, entry and field, for an unknown device too.
    """
    from natdeploy.runs.pipeline import load_pipeline
    from natdeploy.verbs.ci.inputs import job_inputs
    from natdeploy.verbs.ci.keys import inputs_key
    from natdeploy.verbs.ci.profiles import entry_profiles

    entries = load_pipeline(file).select(device, task)
    planned = []
    for number, (entry, profile) in enumerate(zip(entries, entry_profiles(file, entries))):
        if progress is not None:
            progress(f"reading what {entry.name} is made from", number / len(entries))
        key = inputs_key(entry.job, profile, job_inputs(entry.job))
        planned.append(
            PlannedEntry(entry.name, entry.task, entry.device, profile.name, profile.is_this_machine, key[:32])
        )
    return PlanResult(tuple(planned))
