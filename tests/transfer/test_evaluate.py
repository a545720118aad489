"""Top-1 on images as they are, and on their mirror images as well."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from natdeploy.data import Dataset, Split
from natdeploy.ground.errors import BadInput
from natdeploy.runs import AdaptSettings
from natdeploy.transfer import evaluate, shows_mirrored
from tests.transfer.make import SPACE


class LeftOrRight(nn.Module):
    """Of class 1 is what is brighter on its right side."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))
        self.shown: list[int] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.shown.append(len(images))
        left, right = images.chunk(2, dim=3)
        difference = self.scale * (right - left).mean((1, 2, 3))
        return torch.stack([-difference, difference], 1)


@pytest.fixture
def sides(stripes: Dataset) -> Dataset:
    """Eight images that are bright on their right side; the first six are of class 1."""
    images = np.zeros((8, 32, 32, 3), dtype=np.uint8)
    images[:, :, 16:] = 255
    return dataclasses.replace(stripes, val=Split(images, np.array([1] * 6 + [0] * 2)))


def test_mirror_images_count_as_much_as_images(sides: Dataset) -> None:
    network, arch = LeftOrRight(), SPACE.largest()
    plain = evaluate(network, arch, sides)
    assert (plain.top1, plain.images) == (0.75, 8)
    both = evaluate(network, arch, sides, mirrored=True)
    assert (both.top1, both.images) == (0.5, 8)  # 6 as they are, 2 mirrored
    assert network.shown == [8, 8, 8]
    certain, wrong = (float(torch.nn.functional.softplus(torch.tensor(x))) for x in (-4.0, 4.0))  # logits 2 and -2
    assert plain.loss == pytest.approx((6 * certain + 2 * wrong) / 8)
    assert both.loss == pytest.approx((certain + wrong) / 2)


def test_first_images_alone_and_their_mirror_images(sides: Dataset) -> None:
    found = evaluate(LeftOrRight(), SPACE.largest(), sides, images=6, mirrored=True)
    assert (found.top1, found.images) == (0.5, 6)


def test_memory_for_few_images_at_once_gives_the_same(sides: Dataset) -> None:
    class Small(LeftOrRight):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            if len(images) > 3:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().forward(images)

    told: list[str] = []
    small = evaluate(Small(), SPACE.largest(), sides, images=7, mirrored=True, say=told.append)
    assert small == evaluate(LeftOrRight(), SPACE.largest(), sides, images=7, mirrored=True)
    assert told


@pytest.mark.parametrize("augmentation", ["none", "crop"])
def test_images_that_training_does_not_mirror_are_not_validated_so(stripes: Dataset, augmentation: str) -> None:
    settings = AdaptSettings(augmentation=augmentation, validate_on="mirrored")
    with pytest.raises(BadInput, match=rf"adapt\.validate_on .*augmentation {augmentation}\)"):
        shows_mirrored(settings, stripes)
    assert not shows_mirrored(AdaptSettings(augmentation=augmentation), stripes)
    by_itself = dataclasses.replace(stripes, augmentation=augmentation)
    with pytest.raises(BadInput, match="of another class"):
        shows_mirrored(AdaptSettings(validate_on="mirrored"), by_itself)


@pytest.mark.parametrize("augmentation", ["crop-flip", "zoom-flip"])
def test_images_that_training_mirrors_may_be_validated_so(stripes: Dataset, augmentation: str) -> None:
    assert shows_mirrored(AdaptSettings(augmentation=augmentation, validate_on="mirrored"), stripes)
    by_itself = dataclasses.replace(stripes, augmentation=augmentation)
    assert shows_mirrored(AdaptSettings(validate_on="mirrored"), by_itself)
    assert not shows_mirrored(AdaptSettings(), by_itself)
