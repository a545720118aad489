"""``predict``: classify pictures with a bundle's compiled model, the way an application would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from natdeploy.data import read_image
from natdeploy.deploy.artifacts import RunArtifact, run_in_child
from natdeploy.deploy.integrity import check_files
from natdeploy.deploy.verify import read_labels, read_preprocessing, refuse_other_machine, runnable_of
from natdeploy.ground.errors import BadInput


@dataclass(frozen=True)
class Prediction:
    """The most probable classes of one picture.

    Attributes:
        path: the picture.
        classes: ``(name, probability)``, the most probable first.
    """

    path: Path
    classes: tuple[tuple[str, float], ...]

    def to_json(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {"image": str(self.path), "classes": [{"name": name, "probability": p} for name, p in self.classes]}


def predict_images(
    bundle: str | Path,
    images: Sequence[str | Path],
    *,
    top: int = 5,
    runtime: str | None = None,
    run: RunArtifact = run_in_child,
) -> list[Prediction]:
    """Classify pictures of any size.

    Args:
        bundle: the bundle's folder; its checksums are checked first.
        images: picture files.
        top: how many classes to name.
        runtime: runner to use; None takes the compiled library.
        run: how artifacts are run; by default with this machine's runners, in a child process.

    Raises:
        BadInput: not a bundle, no picture, an unreadable picture (named), or a runtime the bundle has nothing for.
        VerificationFailed: the bundle is damaged.
        DeviceNotReachable: the compiled library is for another kind of machine.
    """
    folder = Path(bundle)
    manifest = check_files(folder)
    if top < 1:
        raise BadInput(f"top: expected at least 1, not {top}")
    if not images:
        raise BadInput("predict: no image given")
    found = [artifact for artifact in manifest.artifacts if runtime in (None, artifact.runtime)]
    if not found:
        known = ", ".join(artifact.runtime for artifact in manifest.artifacts)
        raise BadInput(f"{folder}: has nothing for runtime {runtime!r}; it has {known}")
    artifact = next((artifact for artifact in found if artifact.kind == "native"), found[0])
    refuse_other_machine(folder, manifest, artifact)
    labels = read_labels(folder, manifest)
    preprocessing = read_preprocessing(folder)
    paths = [Path(image) for image in images]
    inputs = np.concatenate([preprocessing([read_image(path)]) for path in paths])
    logits = run(artifact.runtime, runnable_of(folder, manifest, artifact), inputs)
    return [Prediction(path, _top(row, labels, top)) for path, row in zip(paths, logits)]


def _top(logits: np.ndarray, labels: Sequence[str], top: int) -> tuple[tuple[str, float], ...]:
    exponentials = np.exp(logits.astype(np.float64) - logits.max())
    probabilities = exponentials / exponentials.sum()
    order = np.argsort(-probabilities, kind="stable")[:top]
    return tuple((labels[index], float(probabilities[index])) for index in order)
