"""``ci build``: an entry's latency model, search and bundles; what has not changed is not made again."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from natdeploy.verbs.bundle_info import BundleInfo, bundle_info
from natdeploy.verbs.result import Progress, Result

if TYPE_CHECKING:
    from natdeploy.devices import HardwareProfile
    from natdeploy.latency import LatencyModel
    from natdeploy.runs import JobConfig
    from natdeploy.runs.pipeline import PipelineEntry
    from natdeploy.verbs.ci.record import EntryRecord

#: What became of a stage.
MADE, CONTINUED, REUSED = "made", "continued", "reused"


@dataclass(frozen=True)
class BuiltEntry:
    """An entry whose bundles are there.

    Attributes:
        name, task, device: the entry.
        folder: where it is kept.
        stages: ``latency model``, ``search`` and ``build``, and what became of each: made, continued or reused; of a
            latency model that is not of timings, its source.
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
    from natdeploy.devices import load_profile
    from natdeploy.runs.pipeline import load_pipeline

    pipeline = load_pipeline(file)
    entries = pipeline.select(device, task)
    for entry in entries:  # a wrong name shall not wait for the entries before it
        load_profile(entry.job.device, derive=False)
    return CiBuildResult(tuple(_build(entry, Path(pipeline.config.out) / entry.name, progress) for entry in entries))


def _build(entry: PipelineEntry, folder: Path, progress: Progress | None) -> BuiltEntry:
    from natdeploy.ground.files import readable_disk_errors
    from natdeploy.ground.lock import only_process_in

    with readable_disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with only_process_in(folder):
        return _build_in(entry, folder, progress)


def _build_in(entry: PipelineEntry, folder: Path, progress: Progress | None) -> BuiltEntry:
    from natdeploy.deploy.integrity import MANIFEST
    from natdeploy.deploy.manifest import read_manifest
    from natdeploy.devices import load_profile
    from natdeploy.runs import RunFolder
    from natdeploy.verbs.build import build as build_run
    from natdeploy.verbs.ci import keys
    from natdeploy.verbs.ci.record import EntryRecord, bundle_digest, bundles_folder, read_record, run_folder
    from natdeploy.verbs.ci.record import write_record as keep
    from natdeploy.verbs.job import check_job
    from natdeploy.verbs.report import report as write_report
    from natdeploy.verbs.search import search_job

    def tell(stage: str, fraction: float) -> None:
        if progress is not None:
            progress(f"{entry.name}: {stage}", fraction)

    clock = _Clock()
    before, job = read_record(folder), entry.job
    written = load_profile(job.device, derive=False)
    tell("reading what it is made from", 0.0)
    inputs = keys.job_inputs(job)
    if before is None or before.inputs != keys.inputs_key(job, written, inputs):
        check_job(job.model_copy(update={"out": str(folder / "runs" / "new")}), written)
    profile = load_profile(job.device)
    model, from_where = _latency_model(job, profile, tell)
    latency = keys.latency_key(model)
    clock.lap("latency model")

    search = keys.search_key(job, inputs, latency)
    path = run_folder(folder, search)
    started = RunFolder.exists(path)
    finished = started and RunFolder(path).is_finished
    if not finished:
        search_job(job.model_copy(update={"out": str(path)}), tell)
    clock.lap("search")

    key = keys.build_key(job, profile, search)
    bundles = _unchanged(before, key, folder) if finished else None
    reused = bundles is not None
    if bundles is None:
        out = bundles_folder(folder)
        built = build_run(path, pick=job.build.pick, attempts=job.build.attempts, out=out, progress=tell)
        bundles = built.bundles
        _remove_others(out, {bundle.path.name for bundle in bundles})
        write_report(path, out=folder / "report.html")
        keep(
            folder,
            EntryRecord(
                name=entry.name,
                task=entry.task,
                device=entry.device,
                inputs=keys.inputs_key(job, written, inputs),
                latency_model=latency,
                latency_source=model.source,
                search=search,
                build=key,
                bundles={bundle.path.name: bundle_digest(read_manifest(bundle.path / MANIFEST)) for bundle in bundles},
            ),
        )
    clock.lap("build")
    stages = {
        "latency model": from_where,
        "search": REUSED if finished else CONTINUED if started else MADE,
        "build": REUSED if reused else MADE,
    }
    report = folder / "report.html"
    return BuiltEntry(entry.name, entry.task, entry.device, folder, stages, clock.seconds, bundles, report)


def _latency_model(job: JobConfig, profile: HardwareProfile, tell: Progress) -> tuple[LatencyModel, str]:
    """The device's latency model, and what became of it."""
    from natdeploy.ground.files import sha256_file
    from natdeploy.latency import latency_model_path
    from natdeploy.verbs.job import ensure_latency_model

    path = latency_model_path(profile, job.space, job.runtime)
    before = sha256_file(path) if path.exists() else None
    model = ensure_latency_model(job, profile, tell)
    if not path.exists():
        return model, model.source
    return model, REUSED if sha256_file(path) == before else MADE


def _unchanged(before: EntryRecord | None, key: str, folder: Path) -> tuple[BundleInfo, ...] | None:
    """The bundles of the last build, if they are of this key and whole; None where they must be built."""
    from natdeploy.deploy.integrity import check_files
    from natdeploy.ground.errors import NatdeployError
    from natdeploy.verbs.ci.record import bundle_digest, bundles_folder

    if before is None or before.build != key:
        return None
    found = []
    for name, digest in before.bundles.items():
        path = bundles_folder(folder) / name
        try:
            manifest = check_files(path)
        except NatdeployError:
            return None
        if bundle_digest(manifest) != digest:
            return None
        found.append(bundle_info(path, manifest))
    return tuple(found)


def _remove_others(bundles: Path, names: set[str]) -> None:
    """Bundles of earlier builds go: what is in the folder is what the last build chose."""
    for path in bundles.iterdir():
        if path.name not in names and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)


class _Clock:
    """Seconds of each stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, stage: str) -> None:
        """What happened since the last one was this stage."""
        now = time.monotonic()
        self.seconds[stage] = now - self._last
        self._last = now
