"""Whole networks of a space that others published of a device: by setting, and as a model of the device."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import content_key
from natdeploy.latency.imported.kept_models import kept_model
from natdeploy.latency.intervals.conformal import fit_conformal
from natdeploy.latency.intervals.evaluation import Outcome, TimedNetworks, Timing, cross_validated, quality_of
from natdeploy.latency.intervals.prediction import IntervalPredictor, LatencyPrediction
from natdeploy.latency.intervals.quality import Quality
from natdeploy.latency.measured.xgboost_model import fit_xgboost
from natdeploy.latency.model import LatencyModel, Predictor, published_model
from natdeploy.latency.published.encoded_predictor import fit_encoded
from natdeploy.latency.transferred.sources import MIN_MEASURED
from natdeploy.measure.published import Publication, published_tables
from natdeploy.spaces import Arch, Space
from natdeploy.spaces.layer import OPS

#: Networks that a model is learned from at most; more of them take long and add little.
MOST = 1500
#: The batch that natdeploy's own artifacts have.
_BATCH = "batch 1"


@dataclass(frozen=True)
class PublishedNetworks:
    """Networks of a space that one file has of a device in one setting.

    Attributes:
        key: of the imported file.
        named: the device as the file names it.
        runtime, setting: as published; empty where nothing is told.
        publication: where they come from.
        latency_ms: by architecture.
    """

    key: str
    named: str
    runtime: str
    setting: str
    publication: Publication
    latency_ms: Mapping[Arch, float]

    @property
    def is_single(self) -> bool:
        """Whether one image was computed at a time, as far as the file tells."""
        return not self.setting.startswith("batch ") or self.setting == _BATCH


def published_networks(device: str, space: Space) -> Iterator[PublishedNetworks]:
    """Imported networks of a device, by file and setting; those of which there are at least 30."""
    for table in published_tables(device):
        settings: dict[tuple[str, str, str], dict[Arch, float]] = defaultdict(dict)
        for timing in table.timings:
            if timing.kind != "network" or timing.latency_ms <= 0:
                continue
            try:
                arch = Arch.from_json(dict(timing.what), space=space.name)
                space.check(arch)
            except BadInput:  # of another space, or at a size that this one does not have
                continue
            settings[timing.device, timing.runtime, timing.setting][arch] = timing.latency_ms
        for (named, runtime, setting), latency_ms in settings.items():
            if len(latency_ms) >= MIN_MEASURED:
                yield PublishedNetworks(table.key, named, runtime, setting, table.origin.publication, latency_ms)


def imported_network_models(device: str, space: Space) -> list[LatencyModel]:
    """One model for each imported setting of single images, trained once and kept."""
    found = []
    for networks in published_networks(device, space):
        if not networks.is_single:
            continue
        key = content_key([networks.key, networks.named, networks.runtime, networks.setting])[:16]
        learn = partial(fit_imported_networks, networks, space, device=device)
        found.append(kept_model(device, space, f"networks-{key}", learn))
    return found


def fit_imported_networks(
    networks: PublishedNetworks, space: Space, *, device: str, coverage: float = 0.9, seed: int = 0
) -> LatencyModel:
    """Train on networks of a space, calibrate and judge on each left out in turn.

    Args:
        networks: of one setting.
        space: of the networks, which have its own number of classes.
        device: name of the hardware profile.
        coverage: share of intervals that shall hold.
        seed: of the networks taken, where there are very many, and of training.

    Raises BadInput for too few networks for that coverage.
    """
    archs = sorted(networks.latency_ms, key=lambda arch: arch.id)
    rows = np.random.default_rng([seed, 23]).permutation(len(archs))[:MOST]
    latency_ms = {archs[row]: float(networks.latency_ms[archs[row]]) for row in sorted(rows)}
    by_layers = {layer.op for arch in latency_ms for layer in space.layers(arch)} <= set(OPS)
    predictor, quality = (_by_layers if by_layers else _by_genes)(latency_ms, space, coverage, seed)
    setting = ", ".join(part for part in (networks.runtime or networks.publication.runtime, networks.setting) if part)
    publication = replace(networks.publication, runtime=setting)
    model = published_model(predictor, space, device=device, publication=publication, quality=quality)
    told = f"{len(networks.latency_ms)} networks of {space.name} published as {networks.named}"
    return replace(model, origin={**model.origin, "caveat": told})


def _by_layers(latency_ms: Mapping[Arch, float], space: Space, coverage: float, seed: int) -> tuple[Predictor, Quality]:
    timed = {(arch, space.num_classes): Timing(found_ms, 0.0) for arch, found_ms in latency_ms.items()}
    training = TimedNetworks.of(space, timed)
    fitted = fit_xgboost(training.features, training.latency_ms, seed=seed)
    conformal = fit_conformal(training.latency_ms, fitted.left_out_ms)
    outcome = cross_validated(space, fitted.left_out_ms, conformal, coverage, training)
    feature_range = np.stack([training.features.min(0), training.features.max(0)])
    return IntervalPredictor(fitted.predictor, conformal, feature_range), quality_of(outcome, coverage, len(timed))


def _by_genes(latency_ms: Mapping[Arch, float], space: Space, coverage: float, seed: int) -> tuple[Predictor, Quality]:
    """Where features of layers do not know the space's operators."""
    predictor, left_out_ms = fit_encoded(latency_ms, space, seed=seed)
    measured = np.array(list(latency_ms.values()))
    left_out = LatencyPrediction.around(left_out_ms, predictor.conformal.half_width(left_out_ms, coverage))
    return predictor, quality_of(Outcome("cross-validation", measured, left_out), coverage, len(measured))
