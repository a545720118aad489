"""What a data source hands over: labelled images in one or several parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from natdeploy.data.pictures import Pictures
from natdeploy.ground.errors import BadInput

#: uint8 RGB: one array ``[N,H,W,3]`` where all images have one size, else a list of ``[H,W,3]``, or what reads them.
Images = np.ndarray | list[np.ndarray] | Pictures

#: Other people's names of the three parts.
PART_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True, eq=False)
class Labelled:
    """Images and their labels, int64 ``[N]``."""

    images: Images
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: np.ndarray) -> Labelled:
        """The images of these indices, in their order."""
        return Labelled(_taken(self.images, indices), self.labels[indices])


def _taken(images: Images, indices: np.ndarray) -> Images:
    if isinstance(images, np.ndarray):
        return images[indices]
    return images.take(indices) if isinstance(images, Pictures) else [images[index] for index in indices]


@dataclass(frozen=True, eq=False)
class SourceData:
    """Everything a source knows.

    Attributes:
        name: short name for people.
        origin: what errors call it: a path or an identifier.
        classes: names; the index is the label.
        parts: ``train`` always, ``val`` and ``test`` where the source gives them.
        val_fraction: share of the training images that is usually held out where there is no ``val``; None for no
            usage of its own.
        augmentation: what suits these images, see :data:`natdeploy.transfer.AUGMENTATIONS`.
    """

    name: str
    origin: str
    classes: tuple[str, ...]
    parts: Mapping[str, Labelled]
    val_fraction: float | None = None
    augmentation: str = "crop"

    def __post_init__(self) -> None:
        for name in (self.name, *self.classes):
            if not _is_utf8(name):
                raise BadInput(
                    f"{self.origin}: {name!r} is no name in UTF-8, which files that name it are in; rename it"
                )
        if not self.parts.get("train"):
            raise BadInput(f"{self.origin}: no training images; found parts: {', '.join(self.parts) or 'none'}")
        for part, labelled in self.parts.items():
            if not len(labelled):
                raise BadInput(f"{self.origin}: part {part!r} has no images; remove it or fill it")
            if labelled.labels.min() < 0 or labelled.labels.max() >= len(self.classes):
                wrong = labelled.labels.min() if labelled.labels.min() < 0 else labelled.labels.max()
                raise BadInput(f"{self.origin}: part {part!r} has label {wrong}, expected 0..{len(self.classes) - 1}")
        present = np.unique(self.parts["train"].labels)
        if len(present) < 2:
            only = self.classes[int(present[0])]
            raise BadInput(f"{self.origin}: only one class ({only!r}) has images; at least two are needed")


def _is_utf8(name: str) -> bool:
    """Whether a name can be written down; one of a folder may be any bytes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def stacked(images: Sequence[np.ndarray]) -> Images:
    """One array where all images have one size, else a list."""
    return np.stack(images) if images and len({image.shape for image in images}) == 1 else list(images)
