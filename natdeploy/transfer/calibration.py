"""Which images a subnet's batch-norm statistics are taken on: training images, varied as they are in training.

Weights meet varied images while they are trained, and expect what a layer sees of them. Statistics of the same images
as they are cost a subnet of the shipped supernet two to four points of top-1; Once-for-All's calibration (Cai et al.
2020, ``build_sub_train_loader``) reads its images through the training's transforms, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from natdeploy.data import Dataset
from natdeploy.runs.settings import AdaptSettings
from natdeploy.transfer.batches import TrainingBatches


@dataclass(frozen=True)
class Calibration:
    """The images of a calibration; the same ones for every subnet at one resolution.

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

    def batches(self, dataset: Dataset, resolution: int, size: int, device: torch.device) -> Iterator[Tensor]:
        """Normalised float32 images ``[n, 3, r, r]`` in channels-last memory, ``size`` at a time."""
        source = TrainingBatches.of(dataset, resolution, size, self.augmentation)
        rng = np.random.default_rng(self.seed)
        most = len(dataset.train)
        drawn = min(self.images, most) if source.augmentation == "none" else self.images
        order = np.concatenate([rng.permutation(most) for _ in range(-(-drawn // most))])[:drawn]
        for start in range(0, drawn, size):
            yield source.images(order[start : start + size], rng).to(device)
