"""What a checkpoint's header says of images counts more than the images' own."""

from typing import Any

import numpy as np
import pytest

from natdeploy.data import Dataset, Split
from natdeploy.deploy.known_images import KnownImages, known_images
from natdeploy.ground.errors import BadInput

OWN = (0.4, 0.4, 0.4)


def known(*, varied: str = "auto", **meta: Any) -> KnownImages:
    part = Split(np.zeros((2, 8, 8, 3), np.uint8), np.arange(2))
    dataset = Dataset("two", ("cat", "dog"), part, part, part, OWN, OWN, "these")
    return known_images(
        dataset, {"num_classes": meta.pop("num_classes", 2), "meta": meta}, "some.safetensors", augmentation=varied
    )


def test_a_header_that_tells_nothing() -> None:
    found = known()
    assert found.judged and found.own_statistics and found.same_division is None
    assert (found.dataset.mean, found.dataset.classes, found.dataset.augmentation) == (OWN, ("cat", "dog"), "crop")
    other = known(num_classes=3)
    assert not other.judged and other.dataset.classes == ("0", "1", "2")


def test_classes_are_the_same_by_name_and_order() -> None:
    assert known(classes=["cat", "dog"]).judged
    swapped = known(classes=["dog", "cat"])
    assert not swapped.judged and swapped.dataset.classes == ("dog", "cat")


def test_statistics_and_augmentation_are_the_weights() -> None:
    found = known(mean=[0.1, 0.2, 0.3], std=[0.5, 0.6, 0.7], augmentation="zoom-flip")
    assert not found.own_statistics
    assert (found.dataset.mean, found.dataset.std) == ((0.1, 0.2, 0.3), (0.5, 0.6, 0.7))
    assert found.dataset.augmentation == "zoom-flip"


@pytest.mark.parametrize(
    ("config", "wanted"),
    [({"augmentation": "crop-flip"}, "crop-flip"), ({"augmentation": "auto"}, "crop"), ("odd", "crop")],
)
def test_augmentation_of_a_training(config: object, wanted: str) -> None:
    assert known(config=config).dataset.augmentation == wanted


def test_an_augmentation_that_nobody_asks_for_does_not_count() -> None:
    for name in ("swirl", "zoom-flip"):
        assert known(varied="crop-flip", augmentation=name).dataset.augmentation == "crop"


@pytest.mark.parametrize("meta", [{"fingerprint": "these"}, {"trained_on": {"fingerprint": "these"}}])
def test_the_division_that_the_weights_were_trained_on(meta: dict[str, Any]) -> None:
    assert known(**meta).same_division is True
    assert known(fingerprint="others").same_division is False


@pytest.mark.parametrize(
    "meta",
    [
        {"mean": [1, 2], "std": [1] * 3},
        {"mean": [1] * 3, "std": None},
        {"classes": "ab"},
        {"augmentation": "swirl"},
        {"config": {"augmentation": "swirl"}},
    ],
)
def test_a_header_that_cannot_be_true(meta: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=r"supernet 'some.safetensors': its header's"):
        known(**meta)
