"""Which images a subnet's batch-norm statistics are taken on: training images, varied as they are in training.

Weights meet varied images while they are trained, and expect what a layer sees of them. Statistics of the same images
as they are cost subnets of the shipped supernet some three points of top-1 (``benchmarks/calibration.py``); OFA's
calibration (Cai et al. 2020, ``build_sub_train_loader``) reads its images through the training's transforms, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from natdeploy.data import Dataset
from natdeploy.runs.settings import AdaptSettings
from natdeploy.transfer.batches import TrainingBatches, resize

#: Images that are drawn at once, whatever fits into memory later, so that all subnets are shown the same ones.
_CHUNK = 256


@dataclass(frozen=True)
class Calibration:
    """The images of a calibration; the same ones for every subnet.

    Attributes:
        images: how many are drawn; as many as the NAT paper takes, if not given: with a quarter of them a network's
            accuracy varies by half a point with the sample. Where the training part has fewer, it is gone through again
            and varied anew, but taken only once as it is.
        augmentation: one of :data:`natdeploy.transfer.AUGMENTATIONS`, as in the training of the weights.
        seed: of the draw and of the augmentation.
    """

    images: int = 1000
    augmentation: str = "auto"
    seed: int = 0

    @classmethod
    def of(cls, adapt: AdaptSettings, seed: int) -> Calibration:
        """A run's."""
        varied = adapt.calibrate_on == "varied"
        return cls(adapt.calibration_images, adapt.augmentation if varied else "none", seed)

    def drawn(self, dataset: Dataset) -> int:
        """How many images it is for this data set."""
        return min(self.images, len(dataset.train)) if self._plain(dataset) else self.images

    def batches(
        self, dataset: Dataset, resolution: int, size: int, device: torch.device, *, varied_at: int
    ) -> Iterator[Tensor]:
        """Normalised float32 images ``[n, 3, r, r]`` in channels-last memory, ``size`` at a time.

        As in training, images are varied at ``varied_at`` pixels, a supernet's largest resolution, and resized then.
        """
        shown_at = resolution if self._plain(dataset) else varied_at
        source = TrainingBatches.of(dataset, shown_at, _CHUNK, self.augmentation)
        rng, most, drawn = np.random.default_rng(self.seed), len(dataset.train), self.drawn(dataset)
        order = np.concatenate([rng.permutation(most) for _ in range(-(-drawn // most))])[:drawn]
        for start in range(0, drawn, _CHUNK):
            images = source.images(order[start : start + _CHUNK], rng)
            for batch in images.split(size):
                yield resize(batch.to(device), resolution)

    def _plain(self, dataset: Dataset) -> bool:
        return (dataset.augmentation if self.augmentation == "auto" else self.augmentation) == "none"
