"""What one model for several devices costs against a model for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from natdeploy.runs import ArchiveEntry, RunConfig
from natdeploy.runs.quantities import place_of


def sharing(archive: Sequence[ArchiveEntry], config: RunConfig) -> dict[str, Any] | None:
    """The most accurate model within every device's budget, beside the most accurate ones within each alone.

    All are from one archive: a search for one of the devices alone may find better ones still. ``top1`` is the mean
    over all data sets, ``lost`` what the shared model has less of it, a share.

    Returns:
        ``shared`` and ``devices`` (by the name of the latency): the model's id, ``top1``, its latency on each device;
        None for one device. Where no model serves all devices, or none serves one, its figures are None.
    """
    if len(config.budgeted) < 2:
        return None
    every = config.budgeted
    shared = _best(archive, every, config)
    devices: dict[str, Any] = {}
    for name in every:
        alone = _best(archive, (name,), config)
        lost = None if alone is None or shared is None else _accuracy(alone, config) - _accuracy(shared, config)
        place = place_of(name, config.home)
        assert place is not None
        where = {"device": place.device, "runtime": place.runtime}
        devices[name] = {**where, "budget_ms": config.budgets[name], **_told(alone, config), "lost": lost}
    return {"shared": _told(shared, config), "devices": devices}


def _best(archive: Sequence[ArchiveEntry], names: Sequence[str], config: RunConfig) -> ArchiveEntry | None:
    """The most accurate within these budgets; of equal ones the one with the fewest multiply-adds."""
    found = [entry for entry in archive if config.requirements.serving(names, entry)]
    return max(found, key=lambda entry: (_accuracy(entry, config), -entry.macs, entry.id), default=None)


def _accuracy(entry: ArchiveEntry, config: RunConfig) -> float:
    """Mean over the data sets."""
    values = [entry.top1, *(entry.value(f"top1:{name}") for name in config.further_data)]
    return sum(values) / len(values)


def _told(entry: ArchiveEntry | None, config: RunConfig) -> dict[str, Any]:
    if entry is None:
        return {"id": None, "top1": None, "latencies_ms": None}
    return {
        "id": entry.id,
        "top1": _accuracy(entry, config),
        "latencies_ms": {name: entry.value(name) for name in config.budgeted},
    }
