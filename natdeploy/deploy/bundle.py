"""Writing a bundle: a folder for one model on one device, whole or absent.

::

    manifest.json           what the bundle is; schema in natdeploy.deploy.manifest
    model.onnx              the network for ONNX Runtime and other tools
    native/                 the compiled library and what belongs to it
    subnet.json             the architecture in the field's own form
    preprocess.json         what to do with a picture
    labels.json             names of the outputs
    reference.safetensors   real pictures, the inputs made of them, the torch module's outputs
    verify.json             how far each artifact was from those outputs
    profile.json            every timing with its raw samples
    README.md               the model card
    SHA256SUMS              digests of all files above
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from natdeploy.data import Preprocessing
from natdeploy.deploy.card import model_card
from natdeploy.deploy.consume import write_consumers
from natdeploy.deploy.integrity import MANIFEST, SIGNATURE, SUMS, plain_files, write_sums
from natdeploy.deploy.layers import LAYERS, LayerTimes
from natdeploy.deploy.manifest import MEASUREMENT_FILES, FileEntry, Manifest
from natdeploy.deploy.timings import profile_json
from natdeploy.deploy.verify import LABELS, PREPROCESS, PROFILE, SUBNET, VERIFY
from natdeploy.ground.files import atomic_folder, sha256_bytes, sha256_file, write_bytes, write_json, write_text
from natdeploy.spaces import Arch, Network

if TYPE_CHECKING:
    from natdeploy.measure import Measurement

REFERENCE = "reference.safetensors"


@dataclass(frozen=True, eq=False)
class Reference:
    """Real pictures and what the torch module makes of them.

    Attributes:
        images: uint8 ``[N,r,r,3]``.
        inputs: float32 ``[N,3,r,r]``, normalised.
        outputs: float32 ``[N,classes]``, logits.
    """

    images: np.ndarray
    inputs: np.ndarray
    outputs: np.ndarray


def write_bundle(
    path: Path,
    manifest: Manifest,
    *,
    artifacts: Path,
    arch: Arch,
    labels: Sequence[str],
    preprocessing: Preprocessing,
    reference: Reference,
    measurements: Sequence[Measurement],
    layers: LayerTimes | None = None,
) -> Manifest:
    """Write a bundle's folder; an older one at ``path`` is replaced as a whole.

    Args:
        path: the bundle's folder.
        manifest: complete but for ``files``, which is filled in.
        artifacts: folder with ``model.onnx`` and ``native/``; copied.
        arch, labels, preprocessing, reference: contents of the files named after them.
        measurements: timings, raw samples included.
        layers: what each layer takes; None where that was not timed.

    Returns the manifest as written. Raises BadInput when the disk is full or not writable.
    """
    from safetensors.numpy import save

    with atomic_folder(path) as folder:
        for name in plain_files(artifacts):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(artifacts / name, folder / name)  # an executable stays one
        write_json(folder / SUBNET, arch.to_json())
        write_json(folder / PREPROCESS, preprocessing.to_json())
        write_json(folder / LABELS, list(labels))
        write_consumers(folder, manifest, labels)
        if layers is not None:
            write_json(folder / LAYERS, layers.to_json())
        tensors = {"images": reference.images, "inputs": reference.inputs, "outputs": reference.outputs}
        write_bytes(folder / REFERENCE, save({name: np.ascontiguousarray(value) for name, value in tensors.items()}))
        return _tell(folder, manifest, measurements)


def rewrite_bundle(path: Path, manifest: Manifest, measurements: Sequence[Measurement]) -> Manifest:
    """Let a bundle that is whole say something else of itself; its other files stay as they are, a signature goes.

    The folder is replaced as a whole. Returns the manifest as written. Raises BadInput where the disk is full.
    """
    files = [name for name in plain_files(path) if name != SIGNATURE]  # it would be of other checksums
    with atomic_folder(path) as folder:
        for name in files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path / name, folder / name)
        return _tell(folder, manifest, measurements)


def weights_digest(network: Network) -> str:
    """SHA-256 over names, shapes and values of a network's folded weights."""
    lines = [
        f"{name} {list(value.shape)} {sha256_bytes(np.ascontiguousarray(value).tobytes())}"
        for name, value in sorted(network.weights.items())
    ]
    return sha256_bytes("\n".join(lines).encode())


def _tell(folder: Path, manifest: Manifest, measurements: Sequence[Measurement]) -> Manifest:
    """Write what repeats the manifest, the manifest with the digests of all files, and the checksums."""
    write_json(folder / VERIFY, manifest.verification.model_dump(mode="json"))
    write_json(folder / PROFILE, profile_json(measurements))
    write_text(folder / "README.md", model_card(manifest))
    files = [name for name in plain_files(folder) if name not in (MANIFEST, SUMS)]
    manifest = manifest.model_copy(update={"files": [_entry(folder, name) for name in files]})
    write_json(folder / MANIFEST, manifest.to_json())
    write_sums(folder)
    return manifest


def _entry(folder: Path, name: str) -> FileEntry:
    path = folder / name
    return FileEntry(path=name, sha256=sha256_file(path), bytes=path.stat().st_size, measured=name in MEASUREMENT_FILES)
