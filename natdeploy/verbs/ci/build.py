"""``ci build``: an entry's latency model, search and bundles; what has not changed is not made again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from natdeploy.verbs.bundle_info import BundleInfo
from natdeploy.verbs.result import Progress, Result

if TYPE_CHECKING:
    from natdeploy.runs.pipeline import PipelineConfig, PipelineEntry


@dataclass(frozen=True)
class BuiltEntry:
    """An entry whose bundles are there.

    Attributes:
        name, task, device: the entry.
        folder: where it is kept.
        stages: ``latency model``, ``search`` and ``build``, and what became of each: made, continued or reused; of a
            latency model that is not of the device's own timings, its source.
        seconds: wall-clock seconds of the same.
        bundles: one per pick; picks that chose the same architecture share one.
        report: the search's report.
    """

    name: str
    task: str
    device: str
    folder: Path
    stages: Mapping[str, str]
    seconds: Mapping[str, float]
    bundles: tuple[BundleInfo, ...]
    report: Path


@dataclass(frozen=True)
class CiBuildResult(Result):
    """What was asked for, built or found unchanged."""

    entries: tuple[BuiltEntry, ...]


def build(
    file: str | Path = "natdeploy.yaml",
    *,
    device: str | None = None,
    task: str | None = None,
    progress: Progress | None = None,
) -> CiBuildResult:
    """Build a pipeline's entries, one after the other; interrupted, it continues.

    A device that is not this machine gets an executable, verified under emulation, and the latency that its own
    timings, published ones or its hardware profile predict.

    Args:
        file: the pipeline.
        device, task: only the entries of these.
        progress: told what is going on.

    Raises what :func:`natdeploy.verbs.search` and :func:`natdeploy.verbs.build` raise.
    """
    from natdeploy.runs.pipeline import load_pipeline
    from natdeploy.verbs.ci.profiles import entry_profiles

    pipeline = load_pipeline(file)
    entries = pipeline.select(device, task)
    entry_profiles(file, entries)
    return CiBuildResult(tuple(_built(entry, pipeline.config, progress) for entry in entries))


def _built(entry: PipelineEntry, config: PipelineConfig, progress: Progress | None) -> BuiltEntry:
    from natdeploy.ground.files import readable_disk_errors
    from natdeploy.ground.lock import only_process_in
    from natdeploy.verbs.ci.record import REPORT
    from natdeploy.verbs.ci.stages import EntryBuild

    folder = Path(config.out) / entry.name
    with readable_disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with only_process_in(folder):
        work = EntryBuild(entry, folder, config.keep_searches, progress)
        bundles = work.bundles()
    report = folder / REPORT
    return BuiltEntry(entry.name, entry.task, entry.device, folder, work.outcome, work.seconds, bundles, report)
