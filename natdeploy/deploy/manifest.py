"""``manifest.json``: what a bundle says of itself. The schema is versioned; unknown fields are errors.

Building again from the same inputs gives the same bytes except for what :data:`MEASUREMENT_FIELDS` names: a timing is
never the same twice, and the files that repeat it change with it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from natdeploy.ground.errors import BadInput, VerificationFailed

SCHEMA_VERSION = 1

#: Fields of the manifest, dotted, that hold measurements or follow from them; all others are reproducible.
MEASUREMENT_FIELDS = ("latency.measured", "latency.missed", "latency.predicted", "files[measured]")
#: Files that repeat measurements; their digests under ``files`` differ between two builds, as does ``SHA256SUMS``.
MEASUREMENT_FILES = ("README.md", "layers.json", "profile.json")

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Share = Annotated[float, Field(ge=0, le=1)]
Milliseconds = Annotated[float, Field(gt=0)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class FileEntry(_Part):
    """One file of the bundle; every file is listed but the manifest and ``SHA256SUMS``."""

    path: str = Field(description="path inside the bundle, with forward slashes")
    sha256: Sha256 = Field(description="SHA-256 of the content")
    bytes: int = Field(ge=0, description="size")
    measured: bool = Field(description="whether the content repeats measurements, so that it differs between builds")


class ModelInfo(_Part):
    """The architecture and its static costs."""

    space: str = Field(description="search space")
    arch_id: str = Field(description="twelve hex digits that name the architecture")
    genome: str = Field(description="the genome in the space's text form (NAT's net.encoding)")
    num_classes: int = Field(ge=1, description="classes, in the order of labels.json")
    input_shape: list[int] = Field(description="float32 [1, 3, height, width], normalised as preprocess.json says")
    output_shape: list[int] = Field(description="float32 logits [1, classes]")
    macs: int = Field(ge=0, description="multiply-accumulates of one image")
    params: int = Field(ge=0, description="trained parameters, before batch norm is folded")
    peak_activation_bytes: int = Field(ge=0, description="most bytes of float32 activations alive at once")
    weights_sha256: Sha256 = Field(description="digest of the folded weights that every artifact was made from")


class DeviceInfo(_Part):
    """What the compiled artifacts were made for."""

    name: str = Field(description="hardware profile")
    fingerprint: str = Field(description="what identifies the device among all that share the profile")
    machine: str = Field(description="machine of the compiled library, as `uname -m` says it")
    target: dict[str, Any] = Field(description="TVM target")


class ArtifactInfo(_Part):
    """One form of the model that can be run."""

    kind: Literal["onnx", "native", "executable", "source"] = Field(description="what it is")
    runtime: str = Field(description="name of the runner that executes it")
    path: str = Field(description="the file to load, inside the bundle; files it needs lie beside it")
    digest: str = Field(description="content digest that measurements refer to")
    toolchain: dict[str, str] = Field(description="versions of what made it")


class Provenance(_Part):
    """Where the model comes from."""

    natdeploy: str = Field(description="version of natdeploy")
    data: str = Field(description="name of the data set")
    task: str = Field("", description="what a run of several data sets calls this one; empty for its own, the first")
    data_fingerprint: str = Field(description="digest of pixels, labels and split")
    seed: int = Field(description="seed of the run")
    supernet: str = Field(description="what the run transferred from: a name, or a file's name without its folder")
    supernet_sha256: Sha256 = Field(description="digest of the adapted supernet's weights file")
    weights_generation: int = Field(ge=0, description="how often the supernet had been adapted when it was extracted")
    picked_as: list[str] = Field(description="picks that chose this architecture, sorted: best, knee, fastest or an id")


class Accuracy(_Part):
    """A top-1 accuracy, and what it was measured on and with."""

    split: Literal["val", "test"] = Field(description="`test` images are seen once, by the shipped model only")
    images: int = Field(ge=1, description="how many images")
    top1: Share = Field(description="share classified right")
    standard_error: float = Field(ge=0, description="binomial standard error of top1")
    weights: str = Field(description="which weights, in which form")


class PredictedLatency(_Part):
    """What the latency model said when the architecture was chosen."""

    mean_ms: float = Field(ge=0, description="prediction")
    lower_ms: float = Field(ge=0, description="lower end of the interval")
    upper_ms: Milliseconds = Field(description="upper end of the interval; at most the budget")
    coverage: Share = Field(description="share of networks whose latency the interval is to hold")
    source: str = Field(description="measured, transferred, table or prior")


class RunEnergy(_Part):
    """What one run takes, by a meter (`measured`), by the profile's power figures (`modelled`), or why neither."""

    source: Literal["measured", "modelled"] | None = Field(description="where the figures come from; null for none")
    millijoules: float | None = Field(ge=0, description="energy of one run")
    watts: float | None = Field(ge=0, description="power while it runs, of all that the meter or the figures speak of")
    idle_watts: float | None = Field(ge=0, description="the same at rest, if known")
    meter: str | None = Field(description="the meter, or the figures of the profile")
    reason: str = Field(description="why nothing was measured; empty where it was")


class MeasuredLatency(_Part):
    """What an artifact of this bundle measured on the device; raw samples are in profile.json."""

    runtime: str = Field(description="runner")
    artifact_digest: str = Field(description="which artifact")
    latency_ms: Milliseconds = Field(description="median with the machine's drift divided out; this meets the budget")
    raw_median_ms: Milliseconds = Field(description="median of the samples as they are")
    mad_ms: float = Field(ge=0, description="median absolute deviation of the samples")
    samples: int = Field(ge=1, description="how many timings")
    threads: int = Field(ge=1, description="threads used")
    trusted: bool = Field(description="whether the protocol's limits on spread and drift were kept")
    taken_at: str = Field(description="when, ISO 8601 UTC")
    energy: RunEnergy | None = Field(None, description="energy of one run; null in bundles that were timed without")


class MissedAttempt(_Part):
    """An architecture that was tried before this one and measured over the budget."""

    arch_id: str = Field(description="its id")
    predicted_ms: float = Field(ge=0, description="prediction it was chosen by")
    measured_ms: Milliseconds = Field(description="what it measured")


class Latency(_Part):
    """Predicted and measured latency, never mixed."""

    runtime: str = Field(description="the runtime that the budget is for")
    budget_ms: Milliseconds | None = Field(description="the budget; null where the search had another device's")
    predicted: PredictedLatency | None = Field(
        description="by the latency model, before anything was built; null where the device has none"
    )
    measured: list[MeasuredLatency] | None = Field(
        description="one per artifact that was timed; null where the device was not here"
    )
    missed: list[MissedAttempt] = Field(description="attempts of the budget loop before this model")


class ArtifactCheck(_Part):
    """How far an artifact's outputs are from the reference outputs."""

    path: str = Field(description="artifact")
    runtime: str = Field(description="runner it was executed by")
    images: int = Field(ge=1, description="how many reference inputs")
    max_abs_error: float = Field(ge=0, description="largest difference of any logit")
    allowed: float = Field(gt=0, description="largest difference allowed")


class Verification(_Part):
    """The artifacts against the torch module, on real validation images, when the bundle was built."""

    verified: str = Field(
        "on this machine",
        description="where the device's artifact was run: on this machine, emulated (by what), on the device",
    )
    tolerance: float = Field(
        gt=0, le=0.01, description="allowed difference of a logit, relative to the largest reference logit or 1"
    )
    reference: str = Field(description="file with the reference inputs and outputs")
    checks: list[ArtifactCheck] = Field(description="one for each artifact")


class Manifest(_Part):
    """The whole manifest."""

    schema_version: Literal[1] = Field(description="version of this schema")
    name: str = Field(
        description="device and architecture, and a further data set of the run: the bundle folder's name"
    )
    model: ModelInfo = Field(description="the architecture and what it costs")
    device: DeviceInfo = Field(description="what it was built for")
    artifacts: list[ArtifactInfo] = Field(min_length=1, description="what can be run")
    preprocessing: dict[str, Any] = Field(description="same as preprocess.json")
    provenance: Provenance = Field(description="what it was made from")
    accuracy: list[Accuracy] = Field(description="by split")
    latency: Latency = Field(description="predicted and measured")
    verification: Verification = Field(description="how it was held against its source")
    files: list[FileEntry] = Field(description="all files but the manifest and SHA256SUMS")
    measurement_fields: list[str] = Field(description="fields that differ between two builds from the same inputs")

    def to_json(self) -> dict[str, Any]:
        """JSON-ready form."""
        return self.model_dump(mode="json")

    def accuracy_of(self, split: str) -> Accuracy | None:
        """The accuracy on a split, if it was measured."""
        return next((accuracy for accuracy in self.accuracy if accuracy.split == split), None)

    def measured_for_budget(self) -> MeasuredLatency | None:
        """The measurement of the runtime that the budget is for."""
        measured = self.latency.measured or ()
        return next((found for found in measured if found.runtime == self.latency.runtime), None)

    def reproducible_part(self) -> dict[str, Any]:
        """:meth:`to_json` without the fields documented as measurements: equal for two builds from equal inputs."""
        value = self.to_json()
        for field in ("measured", "missed", "predicted"):
            del value["latency"][field]
        value["files"] = [entry for entry in value["files"] if not entry["measured"]]
        return value


def read_manifest(path: Path) -> Manifest:
    """Read a manifest.

    Raises BadInput for JSON that is no manifest at all, VerificationFailed naming file and field of a damaged one.
    """
    try:
        value = json.loads(Path(path).read_bytes())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise VerificationFailed(f"{path}: not a readable manifest: {error}") from None
    if not isinstance(value, dict) or "schema_version" not in value:
        raise BadInput(f"{path}: no bundle's manifest: field 'schema_version' is missing; natdeploy build makes one")
    if value["schema_version"] != SCHEMA_VERSION:
        raise VerificationFailed(
            f"{path}: field 'schema_version' is {value['schema_version']!r}; this natdeploy reads {SCHEMA_VERSION}"
        )
    try:
        return Manifest.model_validate(value, strict=False)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise VerificationFailed(f"{path}: field {field!r}: {first['msg']}") from None
