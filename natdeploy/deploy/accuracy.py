"""Top-1 of the very artifact that ships, on one part of a data set."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from natdeploy.data import Dataset, normalise
from natdeploy.deploy.artifacts import CHUNK, RunnableFile, run_chunks_in_child
from natdeploy.deploy.manifest import Accuracy
from natdeploy.runs.certainty import standard_error


def accuracy_of(
    runtime: str, artifact: RunnableFile, dataset: Dataset, split: str, resolution: int, weights: str
) -> Accuracy:
    """What a runtime makes of an artifact on ``"val"`` or ``"test"``; ``weights`` says whose weights it holds.

    Raises VerificationFailed naming the artifact when it crashes or hangs.
    """
    part = dataset.split(split)
    images = part.at(resolution)

    def chunks() -> Iterator[np.ndarray]:
        for start in range(0, len(images), CHUNK):
            yield normalise(images[start : start + CHUNK], dataset.mean, dataset.std)

    found = np.concatenate([chunk.argmax(axis=1) for chunk in run_chunks_in_child(runtime, artifact, chunks())])
    top1 = float((found == part.labels).mean())
    return Accuracy(
        split=split,  # type: ignore[arg-type]
        images=len(part),
        top1=top1,
        standard_error=standard_error(top1, len(part)),
        weights=f"{weights}, run by {runtime}",
    )
