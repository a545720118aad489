"""Training batches: shuffled, cropped and flipped by an explicit random generator, resized for elastic resolution."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from natdeploy.data import Dataset, Split
from natdeploy.ground.errors import BadInput

#: ``none``; ``crop``: shifted by up to an eighth, black border; ``crop-flip``: mirrored half of the time as well;
#: ``zoom-flip``: a part of a quarter to all of the image, stretched by up to 4/3, mirrored half of the time (Szegedy
#: et al. 2015, with a larger smallest part, as small networks take it); ``auto``: what suits the data set.
AUGMENTATIONS = ("none", "crop", "crop-flip", "zoom-flip", "auto")
_SMALLEST_PART = 0.25
_STRETCH = 4 / 3


class TrainingBatches:
    """Batches of a split's images at one resolution.

    Args:
        split: labelled images.
        resolution: pixels of the batches' images; smaller ones come from :func:`resize`.
        batch_size: images a batch; the last one of an epoch is dropped when it is not full, unless it is the only one.
        mean, std: per channel, of pixel values in 0..1.
        augmentation: one of :data:`AUGMENTATIONS`; what ``auto`` stands for is the data set's to say.
    """

    def __init__(
        self,
        split: Split,
        resolution: int,
        batch_size: int,
        *,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        augmentation: str,
    ) -> None:
        if augmentation not in AUGMENTATIONS or augmentation == "auto":
            raise BadInput(f"augmentation must be one of {', '.join(AUGMENTATIONS[:-1])}, not {augmentation!r}")
        self._images = split.at(resolution)
        self._labels = split.labels
        self._batch_size = min(batch_size, len(self._labels))
        self._mean = torch.tensor(mean).view(1, 3, 1, 1)
        self._std = torch.tensor(std).view(1, 3, 1, 1)
        self.augmentation = augmentation

    @classmethod
    def of(cls, dataset: Dataset, resolution: int, batch_size: int, augmentation: str) -> TrainingBatches:
        """Of a data set's training images; augmentation ``auto`` is what suits these."""
        chosen = dataset.augmentation if augmentation == "auto" else augmentation
        return cls(dataset.train, resolution, batch_size, mean=dataset.mean, std=dataset.std, augmentation=chosen)

    @property
    def size(self) -> int:
        """Images a batch."""
        return self._batch_size

    def of_size(self, size: int) -> TrainingBatches:
        """The same images in batches of another size."""
        other = copy.copy(self)
        other._batch_size = min(size, len(self._labels))
        return other

    def __len__(self) -> int:
        """Batches an epoch."""
        return len(self._labels) // self._batch_size

    def epoch(self, rng: np.random.Generator, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
        """Normalised float32 images ``[N, 3, r, r]`` in channels-last memory, and int64 labels ``[N]``."""
        order = rng.permutation(len(self._labels))
        for start in range(0, len(self) * self._batch_size, self._batch_size):
            picked = order[start : start + self._batch_size]
            yield self.images(picked, rng).to(device), torch.from_numpy(self._labels[picked]).to(device)

    def images(self, picked: np.ndarray, rng: np.random.Generator) -> Tensor:
        """The images of these numbers, varied and normalised: float32 ``[n, 3, r, r]`` in channels-last memory."""
        images = self._images[picked]
        if self.augmentation.startswith("crop"):
            images = shifted(images, rng)
        if self.augmentation == "crop-flip":
            images = mirrored(images, rng)
        batch = torch.from_numpy(images).permute(0, 3, 1, 2).float().div_(255)
        batch = batch.sub_(self._mean).div_(self._std)
        return zoomed(batch, rng) if self.augmentation == "zoom-flip" else batch


def shifted(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shift each image ``[N, r, r, 3]`` by up to an eighth of its size in both directions; the border is black."""
    count, size = images.shape[:2]
    margin = max(1, size // 8)
    padded = np.pad(images, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))
    down, right = rng.integers(2 * margin + 1, size=(2, count))
    return np.ascontiguousarray(windows[np.arange(count), down, right].transpose(0, 2, 3, 1))


def mirrored(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mirror each image ``[N, r, r, 3]`` left to right with odds of one half."""
    flip = rng.random(len(images)) < 0.5
    return np.where(flip[:, None, None, None], images[:, :, ::-1], images)


def zoomed(batch: Tensor, rng: np.random.Generator) -> Tensor:
    """A random part of each image ``[N, 3, r, r]``, mirrored half of the time, enlarged to the image's size."""
    count = len(batch)
    area = rng.uniform(_SMALLEST_PART, 1, count)
    stretch = np.exp(rng.uniform(-1, 1, count) * np.log(_STRETCH) / 2)
    width, height = (np.minimum(1, np.sqrt(area) * factor) for factor in (stretch, 1 / stretch))
    right, down = (rng.uniform(-1, 1, count) * (1 - side) for side in (width, height))
    flip = np.where(rng.random(count) < 0.5, -1, 1)
    maps = np.zeros((count, 2, 3))
    maps[:, 0, 0], maps[:, 0, 2] = width * flip, right
    maps[:, 1, 1], maps[:, 1, 2] = height, down
    grid = F.affine_grid(torch.from_numpy(maps).float(), list(batch.shape), align_corners=False)
    return F.grid_sample(batch, grid, padding_mode="border", align_corners=False)


def resize(batch: Tensor, resolution: int) -> Tensor:
    """Batch ``[N, 3, R, R]`` at another resolution, antialiased as the images of evaluation are."""
    if batch.shape[-1] == resolution:
        return batch
    return F.interpolate(batch, size=(resolution, resolution), mode="bilinear", antialias=True, align_corners=False)
