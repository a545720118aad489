"""A run as seen from one of its devices and one of its data sets: what may be built for these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from natdeploy.ground.errors import BadInput, BudgetNotMet
from natdeploy.runs.config import EVERY_TASK, RunConfig
from natdeploy.runs.entry import ArchiveEntry
from natdeploy.runs.folder import SUPERNET, TASKS, RunFolder
from natdeploy.runs.quantities import Place, canonical, edge, place_of


class ServedRun(RunFolder):
    """Device, runtime, budget, latency model and latencies are one device's; images, weights and accuracies one task's.

    Only architectures that keep the run's limits are there.

    Args:
        run: the run.
        device: one that it serves; its own where it is another one.
        task: name of one of its further data sets; empty for its own.

    Raises BadInput for a task that it does not have.
    """

    def __init__(self, run: RunFolder, device: str | None = None, task: str = "") -> None:
        super().__init__(run.path)
        self._run = run
        self.task = task
        config = run.config()
        if task:
            check_task(run, config, task)
        self._name = "latency_ms"
        if device in config.further_devices:
            self._name = canonical(f"latency_ms:{device}", config.home)
        place = place_of(self._name, config.home)
        assert place is not None
        self._place: Place = place

    def config(self) -> RunConfig:
        """The run's, with this device, its runtime and its budget, and this data set."""
        config = self._run.config()
        own = {"latency_ms": config.budgets[self._name], "further_devices": {}, "further_data": {}}
        own |= {"device": self._place.device, "runtime": self._place.runtime}
        return config.model_copy(update={**own, "data": config.further_data.get(self.task, config.data)})

    @property
    def data_fingerprint(self) -> str:
        """Digest of this data set's images."""
        return self._run.fingerprint_of(self.task)

    @property
    def supernet_path(self) -> Path:
        """The weights that were adapted to this data set."""
        return self._file(f"{TASKS}/{self.task}/{SUPERNET}") if self.task else super().supernet_path

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
            on_task(entry, self.task),
            latency_ms=entry.value(self._name),
            latency_lower_ms=entry.value(edge(self._name, upper=False)),
            latency_upper_ms=upper,
            feasible=upper <= self._run.config().budgets[self._name],
        )


def check_task(run: RunFolder, config: RunConfig, task: str) -> None:
    """Raise BadInput where a run has no further data set of that name."""
    if task not in config.further_data:
        known = ", ".join(config.further_data)
        has = f"its further data sets are {known}" if known else "it has one data set alone; leave the option out"
        raise BadInput(f"{run.path}: no further data set is named {task!r}: {has}")


def tasks_to_build(run: RunFolder, named: str | Sequence[str] | None) -> tuple[str, ...]:
    """Data sets by their names in a run, each once; the run's own is the empty one, and the one of no names.

    ``all`` is the run's own and every further one. Raises BadInput for a data set that the run does not have.
    """
    config = run.config()
    names = [named] if isinstance(named, str) else list(named or [""])
    for name in {*names} - {"", EVERY_TASK}:
        check_task(run, config, name)
    every = ("", *config.further_data)
    return tuple(dict.fromkeys(one for name in names for one in (every if name == EVERY_TASK else (name,))))


def on_task(entry: ArchiveEntry, task: str) -> ArchiveEntry:
    """An entry with the accuracy on a further data set as its own; for the empty name as it is."""
    if not task:
        return entry
    return replace(
        entry,
        top1=entry.value(f"top1:{task}"),
        loss=entry.value(f"loss:{task}"),
        val_images=int(entry.value(f"val_images:{task}")),
    )
