"""A run's architectures as they are built: networks with the classes of the images that they are built for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from natdeploy.runs import ArchiveEntry, RunFolder, ServedRun
from natdeploy.spaces import costs, file_bytes, get_space

if TYPE_CHECKING:
    from natdeploy.latency import LatencyModel


class BuiltRun(ServedRun):
    """A served run whose costs and latencies are those of networks with so many classes.

    A search reckons all of them with the classes of its own data set, or of its accuracy predictor. What is built for
    other images has another classifier: limits and budget are held by the network that ships.

    Args:
        run, device, task: as of :class:`natdeploy.runs.ServedRun`.
        classes: of the images.
        model: predicts the device's latencies.
    """

    def __init__(self, run: RunFolder, device: str | None, task: str, classes: int, model: LatencyModel) -> None:
        super().__init__(run, device, task)
        self._classes, self._model = classes, model

    def _here(self, entries: Sequence[ArchiveEntry]) -> list[ArchiveEntry]:
        counted = [self._counted(entry) for entry in entries]
        found = super()._here(counted)
        if counted == list(entries):
            return found
        return predicted_anew(found, self._model, self._classes, self.config().latency_ms)

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


def predicted_anew(
    entries: Sequence[ArchiveEntry], model: LatencyModel, classes: int, budget_ms: float
) -> list[ArchiveEntry]:
    """Entries with a latency model's present predictions, for networks with so many classes."""
    if not entries:
        return []
    predicted = model.predict([entry.arch for entry in entries], num_classes=classes)
    return [
        replace(
            entry,
            latency_ms=float(mean),
            latency_lower_ms=float(lower),
            latency_upper_ms=float(upper),
            feasible=bool(upper <= budget_ms),
        )
        for entry, mean, lower, upper in zip(
            entries, predicted.mean_ms, predicted.lower_ms, predicted.upper_ms, strict=True
        )
    ]
