"""A latency model: milliseconds with an interval for architectures of one space, on one device in one runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import canonical_json, content_key, read_json, write_text
from natdeploy.latency.hardware.machine_code import MachineCodePredictor
from natdeploy.latency.hardware.prior import PriorPredictor
from natdeploy.latency.inputs.classes import class_factor
from natdeploy.latency.inputs.gene_sums import Archs, feature_sums
from natdeploy.latency.intervals.conformal import check_coverage
from natdeploy.latency.intervals.prediction import IntervalPredictor, LatencyPrediction
from natdeploy.latency.intervals.quality import Quality
from natdeploy.latency.kernels.predictor import KernelPredictor
from natdeploy.latency.kernels.published import PublishedKernelsPredictor
from natdeploy.latency.measured.comparable import same_toolchain
from natdeploy.latency.published.encoded_predictor import EncodedPredictor
from natdeploy.latency.published.operator_rates import RatesPredictor
from natdeploy.latency.published.table_predictor import TablePredictor
from natdeploy.latency.transferred.predictor import TransferredPredictor
from natdeploy.spaces import Arch, Space, get_space

if TYPE_CHECKING:
    from natdeploy.measure import Measurement
    from natdeploy.measure.published import Publication

SCHEMA_VERSION = 1
KIND = "natdeploy latency model"
#: Where a model's knowledge can come from.
SOURCES = ("measured", "transferred", "table", "prior")
#: Architectures that a transferred model looks at together.
BATCH = 10_000
Predictor = (
    IntervalPredictor
    | EncodedPredictor
    | KernelPredictor
    | TransferredPredictor
    | TablePredictor
    | RatesPredictor
    | PublishedKernelsPredictor
    | PriorPredictor
    | MachineCodePredictor
)
#: Those that know their space, and sum over layers, most of them.
_BY_SPACE = (
    EncodedPredictor,
    KernelPredictor,
    TablePredictor,
    RatesPredictor,
    PublishedKernelsPredictor,
    PriorPredictor,
    MachineCodePredictor,
)


@dataclass(frozen=True, eq=False)
class LatencyModel:
    """Predicts latencies. Made by :func:`natdeploy.latency.fit_latency_model`, from few measurements by
    :func:`natdeploy.latency.fit_transferred_model`, from published ones by
    :func:`natdeploy.latency.fit_table_model`, :func:`natdeploy.latency.fit_published_networks` and
    :func:`natdeploy.latency.hardware.refined_prior.fit_refined_prior`, from nothing but a hardware profile by
    :func:`natdeploy.latency.prior_latency_model`, or by :meth:`load`.

    Attributes:
        space: name of the search space.
        device, device_fingerprint: hardware profile and the machine that was timed.
        runtime: the runtime that was timed; a model never mixes two.
        source: where the knowledge comes from, one of :data:`SOURCES`.
        coverage: share of intervals that :meth:`predict` promises to hold unless told otherwise.
        quality: measured on networks that were not trained on.
        toolchain: versions of what built and ran the timed artifacts.
        predictor: mean and interval from features, from measurements of other devices (source ``transferred``), from
            published blocks, kernels or networks, or from peak rates and caches (source ``prior``; ``table`` where few
            published networks refined it).
        origin: of published measurements: source, licence, when published, runtime, and a caveat where they are of
            little; of a prior: what it was learned from; of a transferred model: which other devices; empty for own
            timings.
    """

    space: str
    device: str
    device_fingerprint: str
    runtime: str
    source: str
    coverage: float
    quality: Quality
    toolchain: dict[str, str]
    predictor: Predictor
    origin: Mapping[str, str] = field(default_factory=dict)
    _space: Space | None = field(default=None, repr=False)

    def predict(
        self, archs: Sequence[Arch], *, coverage: float | None = None, num_classes: int | None = None
    ) -> LatencyPrediction:
        """Latencies of architectures.

        Args:
            archs: architectures of the model's space.
            coverage: share of intervals that shall hold; the model's own if not given.
            num_classes: classes of the networks; the space's own number if not given.

        Raises BadInput for an architecture of another space, or for a coverage that the calibration cannot give.
        """
        for arch in archs:
            if arch.space != self.space:
                raise BadInput(f"latency model of space {self.space}: cannot predict an architecture of {arch.space}")
        return self._predict(archs, coverage, num_classes)

    def predict_genomes(
        self, genomes: np.ndarray, *, coverage: float | None = None, num_classes: int | None = None
    ) -> LatencyPrediction:
        """Latencies of many canonical genomes (as ``Space.repair`` leaves them), int64 ``[n, genes]``.

        The same as :meth:`predict` of their architectures, many times faster. Raises BadInput as it does, and for
        genomes of another length.
        """
        space = get_space(self.space) if self._space is None else self._space
        genes = len(space.gene_sizes)
        if genomes.ndim != 2 or genomes.shape[1] != genes:
            raise BadInput(
                f"latency model of space {self.space}: genomes of shape {genomes.shape}, expected (n, {genes})"
            )
        return self._predict(genomes, coverage, num_classes)

    def _predict(self, archs: Archs, coverage: float | None, num_classes: int | None) -> LatencyPrediction:
        coverage = self.coverage if coverage is None else coverage
        check_coverage(coverage)
        space = get_space(self.space) if self._space is None else self._space
        if isinstance(self.predictor, TransferredPredictor):
            return _transferred(self.predictor, space, archs, coverage, num_classes)
        if isinstance(self.predictor, _BY_SPACE):
            return self.predictor.predict(archs, coverage, num_classes)
        sums = feature_sums(space, num_classes)
        return self.predictor.predict(sums(archs), coverage)

    @property
    def caution(self) -> str:
        """What a user should know who did not time the device; empty for own timings."""
        if not self.origin:
            return ""
        if self.source == "transferred":
            return (
                f"latencies of {self.device} are transferred: {self.quality.training_networks} timed subnets of it and "
                f"{self.origin.get('source', 'other devices')}; natdeploy profile --device {self.device} with more "
                "--networks makes them its own"
            )
        if self.source == "prior":
            return (
                f"latencies of {self.device} are a prior: {self.origin.get('method', 'roofline')}; reckoned without "
                f"any timing of it (interval learned from {self.origin.get('source', 'other devices')}); natdeploy "
                f"profile --device {self.device} takes measurements"
            )
        caveat = f"; {self.origin['caveat']}" if "caveat" in self.origin else ""
        return (
            f"latencies of {self.device} come from published measurements, not from this device (runtime: "
            f"{self.runtime}; source: {self.origin.get('source', 'not stated')}){caveat}; natdeploy profile --device "
            f"{self.device} takes its own"
        )

    def is_about(self, measurement: Measurement) -> bool:
        """Whether a timing is one of this model's device, runtime and space, built and run by its toolchain."""
        place = (measurement.device_fingerprint, measurement.runtime, measurement.space)
        if place != (self.device_fingerprint, self.runtime, self.space):
            return False
        return same_toolchain(measurement, self.toolchain)

    def save(self, path: Path | str) -> None:
        """Write one JSON file, atomically. Equal models give equal bytes."""
        body = {
            "space": self.space,
            "device": self.device,
            "device_fingerprint": self.device_fingerprint,
            "runtime": self.runtime,
            "source": self.source,
            "coverage": self.coverage,
            "quality": self.quality.to_json(),
            "toolchain": self.toolchain,
            "predictor": self.predictor.to_json(),
        }
        if self.origin:
            body["origin"] = dict(self.origin)
        # The digest keeps a damaged file away from XGBoost, whose own reader trusts what it is given.
        value = {"kind": KIND, "schema_version": SCHEMA_VERSION, "sha256": content_key(body), "model": body}
        write_text(Path(path), canonical_json(value) + "\n")

    @staticmethod
    def load(path: Path | str, space: Space | str | None = None) -> LatencyModel:
        """Read a model written by :meth:`save`.

        Args:
            path: the JSON file.
            space: the space the model must be of; needed as an object where the space is not a registered one.

        Raises BadInput naming the file where it is missing, not a latency model, damaged, of another version or of
        another space.
        """
        body = _read_body(Path(path))
        wanted = space if isinstance(space, str) or space is None else space.name
        if wanted is not None and body["space"] != wanted:
            raise BadInput(f"{path}: latency model of space {body['space']!r}, expected {wanted!r}")
        try:
            known = get_space(str(body["space"])) if space is None or isinstance(space, str) else space
            return LatencyModel(
                **{name: str(body[name]) for name in ("space", "device", "device_fingerprint", "runtime", "source")},
                coverage=float(body["coverage"]),
                quality=Quality.from_json(body["quality"]),
                toolchain=dict(body["toolchain"]),
                predictor=_read_predictor(body["predictor"], known),
                origin={str(name): str(text) for name, text in body.get("origin", {}).items()},
                _space=None if isinstance(space, str) else space,
            )
        except BadInput as error:
            raise BadInput(f"{path}: {error}") from None
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadInput(
                f"{path}: not a latency model that this version can read ({error!r}); profile again"
            ) from None


def published_model(
    predictor: Predictor,
    space: Space,
    *,
    device: str,
    publication: Publication,
    quality: Quality,
) -> LatencyModel:
    """A model whose knowledge is published measurements.

    Args:
        predictor: fitted on them.
        space: whose networks it predicts.
        device: name of the hardware profile.
        publication: where the measurements come from; its runtime is the model's.
        quality: measured on networks, or parts of them, that were left out; its coverage is the model's.
    """
    return LatencyModel(
        space=space.name,
        device=device,
        device_fingerprint=f"published:{device}",
        runtime=publication.runtime,
        source="table",
        coverage=quality.nominal_coverage,
        quality=quality,
        toolchain={},
        predictor=predictor,
        origin=asdict(publication),
        _space=space,
    )


def _transferred(
    predictor: TransferredPredictor, space: Space, archs: Archs, coverage: float, num_classes: int | None
) -> LatencyPrediction:
    """In batches that fit into memory; another number of classes widens the interval by what it changes."""
    factor = class_factor(space, archs, num_classes)
    parts = [predictor.predict(archs[start : start + BATCH], coverage) for start in range(0, len(archs), BATCH)]
    names = ("mean_ms", "lower_ms", "upper_ms")
    mean_ms, lower_ms, upper_ms = (np.concatenate([np.zeros(0), *(getattr(p, name) for p in parts)]) for name in names)
    widest = np.maximum(factor, 1 / factor)
    return LatencyPrediction(
        mean_ms * factor, lower_ms * factor / widest, upper_ms * factor * widest, np.zeros(len(archs), bool)
    )


def _read_predictor(value: dict[str, Any], space: Space) -> Predictor:
    """Each kind is told by a field that only it has."""
    if "kernels" in value:
        return KernelPredictor.from_json(value, space)
    if "regression" in value:
        return TablePredictor.from_json(value, space)
    if "amounts_ms" in value:
        return RatesPredictor.from_json(value, space)
    if "encoded" in value:
        return EncodedPredictor.from_json(value, space)
    if "published_kernels" in value:
        return PublishedKernelsPredictor.from_json(value, space)
    if "machine_code" in value:
        return MachineCodePredictor.from_json(value, space)
    if "prior" in value:
        return PriorPredictor.from_json(value, space)
    if "ideal" in value:
        return TransferredPredictor.from_json(value, space)
    return IntervalPredictor.from_json(value)


def _read_body(path: Path) -> dict[str, Any]:
    value = read_json(path, "latency model")
    if not isinstance(value, dict) or value.get("kind") != KIND:
        raise BadInput(f"{path}: not a latency model; expected the JSON file that 'natdeploy profile' writes")
    if value.get("schema_version") != SCHEMA_VERSION:
        found = value.get("schema_version")
        raise BadInput(f"{path}: latency model of schema_version {found!r}, expected {SCHEMA_VERSION}; profile again")
    body = value.get("model")
    if not isinstance(body, dict) or value.get("sha256") != content_key(body):
        raise BadInput(f"{path}: damaged latency model: its content is not that of its sha256; profile again")
    return body
