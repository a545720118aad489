"""Runs as data: their configuration, folder, archive and history. Knows nothing of how they are made."""

from natdeploy.runs.bundles import RunBundles, bundles_of, note_bundle
from natdeploy.runs.config import RunConfig
from natdeploy.runs.entry import ArchiveEntry
from natdeploy.runs.folder import RunFolder
from natdeploy.runs.history import HistoryStep
from natdeploy.runs.job import BuildSettings, JobConfig, ProfileSettings, load_job
from natdeploy.runs.quantities import Limit, Place, Requirements
from natdeploy.runs.served import ServedRun, on_task, tasks_to_build
from natdeploy.runs.settings import AdaptSettings, SearchSettings

__all__ = [
    "AdaptSettings",
    "ArchiveEntry",
    "BuildSettings",
    "HistoryStep",
    "JobConfig",
    "Limit",
    "Place",
    "ProfileSettings",
    "Requirements",
    "RunBundles",
    "RunConfig",
    "RunFolder",
    "SearchSettings",
    "ServedRun",
    "bundles_of",
    "load_job",
    "note_bundle",
    "on_task",
    "tasks_to_build",
]
