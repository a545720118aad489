"""Hardware profiles of a pipeline's entries."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from natdeploy.ground.errors import NatdeployError

if TYPE_CHECKING:
    from natdeploy.devices import HardwareProfile
    from natdeploy.runs.pipeline import PipelineEntry


def entry_profiles(file: str | Path, entries: Sequence[PipelineEntry]) -> list[HardwareProfile]:
    """The profile of each entry's device, as written: nothing is measured.

    Asked for before any of the work, so that a wrong name does not wait for the entries before it. Raises BadInput
    naming file, task and device.
    """
    from natdeploy.devices import load_profile

    profiles = []
    for entry in entries:
        try:
            profiles.append(load_profile(entry.job.device, derive=False))
        except NatdeployError as error:
            raise type(error)(f"{file}: task {entry.task!r} on device {entry.device!r}: {error}") from None
    return profiles
