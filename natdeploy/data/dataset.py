"""A task: images with labels, divided once and for all into training, validation and test part."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np

from natdeploy.data.labelled import Images, Labelled
from natdeploy.data.pictures import Pictures, ResizedPictures
from natdeploy.data.preprocess import Preprocessing, resize_image
from natdeploy.data.source import read_source
from natdeploy.data.split import divide, image_digests

#: Most bytes of resized images that one split keeps; the least recently used resolution goes first.
MEMO_BYTES = 2 << 30
_VAL_FRACTION = 0.15
#: Pictures that are read one by one are too many to take every pixel into the channels' statistics.
_STATISTICS_PICTURES = 2000


@dataclass(frozen=True, eq=False)
class Split:
    """One part of a data set.

    Attributes:
        images: uint8 RGB, ``[H,W,3]`` each; sizes may differ.
        labels: int64 ``[N]``.
    """

    images: Images
    labels: np.ndarray
    _memo: dict[int, np.ndarray] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, resolution: int) -> np.ndarray | ResizedPictures:
        """All images as uint8 ``[N,resolution,resolution,3]``, read-only, kept for the next call.

        Pictures that would not fit there are read each time they are asked for.
        """
        if isinstance(self.images, Pictures) and 3 * len(self) * resolution**2 > MEMO_BYTES:
            return ResizedPictures(self.images, resolution)
        found = self._memo.pop(resolution, None)
        if found is None:
            found = self._resized(resolution)
            found.flags.writeable = False
        self._memo[resolution] = found  # dicts keep their order: the last entry is the most recently used
        while len(self._memo) > 1 and sum(kept.nbytes for kept in self._memo.values()) > MEMO_BYTES:
            self._memo.pop(next(iter(self._memo)))
        return found

    def _resized(self, resolution: int) -> np.ndarray:
        if isinstance(self.images, np.ndarray) and self.images.shape[1:3] == (resolution, resolution):
            return self.images.view()
        if isinstance(self.images, Pictures):
            return np.asarray(ResizedPictures(self.images, resolution))
        resized = np.empty((len(self), resolution, resolution, 3), dtype=np.uint8)
        for index, image in enumerate(self.images):
            resized[index] = resize_image(image, resolution)
        return resized


@dataclass(frozen=True, eq=False)
class Dataset:
    """A task and its parts. The test part is for final figures only.

    Attributes:
        name: short name for people.
        classes: names; the index is the label.
        mean, std: of each RGB channel over the training images, on the scale 0 to 1.
        fingerprint: SHA-256 (hex) over pixels, labels, class names and division; files' names and sizes stand for the
            pixels of :class:`~natdeploy.data.pictures.Pictures`.
        augmentation: what suits these images, see :data:`natdeploy.transfer.AUGMENTATIONS`.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    val: Split
    test: Split
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    fingerprint: str
    augmentation: str = "crop"

    def split(self, name: str) -> Split:
        """``train``, ``val`` or ``test`` by name."""
        return {"train": self.train, "val": self.val, "test": self.test}[name]

    def preprocessing(self, resolution: int) -> Preprocessing:
        """What a network of this resolution, trained on this data, expects."""
        return Preprocessing(resolution, self.mean, self.std)


def load_dataset(
    source: str,
    *,
    seed: int = 0,
    val_fraction: float | None = None,
    test_fraction: float = 0.2,
    stratified: bool = True,
) -> Dataset:
    """Read a task and divide it.

    Args:
        source: ``digits``; a folder of class folders, or of ``train``, ``val``, ``test`` folders of class folders; an
            ``.npz`` file; a data set saved by the ``datasets`` library or in Parquet files, or ``hf:NAME`` to download
            one; one of NAT's data sets by name, ``cifar100:FOLDER`` in its official layout, ``cifar100`` from the hub.
        seed: of the division; the same seed gives the same parts.
        val_fraction, test_fraction: shares of the training images of each class, for parts that the source lacks;
            without ``val_fraction`` the share that is usual for a data set of a name, else 15 %.
        stratified: class by class; without it a class may have a single image.

    Raises BadInput naming file and field for anything that cannot be read, and for classes with too few images.
    """
    data = read_source(source)
    if val_fraction is None:
        val_fraction = _VAL_FRACTION if data.val_fraction is None else data.val_fraction
    parts = divide(data, seed=seed, val_fraction=val_fraction, test_fraction=test_fraction, stratified=stratified)
    splits = {name: Split(part.images, part.labels) for name, part in parts.items()}
    mean, std = _channel_statistics(parts["train"].images)
    return Dataset(
        data.name,
        data.classes,
        **splits,
        mean=mean,
        std=std,
        fingerprint=_fingerprint(data.classes, parts),
        augmentation=data.augmentation,
    )


def _channel_statistics(images: Images) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and standard deviation of each channel over all pixels, exact: from counts of the 256 values.

    Of pictures that are read one by one, some 2,000 are taken; parts are shuffled.
    """
    if isinstance(images, Pictures):
        images = list(images.take(np.arange(min(len(images), _STATISTICS_PICTURES))))
    counts = np.zeros((3, 256), dtype=np.int64)
    step = 1000 if isinstance(images, np.ndarray) else 1  # bounded memory either way
    for start in range(0, len(images), step):
        pixels = np.asarray(images[start : start + step]).reshape(-1, 3)
        counts += np.stack([np.bincount(pixels[:, channel], minlength=256) for channel in range(3)])
    values = np.arange(256) / 255
    share = counts / counts.sum(axis=1, keepdims=True)
    mean = share @ values
    variance = (share * (values[None] - mean[:, None]) ** 2).sum(axis=1)
    std = np.maximum(np.sqrt(variance), 1 / 255)  # a channel of one value must not divide by zero
    return _rounded(mean), _rounded(std)


def _rounded(values: np.ndarray) -> tuple[float, float, float]:
    red, green, blue = (round(float(value), 6) for value in values)
    return red, green, blue


def _fingerprint(classes: tuple[str, ...], parts: dict[str, Labelled]) -> str:
    digest = hashlib.sha256(repr(classes).encode())
    for name in ("train", "val", "test"):
        digest.update(f"{name} {len(parts[name])}".encode())
        digest.update(parts[name].labels.astype("<i8").tobytes())
        for of_image in image_digests(parts[name].images):
            digest.update(of_image)
    return digest.hexdigest()
