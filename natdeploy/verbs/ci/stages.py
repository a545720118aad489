"""The stages of one entry, in order: latency model, search, bundles. Each is made only where its key is new."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from natdeploy.verbs.bundle_info import BundleInfo, bundle_info
from natdeploy.verbs.ci.keys import build_key, inputs_key, latency_key, search_key
from natdeploy.verbs.ci.prune import prune_searches
from natdeploy.verbs.ci.record import (
    FRONT,
    REPORT,
    EntryRecord,
    bundle_digest,
    bundles_folder,
    read_record,
    run_folder,
    write_record,
)
from natdeploy.verbs.result import Progress

if TYPE_CHECKING:
    from natdeploy.devices import HardwareProfile
    from natdeploy.latency import LatencyModel
    from natdeploy.runs.pipeline import PipelineEntry

#: What became of a stage.
MADE, CONTINUED, REUSED = "made", "continued", "reused"


class EntryBuild:
    """An entry on its way to its bundles.

    Args:
        entry: the entry.
        folder: where it is kept; held by this process.
        keep: how many of its searches stay.
        progress: told what is going on.

    Attributes:
        outcome: stage to what became of it: made, continued or reused; of a latency model that is not of the device's
            own timings, its source.
        seconds: stage to wall-clock seconds.
    """

    def __init__(self, entry: PipelineEntry, folder: Path, keep: int, progress: Progress | None) -> None:
        self._entry, self._folder, self._keep = entry, folder, keep
        self._progress = progress
        self._last = time.monotonic()
        self.outcome: dict[str, str] = {}
        self.seconds: dict[str, float] = {}

    def bundles(self) -> tuple[BundleInfo, ...]:
        """Do what is not done yet; the bundles, one per architecture."""
        from natdeploy.devices import load_profile
        from natdeploy.runs import RunFolder
        from natdeploy.verbs.ci.inputs import job_inputs
        from natdeploy.verbs.job import check_job

        before, job = read_record(self._folder), self._entry.job
        written = load_profile(job.device, derive=False)
        self._tell("reading what it is made from", 0.0)
        inputs = job_inputs(job)
        of_inputs = inputs_key(job, written, inputs)
        if before is None or before.inputs != of_inputs:
            check_job(job.model_copy(update={"out": str(self._folder / "runs" / "new")}), written)
        profile = load_profile(job.device)
        model = self._latency_model(profile)
        latency = latency_key(model)
        search = search_key(job, inputs, latency)
        run = self._search(search)
        build = build_key(job, profile, search)
        found = self._unchanged(before, build)
        if found is None:
            found, digests = self._build(run)
            write_record(
                self._folder,
                EntryRecord(
                    name=self._entry.name,
                    task=self._entry.task,
                    device=self._entry.device,
                    inputs=of_inputs,
                    latency_model=latency,
                    latency_source=model.source,
                    search=search,
                    build=build,
                    bundles=digests,
                    front=tuple((one.latency_ms, one.top1) for one in RunFolder(run).front()),
                ),
            )
        for removed in prune_searches(self._folder, search, self._keep):
            self._tell(f"removed the search {removed.name}, which was not used for long", 1.0)
        return found

    def _latency_model(self, profile: HardwareProfile) -> LatencyModel:
        from natdeploy.ground.files import sha256_file
        from natdeploy.latency import latency_model_path
        from natdeploy.verbs.job import ensure_latency_model

        job = self._entry.job
        path = latency_model_path(profile, job.space, job.runtime)
        before = sha256_file(path) if path.exists() else None
        model = ensure_latency_model(job, profile, self._tell)
        after = sha256_file(path) if path.exists() else None
        self._done("latency model", model.source if after is None else REUSED if after == before else MADE)
        return model

    def _search(self, key: str) -> Path:
        """The run of this key, finished."""
        from natdeploy.runs import RunFolder
        from natdeploy.verbs.search import search_job

        path = run_folder(self._folder, key)
        started = RunFolder.exists(path)
        finished = started and RunFolder(path).is_finished
        if not finished:
            search_job(self._entry.job.model_copy(update={"out": str(path)}), self._tell)
        self._done("search", REUSED if finished else CONTINUED if started else MADE)
        return path

    def _unchanged(self, before: EntryRecord | None, key: str) -> tuple[BundleInfo, ...] | None:
        """The bundles of the last build, if they are of this key and whole; None where they must be built."""
        from natdeploy.deploy.integrity import check_files
        from natdeploy.ground.errors import NatdeployError

        if before is None or before.build != key:
            return None
        found = []
        for name, digest in before.bundles.items():
            path = bundles_folder(self._folder) / name
            try:
                manifest = check_files(path)
            except NatdeployError:  # damaged or gone: built again
                return None
            if bundle_digest(manifest) != digest:
                return None
            found.append(bundle_info(path, manifest))
        self._done("build", REUSED)
        return tuple(found)

    def _build(self, run: Path) -> tuple[tuple[BundleInfo, ...], dict[str, str]]:
        """The run's bundles and what a record keeps of each; those of earlier builds go."""
        from natdeploy.deploy.integrity import MANIFEST
        from natdeploy.deploy.manifest import read_manifest
        from natdeploy.report.picture import write_picture
        from natdeploy.runs import RunFolder
        from natdeploy.verbs.build import build
        from natdeploy.verbs.report import report

        settings, out = self._entry.job.build, bundles_folder(self._folder)
        built = build(
            run,
            pick=settings.pick,
            task=settings.task,
            attempts=settings.attempts,
            finetune_epochs=settings.finetune_epochs,
            out=out,
            progress=self._tell,
        ).bundles
        digests = {bundle.path.name: bundle_digest(read_manifest(bundle.path / MANIFEST)) for bundle in built}
        for path in out.iterdir():
            if path.name not in digests and path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
        report(run, out=self._folder / REPORT)
        write_picture([RunFolder(run)], self._folder / FRONT)
        self._done("build", MADE)
        return built, digests

    def _tell(self, stage: str, fraction: float) -> None:
        if self._progress is not None:
            self._progress(f"{self._entry.name}: {stage}", fraction)

    def _done(self, stage: str, outcome: str) -> None:
        now = time.monotonic()
        self.seconds[stage], self._last = now - self._last, now
        self.outcome[stage] = outcome
