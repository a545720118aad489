"""Everything a report tells, gathered from a run folder and its bundles. Nothing is computed anew that was stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from natdeploy.deploy.integrity import MANIFEST
from natdeploy.deploy.layers import LayerTimes, read_layer_times
from natdeploy.deploy.manifest import Manifest, read_manifest
from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import cache_root
from natdeploy.latency import LatencyModel
from natdeploy.report.judged import Judged, judge
from natdeploy.runs import ArchiveEntry, HistoryStep, Place, RunBundles, RunConfig, RunFolder, bundles_of
from natdeploy.runs.quantities import canonical

if TYPE_CHECKING:
    from natdeploy.measure import Measurement


@dataclass(frozen=True)
class Facts:
    """A run as it stands.

    Attributes:
        name: the run folder's name.
        config: what was asked.
        archive: every architecture with its objective values.
        front: the non-dominated ones within the budget, by ascending latency.
        random: random architectures of the comparison, where there was one.
        history: one step per iteration.
        summary: figures of a finished search; empty before.
        bundles: manifests of what was built, the fastest measured first.
        gone: bundles built outside the run that are no longer there as they were.
        model: the latency model that held the budget.
        elsewhere: those of the further devices and runtimes.
        power: ``watts`` of the energies' model, and what they are taken ``about``, by the name of the energy.
        judged: networks that model never saw, timed on this machine; none where the timings are not at hand.
        layers: what each layer of a bundle takes, by the bundle's name; only of those that say so.
    """

    name: str
    config: RunConfig
    archive: tuple[ArchiveEntry, ...]
    front: tuple[ArchiveEntry, ...]
    random: tuple[ArchiveEntry, ...]
    history: tuple[HistoryStep, ...]
    summary: Mapping[str, Any]
    bundles: tuple[Manifest, ...]
    gone: tuple[Path, ...]
    model: LatencyModel
    elsewhere: Mapping[Place, LatencyModel]
    power: Mapping[str, Mapping[str, Any]]
    judged: tuple[Judged, ...]
    layers: Mapping[str, LayerTimes]

    @property
    def is_finished(self) -> bool:
        """Whether the search has ended."""
        return bool(self.summary)

    @property
    def shown(self) -> Manifest | None:
        """The bundle whose figures head the page: the one picked as best, else the slowest.

        Of several data sets those of the run's own come first.
        """
        own = [manifest for manifest in self.bundles if not manifest.provenance.task] or self.bundles
        best = (manifest for manifest in own if "best" in manifest.provenance.picked_as)
        return next(best, own[-1] if own else None)

    def entry(self, arch_id: str) -> ArchiveEntry | None:
        """The archive's entry of an architecture."""
        return next((entry for entry in self.archive if entry.id == arch_id), None)


def gather(
    run: RunFolder, bundles: Sequence[Path] | None = None, measurements: Sequence[Measurement] | None = None
) -> Facts:
    """Read a run and its bundles.

    Args:
        run: the run; may still be going on, after its first step.
        bundles: bundle folders; None takes the run's, wherever they were built.
        measurements: timings that show the predictor's errors; None takes the user's own store, if there is one.

    Raises BadInput while there is nothing to report, VerificationFailed naming a damaged manifest.
    """
    archive = run.archive()
    model = LatencyModel.load(run.latency_model_path)
    if not archive:
        raise BadInput(f"{run.path}: the archive is empty; let the search finish its first step, then report")
    config = run.config()
    own = bundles_of(run) if bundles is None else RunBundles(tuple(bundles), ())
    return Facts(
        name=run.path.resolve().name,
        config=config,
        archive=tuple(archive),
        front=tuple(run.front()),
        random=tuple(run.random()),
        history=tuple(run.history()),
        summary=run.summary() if run.is_finished else {},
        bundles=tuple(read_manifests(own.there)),
        gone=own.gone,
        model=model,
        elsewhere={
            place: LatencyModel.load(run.latency_model_of(place)) for place in config.places if place != config.home
        },
        power={canonical(f"energy_mj:{place.key}", config.home): run.power_of(place) for place in config.powered},
        judged=judge(model, stored_timings(model) if measurements is None else measurements),
        layers=_layers(own.there),
    )


def stored_timings(model: LatencyModel) -> Sequence[Measurement]:
    """This user's timings of a latency model's device and runtime; a store is never created for a report."""
    from natdeploy.measure import MeasurementStore

    path = cache_root() / "measurements.sqlite"
    if not path.is_file():
        return ()
    with MeasurementStore(path) as store:
        return store.query(
            device_fingerprint=model.device_fingerprint, runtime=model.runtime, space=model.space, role="holdout"
        )


def _layers(bundles: Sequence[Path]) -> dict[str, LayerTimes]:
    found = {read_manifest(bundle / MANIFEST).name: read_layer_times(bundle) for bundle in bundles}
    return {name: times for name, times in found.items() if times is not None}


def read_manifests(bundles: Sequence[Path]) -> list[Manifest]:
    """Manifests of bundle folders, the fastest measured first."""
    manifests = [read_manifest(Path(bundle) / MANIFEST) for bundle in bundles]
    return sorted(manifests, key=lambda manifest: (_measured_ms(manifest), manifest.name))


def _measured_ms(manifest: Manifest) -> float:
    found = manifest.measured_for_budget()
    return found.latency_ms if found else float("inf")
