"""How far an archive's accuracies can be trusted: the error of each, and which cannot be told apart."""

from __future__ import annotations

import math
from collections.abc import Sequence

from natdeploy.runs.entry import ArchiveEntry


def standard_error(top1: float, images: int) -> float:
    """Binomial standard error of a top-1 measured on that many images, never 0.

    Two successes and two failures are added (Agresti and Coull 1998): no mistake in 300 images is not certainty.
    """
    share = (top1 * images + 2) / (images + 4)
    return math.sqrt(share * (1 - share) / (images + 4))


def top1_error(entry: ArchiveEntry) -> float:
    """Standard error of an entry's top-1: of the images it was measured on, or of the predictor it comes from."""
    if entry.accuracy_source == "predicted":
        return entry.top1_error
    return standard_error(entry.top1, entry.val_images)


def indistinguishable(entry: ArchiveEntry, highest: ArchiveEntry) -> bool:
    """Whether the difference in top-1 is within one standard error of that difference."""
    return highest.top1 - entry.top1 <= math.hypot(top1_error(entry), top1_error(highest))


def tied_for_best(entries: Sequence[ArchiveEntry]) -> list[ArchiveEntry]:
    """Those that validation cannot tell from the one with the highest top-1, which is among them, in their order."""
    highest = max(entries, key=lambda entry: (entry.top1, entry.val_images, entry.arch.id))
    return [entry for entry in entries if indistinguishable(entry, highest)]
