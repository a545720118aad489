"""A run's architectures as they are built: networks with the classes of the images that they are built for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING

from natdeploy.runs import ArchiveEntry, Place, RunFolder, ServedRun
from natdeploy.runs.quantities import with_ends
from natdeploy.spaces import costs, file_bytes, get_space

if TYPE_CHECKING:
    import numpy as np

    from natdeploy.latency import LatencyModel


class BuiltRun(ServedRun):
    """A served run whose costs, latencies and energies are those of networks with so many classes.

    A search reckons all of them with the classes of its own data set (of several, the most that any has), or of its
    accuracy predictor. What is built for other images has another classifier: limits and budget are held by the network
    that ships.

    Args:
        run, device, task: as of :class:`natdeploy.runs.ServedRun`.
        classes: of the images.
        model: predicts the device's latencies.
    """

    def __init__(self, run: RunFolder, device: str | None, task: str, classes: int, model: LatencyModel) -> None:
        super().__init__(run, device, task)
        self._classes, self._model, self._searched_with = classes, model, model

    def with_model(self, model: LatencyModel) -> BuiltRun:
        """The same as another model of the device predicts it: latencies, energies, what keeps budget and limits."""
        found = copy(self)
        found._model = model
        return found

    def _here(self, entries: Sequence[ArchiveEntry]) -> list[ArchiveEntry]:
        counted = [self._counted(entry) for entry in entries]
        as_searched = self._model is self._searched_with and counted == list(entries)
        return super()._here(entries if as_searched else self._predicted(counted))

    def _counted(self, entry: ArchiveEntry) -> ArchiveEntry:
        layers = get_space(entry.arch.space).layers(entry.arch, self._classes)
        found, more = costs(layers), dict(entry.more)
        if "file_bytes" in more:
            more["file_bytes"] = float(file_bytes(layers))
        return replace(
            entry,
            macs=found.macs,
            params=found.params,
            peak_activation_bytes=found.peak_activation_bytes,
            more=more,
        )

    def _predicted(self, entries: Sequence[ArchiveEntry]) -> list[ArchiveEntry]:
        """Latencies and energies anew, on every device and runtime that the run knows of."""
        if not entries:
            return []
        config = self._run.config()
        archs = [entry.arch for entry in entries]
        figures: dict[str, np.ndarray] = {}
        for place in config.places:
            of = "" if place == config.home else f":{place.key}"
            found = self._model_of(place).predict(archs, num_classes=self._classes)
            ends = found.mean_ms, found.lower_ms, found.upper_ms
            figures |= with_ends(f"latency_ms{of}", *ends)
            if place in config.powered:
                watts = self._run.power_of(place)["watts"]
                figures |= with_ends(f"energy_mj{of}", *(watts * values for values in ends))
        return [
            _with(entry, {name: float(values[row]) for name, values in figures.items()})
            for row, entry in enumerate(entries)
        ]

    def _model_of(self, place: Place) -> LatencyModel:
        from natdeploy.latency import LatencyModel

        path = self._run.latency_model_of(place)
        return self._model if path == self.latency_model_path else LatencyModel.load(path)


def _with(entry: ArchiveEntry, figures: Mapping[str, float]) -> ArchiveEntry:
    """An entry with other figures in the places of those it has."""
    more = {name: figures.get(name, value) for name, value in entry.more.items()}
    return replace(
        entry,
        latency_ms=figures["latency_ms"],
        latency_lower_ms=figures["latency_lower_ms"],
        latency_upper_ms=figures["latency_upper_ms"],
        more=more,
    )
