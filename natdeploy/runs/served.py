"""A run as seen from one of the devices that it serves: what may be built for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from natdeploy.ground.errors import BudgetNotMet
from natdeploy.runs.config import RunConfig
from natdeploy.runs.entry import ArchiveEntry
from natdeploy.runs.folder import RunFolder
from natdeploy.runs.quantities import Place, canonical, edge, place_of


class ServedRun(RunFolder):
    """Device, runtime, budget, latency model and predicted latencies are those of one device.

    Only architectures that keep the run's limits are there.

    Args:
        run: the run.
        device: one that it serves; its own where it is another one.
    """

    def __init__(self, run: RunFolder, device: str | None = None) -> None:
        super().__init__(run.path)
        self._run = run
        config = run.config()
        self._name = "latency_ms"
        if device in config.further_devices:
            self._name = canonical(f"latency_ms:{device}", config.home)
        place = place_of(self._name, config.home)
        assert place is not None
        self._place: Place = place

    def config(self) -> RunConfig:
        """The run's, with this device, its runtime and its budget."""
        config = self._run.config()
        own = {"latency_ms": config.budgets[self._name], "further_devices": {}}
        return config.model_copy(update={**own, "device": self._place.device, "runtime": self._place.runtime})

    @property
    def latency_model_path(self) -> Path:
        """This device's latency model."""
        return self._run.latency_model_of(self._place)

    def archive(self) -> list[ArchiveEntry]:
        """What keeps the limits. Raises BudgetNotMet where nothing does."""
        limits = self._run.config().limits
        found = self._here(self._run.archive())
        if not found and limits:
            raise BudgetNotMet(f"{self.path}: no architecture of the archive keeps {', '.join(limits)}")
        return found

    def front(self) -> list[ArchiveEntry]:
        """The part of the run's front that is within this device's budget, by ascending latency on it."""
        front = [entry for entry in self._here(self._run.front()) if entry.feasible]
        return sorted(front, key=lambda entry: (entry.latency_ms, entry.id))

    def _here(self, entries: Sequence[ArchiveEntry]) -> list[ArchiveEntry]:
        requirements = self._run.config().requirements
        return [self._seen(entry) for entry in entries if requirements.serving((), entry)]

    def _seen(self, entry: ArchiveEntry) -> ArchiveEntry:
        upper = entry.value(edge(self._name, upper=True))
        return replace(
            entry,
            latency_ms=entry.value(self._name),
            latency_lower_ms=entry.value(edge(self._name, upper=False)),
            latency_upper_ms=upper,
            feasible=upper <= self._run.config().budgets[self._name],
        )
