"""``predict``: classify pictures with a bundle's compiled model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from natdeploy.verbs.result import Result

if TYPE_CHECKING:
    from natdeploy.deploy import Prediction


@dataclass(frozen=True)
class PredictResult(Result):
    """One classification per picture, in the order given."""

    bundle: Path
    predictions: tuple[Prediction, ...]


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

    return PredictResult(Path(bundle), tuple(predict_images(bundle, images, top=top, runtime=runtime)))
