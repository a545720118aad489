"""``verify``: from a bundle alone, is it whole and does every artifact still compute what it did?"""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from natdeploy.data import Preprocessing, normalise
from natdeploy.deploy.artifacts import RunArtifact, RunnableFile, allowed_error, compare, run_in_child
from natdeploy.deploy.integrity import MANIFEST, check_files
from natdeploy.deploy.layers import LAYERS, read_layer_times
from natdeploy.deploy.manifest import ArtifactInfo, Manifest
from natdeploy.deploy.timings import measured_latencies
from natdeploy.ground.errors import BadInput, DeviceNotReachable, VerificationFailed
from natdeploy.spaces import Arch, costs, get_space

PREPROCESS = "preprocess.json"
LABELS = "labels.json"
SUBNET = "subnet.json"
VERIFY = "verify.json"
PROFILE = "profile.json"


@dataclass(frozen=True)
class CheckedArtifact:
    """An artifact whose outputs agree with the recorded ones.

    Attributes:
        path: inside the bundle.
        runtime: runner it was executed by.
        images: how many reference inputs.
        max_abs_error: largest difference of a logit.
        allowed: largest difference allowed.
    """

    path: str
    runtime: str
    images: int
    max_abs_error: float
    allowed: float


@dataclass(frozen=True)
class VerifyReport:
    """What was checked, all of it good; anything else is an error.

    Attributes:
        path: the bundle.
        manifest: what it says of itself.
        files: how many files were checked.
        artifacts: every artifact's comparison.
    """

    path: Path
    manifest: Manifest
    files: int
    artifacts: tuple[CheckedArtifact, ...]

    def to_json(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "bundle": str(self.path),
            "name": self.manifest.name,
            "files": self.files,
            "artifacts": [vars(artifact) for artifact in self.artifacts],
        }


def verify_bundle(path: str | Path, *, run: RunArtifact = run_in_child) -> VerifyReport:
    """Check checksums, manifest, and the outputs of every artifact against the recorded reference outputs.

    Code from the bundle is executed only after all checksums hold, in a child process with a time limit. Checksums show
    damage, not malice: run bundles from sources you trust.

    Args:
        path: the bundle's folder.
        run: how artifacts are run; by default with this machine's runners.

    Raises:
        BadInput: not a bundle at all.
        VerificationFailed: naming the file at fault.
        DeviceNotReachable: the compiled library is for another kind of machine.
    """
    folder = Path(path)
    manifest = check_files(folder)
    _check_companions(folder, manifest)
    images, inputs, outputs = read_reference(folder, manifest)
    _check_preprocessing(folder, manifest, images, inputs)
    checked = []
    for artifact in manifest.artifacts:
        refuse_other_machine(folder, manifest, artifact)
        runnable = runnable_of(folder, manifest, artifact)
        found = run(artifact.runtime, runnable, inputs)
        tolerance = manifest.verification.tolerance
        error = compare(found, outputs, name=str(runnable.path), tolerance=tolerance)
        allowed = allowed_error(outputs, tolerance)
        checked.append(CheckedArtifact(artifact.path, artifact.runtime, len(inputs), error, allowed))
    return VerifyReport(folder, manifest, len(manifest.files) + 2, tuple(checked))


def runnable_of(folder: Path, manifest: Manifest, artifact: ArtifactInfo) -> RunnableFile:
    """What a runner needs to open one of the bundle's artifacts."""
    shapes = tuple(manifest.model.input_shape), tuple(manifest.model.output_shape)
    return RunnableFile(artifact.kind, folder / artifact.path, artifact.digest, *shapes)


def refuse_other_machine(folder: Path, manifest: Manifest, artifact: ArtifactInfo) -> None:
    """Raise DeviceNotReachable for a compiled library that this kind of machine cannot load."""
    if artifact.kind == "native" and manifest.device.machine != platform.machine():
        raise DeviceNotReachable(
            f"{folder / artifact.path}: compiled for {manifest.device.machine} ({manifest.device.name}), "
            f"this machine is {platform.machine()}; verify it on a machine of that kind"
        )


def read_reference(folder: Path, manifest: Manifest) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Recorded pictures uint8 ``[N,r,r,3]``, inputs float32 ``[N,3,r,r]`` and outputs float32 ``[N,classes]``."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    path = folder / manifest.verification.reference
    try:
        tensors = load(path.read_bytes())
        images, inputs, outputs = tensors["images"], tensors["inputs"], tensors["outputs"]
    except (OSError, SafetensorError, KeyError) as error:
        raise VerificationFailed(f"{path}: not readable reference tensors: {error}") from None
    _, channels, height, width = manifest.model.input_shape
    n = len(images)
    expected = {
        "images": ((n, height, width, channels), np.uint8),
        "inputs": ((n, channels, height, width), np.float32),
        "outputs": ((n, manifest.model.num_classes), np.float32),
    }
    for name, (shape, dtype) in expected.items():
        tensor = tensors[name]
        if tensor.shape != shape or tensor.dtype != dtype or n == 0:
            raise VerificationFailed(
                f"{path}: tensor {name!r} is {tensor.dtype}{list(tensor.shape)}, expected {dtype.__name__}{list(shape)}"
            )
    return images, inputs, outputs


def read_preprocessing(folder: Path) -> Preprocessing:
    """The bundle's preprocessing. Raises VerificationFailed."""
    try:
        return Preprocessing.from_json(_read(folder / PREPROCESS))
    except BadInput as error:
        raise VerificationFailed(f"{folder / PREPROCESS}: {error}") from None


def read_labels(folder: Path, manifest: Manifest) -> list[str]:
    """Class names in the order of the outputs. Raises VerificationFailed."""
    labels = _read(folder / LABELS)
    good = isinstance(labels, list) and all(isinstance(label, str) for label in labels)
    if not good or len(labels) != manifest.model.num_classes:
        raise VerificationFailed(f"{folder / LABELS}: expected a list of {manifest.model.num_classes} names")
    return labels


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise VerificationFailed(f"{path}: not readable JSON: {error}") from None


def _check_companions(folder: Path, manifest: Manifest) -> None:
    """The small files must say what the manifest says."""
    read_labels(folder, manifest)
    if read_preprocessing(folder).to_json() != manifest.preprocessing:
        raise VerificationFailed(f"{folder / PREPROCESS}: differs from field 'preprocessing' of {MANIFEST}")
    if _read(folder / VERIFY) != manifest.verification.model_dump(mode="json"):
        raise VerificationFailed(f"{folder / VERIFY}: differs from field 'verification' of {MANIFEST}")
    try:
        measured = measured_latencies(_read(folder / PROFILE))
    except (BadInput, KeyError, TypeError, ValueError) as error:
        raise VerificationFailed(f"{folder / PROFILE}: not the timings of a bundle: {error}") from None
    _check_layers(folder, manifest)
    if measured != (manifest.latency.measured or []):
        raise VerificationFailed(f"{folder / PROFILE}: differs from field 'latency.measured' of {MANIFEST}")
    try:
        arch = Arch.from_json(_read(folder / SUBNET))
        layers = get_space(arch.space).layers(arch, manifest.model.num_classes)
    except BadInput as error:
        raise VerificationFailed(f"{folder / SUBNET}: {error}") from None
    said = (manifest.model.space, manifest.model.arch_id, manifest.model.macs, manifest.model.params)
    if (arch.space, arch.id, costs(layers).macs, costs(layers).params) != said:
        raise VerificationFailed(f"{folder / SUBNET}: is not the architecture of field 'model' of {MANIFEST}")


def _check_layers(folder: Path, manifest: Manifest) -> None:
    try:
        times = read_layer_times(folder)
    except BadInput as error:
        raise VerificationFailed(str(error)) from None
    if times is not None and times.artifact_digest not in {artifact.digest for artifact in manifest.artifacts}:
        raise VerificationFailed(f"{folder / LAYERS}: field 'artifact_digest' names no artifact of {MANIFEST}")


def _check_preprocessing(folder: Path, manifest: Manifest, images: np.ndarray, inputs: np.ndarray) -> None:
    """The recorded inputs must be what today's code makes of the recorded pictures."""
    preprocessing = read_preprocessing(folder)
    found = normalise(images, preprocessing.mean, preprocessing.std)
    if not np.allclose(found, inputs, rtol=0, atol=1e-5):
        raise VerificationFailed(
            f"{folder / manifest.verification.reference}: its inputs are not what {PREPROCESS} makes of its images"
        )
