"""What is known of other devices, from which a device with few measurements can learn.

Timings in the user's store, published ones that were imported, and predictors: those of devices that were profiled
elsewhere, and those that natdeploy ships. A predictor stands for its device by what it says of random architectures,
with as much noise as it errs, so that it is not taken for better than it is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from natdeploy.devices import load_profile
from natdeploy.devices.retired import is_retired
from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import cache_root, canonical_json, content_key
from natdeploy.latency.imported.models import imported_devices, imported_models, imported_table_models
from natdeploy.latency.imported.networks import published_networks
from natdeploy.latency.library import SHIPPED
from natdeploy.latency.measured.comparable import same_toolchain
from natdeploy.latency.model import LatencyModel
from natdeploy.latency.transferred.predictor import SourceKnowledge
from natdeploy.latency.transferred.sources import MIN_MEASURED
from natdeploy.measure import Measurement, MeasurementStore
from natdeploy.spaces import Arch, Space

#: Random architectures for which a predictor stands in for its device, and least and most relative noise it gets.
POOL, LEAST_NOISE, MOST_NOISE = 400, 0.01, 0.3
#: Mean absolute deviation of a normal distribution, in standard deviations.
MEAN_ABSOLUTE = 0.798
#: Fewest other devices: intervals are calibrated by leaving each of them out.
MIN_DEVICES = 2


@dataclass(frozen=True)
class OtherDevice:
    """A device, with a runtime and a setting, that is not the one to be predicted.

    Attributes:
        name: of device and runtime.
        kind: ``timed`` here, ``published`` networks, or ``predicted`` by a model of it.
        latency_ms: by architecture of the space.
    """

    name: str
    kind: str
    latency_ms: Mapping[Arch, float]


@dataclass(frozen=True)
class Place:
    """What is to be predicted: a device with a runtime, built and run by a toolchain."""

    fingerprint: str
    runtime: str
    toolchain: Mapping[str, str]

    def has(self, timing: Measurement) -> bool:
        """Whether a timing is of this very place."""
        here = (timing.device_fingerprint, timing.runtime) == (self.fingerprint, self.runtime)
        return here and same_toolchain(timing, self.toolchain)


def known_devices(
    space: Space, store: MeasurementStore | None, place: Place, *, elsewhere: bool = False
) -> list[OtherDevice]:
    """Every other device of which at least 30 networks of a space are known, by name.

    The same device counts with another runtime, and with tools of another version.

    Args:
        space: of the networks.
        store: the user's timings, None where there are none yet.
        place: what is to be predicted, and therefore left out.
        elsewhere: leave out the place's device with whatever runtime and tools.
    """
    timed = {} if store is None else _timed(space, store)
    found = {
        name: OtherDevice(name, "timed", latency_ms)
        for name, (example, latency_ms) in timed.items()
        if not place.has(example) and not (elsewhere and example.device_fingerprint == place.fingerprint)
    }
    have = {(example.device_fingerprint, example.runtime) for example, _ in timed.values()}
    for device in imported_devices():
        found |= {one.name: one for one in _published(space, device)}
    for model in _models(space, place, have):
        name = f"{model.device} ({model.runtime})"
        found.setdefault(name, OtherDevice(name, "predicted", _spoken_for(model, space)))
    return [found[name] for name in sorted(found)]


def other_knowledge(
    space: Space, store: MeasurementStore | None, place: Place, *, elsewhere: bool = False
) -> SourceKnowledge | None:
    """What :func:`known_devices` teach, None where there are fewer than two."""
    devices = known_devices(space, store, place, elsewhere=elsewhere)
    if len(devices) < MIN_DEVICES:
        return None
    return SourceKnowledge.of(space, {device.name: device.latency_ms for device in devices})


def _timed(space: Space, store: MeasurementStore) -> dict[str, tuple[Measurement, dict[Arch, float]]]:
    """Medians by device, runtime, threads and toolchain, and an example of each; all of the space's own classes."""
    groups: dict[str, list[Measurement]] = defaultdict(list)
    retired = cache(is_retired)
    for item in store.query(space=space.name):
        own_classes = item.num_classes in (None, space.num_classes)
        usable = item.trusted and own_classes and not retired(item.device_fingerprint)
        if usable and item.arch is not None and item.role in ("train", "holdout"):
            threads = item.protocol.get("threads", 1)
            key = canonical_json([item.device_fingerprint, item.runtime, threads, dict(item.toolchain)])
            groups[key].append(item)
    found = {}
    for key, items in groups.items():
        values: dict[Arch, list[float]] = defaultdict(list)
        for item in items:
            if item.arch is not None and item.latency_ms > 0:
                values[item.arch].append(item.latency_ms)
        if len(values) >= MIN_MEASURED:
            example = items[-1]
            name = f"{example.device} ({example.runtime}, timed {example.taken_at[:10]}, {content_key(key)[:4]})"
            found[name] = (example, {arch: float(np.median(each)) for arch, each in values.items()})
    return found


def _published(space: Space, device: str) -> Iterator[OtherDevice]:
    """Networks of the space that were published of a device, by runtime and setting."""
    for found in published_networks(device, space):
        parts = [part for part in (found.runtime, found.setting, f"published as {found.named}") if part]
        yield OtherDevice(f"{device} ({', '.join(parts)})", "published", found.latency_ms)


def _models(space: Space, place: Place, have: set[tuple[str, str]]) -> Iterator[LatencyModel]:
    """Predictors of devices of which the store has no timings: profiled elsewhere, imported, shipped."""
    for path in sorted((cache_root() / "latency_models").glob(f"*/{space.name}/*.json")):
        model = _loaded(path, space)
        where = None if model is None else (model.device_fingerprint, model.runtime)
        if (
            model is not None
            and model.source == "measured"
            and not is_retired(model.device_fingerprint)
            and where not in {*have, (place.fingerprint, place.runtime)}
        ):
            yield model
    imported = {device: _imported(device, space) for device in imported_devices()}
    for models in imported.values():
        yield from models
    for path in sorted(SHIPPED.glob(f"*/{space.name}.json")):
        if not imported.get(path.parent.name):
            yield LatencyModel.load(path, space)


def _imported(device: str, space: Space) -> list[LatencyModel]:
    """Models of imported measurements; of a device whose profile is gone, those that need none."""
    try:
        profile = load_profile(device, derive=False)
    except BadInput:
        return imported_table_models(device, space)
    return imported_models(profile, space)


def _loaded(path: Path, space: Space) -> LatencyModel | None:
    """A model of another device; one that this version cannot read has nothing to teach."""
    try:
        return LatencyModel.load(path, space)
    except BadInput:
        return None


def _spoken_for(model: LatencyModel, space: Space) -> dict[Arch, float]:
    """What a predictor says of random architectures, the same for all, with noise of the size of its error."""
    rng = np.random.default_rng([POOL, 15])
    # A table is worked out for each resolution anew: three of them tell what a resolution makes of a latency.
    few = space.at_resolutions(sorted({space.resolutions[place] for place in (0, len(space.resolutions) // 2, -1)}))
    archs = tuple(dict.fromkeys(few.sample(rng, uniform=("gene", "phenotype")[i % 2]) for i in range(POOL)))
    noise = np.clip(model.quality.mape / MEAN_ABSOLUTE, LEAST_NOISE, MOST_NOISE)
    own = np.random.default_rng(int(content_key([model.device, model.runtime, space.name])[:8], 16))
    mean_ms = model.predict(archs).mean_ms * np.exp(noise * own.standard_normal(len(archs)))
    return dict(zip(archs, mean_ms.tolist()))
