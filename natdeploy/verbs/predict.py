"""``predict``: classify pictures with a bundle's compiled model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from natdeploy.verbs.result import Result


@dataclass(frozen=True)
class Classification:
    """The most probable classes of one picture, the most probable first."""

    image: Path
    names: tuple[str, ...]
    probabilities: tuple[float, ...]


@dataclass(frozen=True)
class PredictResult(Result):
    """One classification per picture, in the order given."""

    bundle: Path
    predictions: tuple[Classification, ...]


def predict(
    bundle: str | Path, images: Sequence[str | Path], *, top: int = 5, runtime: str | None = None
) -> PredictResult:
    """Classify pictures of any size.

    Args:
        bundle: the bundle's folder; its checksums are checked first.
        images: picture files.
        top: how many classes to name.
        runtime: runtime to use; None takes the compiled model.

    Raises BadInput naming an unreadable picture, VerificationFailed when the bundle is damaged.
    """
    from natdeploy.deploy import predict_images

    found = predict_images(Path(bundle), list(images), top=top, runtime=runtime)
    return PredictResult(
        Path(bundle),
        tuple(
            Classification(item.path, tuple(n for n, _ in item.classes), tuple(p for _, p in item.classes))
            for item in found
        ),
    )
