"""Batches: what the ways of varying images do to them, and which one a data set takes by itself."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from natdeploy.data import Dataset
from natdeploy.ground.errors import BadInput
from natdeploy.spaces import get_space
from natdeploy.supernets import build_supernet
from natdeploy.transfer import AUGMENTATIONS, Adaptation, AdaptConfig
from natdeploy.transfer.batches import TrainingBatches, zoomed

CPU = torch.device("cpu")


def ramp(count: int, side: int = 32) -> torch.Tensor:
    """Images ``[N,3,r,r]`` whose first plane is the column and whose second is the row, from -1 to 1."""
    line = (torch.arange(side) + 0.5) / side * 2 - 1
    planes = [line.expand(side, side), line[:, None].expand(side, side), torch.ones(side, side)]
    return torch.stack(planes).expand(count, 3, side, side).clone()


def test_zooming_shows_a_part_of_a_quarter_to_all_and_mirrors_half() -> None:
    found = zoomed(ramp(400), np.random.default_rng(0))
    assert found.shape == (400, 3, 32, 32)
    torch.testing.assert_close(found[:, 2], torch.ones(400, 32, 32))  # nothing from outside the image
    across = (found[:, 0, 16, 24] - found[:, 0, 16, 8]).numpy()  # a whole image: 1; mirrored: -1
    down = (found[:, 1, 24, 16] - found[:, 1, 8, 16]).numpy()
    area = np.abs(across) * down
    assert (down > 0).all() and 0.2 < area.min() < 0.35 and 0.9 < area.max() <= 1.01
    assert 0.4 < (across < 0).mean() < 0.6
    assert 1.1 < (np.abs(across) / down).max() <= 4 / 3 + 0.05
    torch.testing.assert_close(found, zoomed(ramp(400), np.random.default_rng(0)))


@pytest.mark.parametrize("augmentation", [name for name in AUGMENTATIONS if name != "auto"])
def test_every_way_keeps_shape_and_labels(stripes: Dataset, augmentation: str) -> None:
    batches = TrainingBatches(stripes.train, 32, 16, mean=(0.5,) * 3, std=(0.5,) * 3, augmentation=augmentation)
    images, labels = zip(*batches.epoch(np.random.default_rng(0), CPU))
    assert len(batches) == len(images) == 10 and all(batch.shape == (16, 3, 32, 32) for batch in images)
    assert torch.cat(labels).bincount().tolist() == [80, 80]


def test_auto_is_what_suits_the_data_set(stripes: Dataset) -> None:
    def first_batch(dataset: Dataset, augmentation: str) -> torch.Tensor:
        supernet = build_supernet(get_space("mbv3-micro"), 2)
        adaptation = Adaptation(supernet, dataset, AdaptConfig(augmentation=augmentation), 0)
        return next(adaptation._batches.epoch(np.random.default_rng(0), CPU))[0]

    other = replace(stripes, augmentation="zoom-flip")
    assert torch.equal(first_batch(stripes, "auto"), first_batch(stripes, "crop"))
    assert torch.equal(first_batch(other, "auto"), first_batch(stripes, "zoom-flip"))
    assert not torch.equal(first_batch(other, "auto"), first_batch(stripes, "crop"))
    with pytest.raises(BadInput, match="augmentation must be one of none, crop, crop-flip, zoom-flip, not 'auto'"):
        TrainingBatches(stripes.train, 32, 16, mean=(0.5,) * 3, std=(0.5,) * 3, augmentation="auto")
