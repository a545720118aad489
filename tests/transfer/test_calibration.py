import dataclasses

import numpy as np
import pytest
import torch

from natdeploy.data import Dataset
from natdeploy.ground.errors import BadInput
from natdeploy.runs import AdaptSettings
from natdeploy.spaces import get_space
from natdeploy.supernets import build_supernet, calibrate, extract
from natdeploy.transfer import Calibration, calibrated_subnet
from natdeploy.transfer.batches import resize

CPU = torch.device("cpu")
SPACE = get_space("mbv3-micro")


def drawn(calibration: Calibration, dataset: Dataset, size: int = 64, resolution: int = 32) -> torch.Tensor:
    return torch.cat(list(calibration.batches(dataset, resolution, size, CPU, varied_at=32)))


def as_they_are(dataset: Dataset) -> dict[bytes, int]:
    """Training images, normalised, by their bytes."""
    images = torch.from_numpy(dataset.train.at(32).copy()).permute(0, 3, 1, 2).float() / 255
    return {image.numpy().tobytes(): number for number, image in enumerate((images - 0.5) / 0.5)}


def numbers(images: torch.Tensor, dataset: Dataset) -> list[int]:
    """Which training images these are, in their order; -1 for one that is none of them."""
    known = as_they_are(dataset)
    return [known.get(image.contiguous().numpy().tobytes(), -1) for image in images]


def test_plain_images_are_training_images_each_taken_once(stripes: Dataset) -> None:
    some = numbers(drawn(Calibration(100, "none"), stripes), stripes)
    assert -1 not in some and len(set(some)) == 100
    every = numbers(drawn(Calibration(1000, "none"), stripes), stripes)
    assert sorted(every) == list(range(len(stripes.train)))


def test_a_small_training_part_is_gone_through_again_and_varied_anew(stripes: Dataset) -> None:
    images = drawn(Calibration(400, "crop-flip", seed=3), stripes)
    assert images.shape == (400, 3, 32, 32)
    assert len({image.contiguous().numpy().tobytes() for image in images}) > 350
    assert numbers(images, stripes).count(-1) > 350


@pytest.mark.parametrize("augmentation", ["none", "crop", "crop-flip", "zoom-flip"])
def test_the_same_images_each_time_others_for_another_seed(stripes: Dataset, augmentation: str) -> None:
    first, again = (drawn(Calibration(50, augmentation), stripes) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, drawn(Calibration(50, augmentation, seed=1), stripes))


def test_batches_are_of_the_size_that_was_asked_for(stripes: Dataset) -> None:
    assert [len(batch) for batch in Calibration(100).batches(stripes, 24, 48, CPU, varied_at=32)] == [48, 48, 4]
    assert drawn(Calibration(10), stripes, resolution=24).shape == (10, 3, 24, 24)


def test_auto_is_what_suits_the_images(stripes: Dataset) -> None:
    mirroring = dataclasses.replace(stripes, augmentation="crop-flip")
    assert torch.equal(drawn(Calibration(50), mirroring), drawn(Calibration(50, "crop-flip"), stripes))
    assert torch.equal(drawn(Calibration(50), stripes), drawn(Calibration(50, "crop"), stripes))


def test_smaller_batches_and_resolutions_are_of_the_same_images(stripes: Dataset) -> None:
    images = drawn(Calibration(300, "crop-flip"), stripes, size=256)
    assert torch.equal(images, drawn(Calibration(300, "crop-flip"), stripes, size=7))
    small = drawn(Calibration(300, "crop-flip"), stripes, size=100, resolution=24)
    torch.testing.assert_close(small, resize(images, 24))


def test_a_name_that_is_no_augmentation(stripes: Dataset) -> None:
    with pytest.raises(BadInput, match="augmentation must be one of none, crop"):
        drawn(Calibration(50, "sharpen"), stripes)


def test_a_run_varies_them_as_it_trains_unless_told_otherwise() -> None:
    adapt = AdaptSettings(augmentation="zoom-flip", calibration_images=300)
    assert Calibration.of(adapt, 7) == Calibration(300, "zoom-flip", 7)
    plain = AdaptSettings(augmentation="zoom-flip", calibration_images=300, calibrate_on="plain")
    assert Calibration.of(plain, 7) == Calibration(300, "none", 7)


def test_a_subnet_has_the_statistics_of_these_very_images(stripes: Dataset) -> None:
    torch.manual_seed(0)
    supernet, arch = build_supernet(SPACE, 2), SPACE.smallest()
    calibration = Calibration(96, "crop-flip", seed=5)
    found = calibrated_subnet(supernet, arch, stripes, calibration)
    wanted = extract(supernet, arch)
    calibrate(wanted, calibration.batches(stripes, arch.r, 96, CPU, varied_at=32))
    plain = calibrated_subnet(supernet, arch, stripes, dataclasses.replace(calibration, augmentation="none"))
    differs = []
    for name, value in found.state_dict().items():
        if "running" in name:
            np.testing.assert_allclose(value, wanted.state_dict()[name], rtol=1e-4, atol=1e-5)
            differs.append(not torch.allclose(value, plain.state_dict()[name], rtol=1e-2))
    assert any(differs)
