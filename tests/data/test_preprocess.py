"""Resizing, cropping and normalising."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from natdeploy.data import Preprocessing, normalise, resize_image
from natdeploy.ground.errors import BadInput


def test_an_image_of_the_size_stays_as_it_is():
    image = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    assert (resize_image(image, 24) == image).all()


def test_the_centre_square_is_kept():
    image = np.zeros((10, 30, 3), dtype=np.uint8)
    image[:, 10:20] = 200
    assert (resize_image(image, 10) == 200).all()
    assert (resize_image(image.transpose(1, 0, 2), 5) == 200).all()


def test_reduction_averages_over_all_pixels():
    checkers = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    reduced = resize_image(np.repeat(checkers[..., None], 3, axis=2), 8)
    assert np.abs(reduced.astype(int) - 127).max() <= 2


def test_pillow_images_and_arrays_agree():
    image = np.random.default_rng(1).integers(0, 256, (40, 33, 3), dtype=np.uint8)
    assert (resize_image(Image.fromarray(image), 16) == resize_image(image, 16)).all()


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=30, deadline=None)
def test_any_size_gives_the_resolution(height, width, resolution):
    image = np.full((height, width, 3), 77, dtype=np.uint8)
    resized = resize_image(image, resolution)
    assert resized.shape == (resolution, resolution, 3)
    assert (resized == 77).all()


@pytest.mark.parametrize("image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((4, 4, 4), np.uint8)])
def test_other_arrays_are_refused(image):
    with pytest.raises(BadInput, match="expected uint8"):
        resize_image(image, 4)


def test_normalise_equals_its_formula():
    batch = np.random.default_rng(2).integers(0, 256, (3, 5, 5, 3), dtype=np.uint8)
    mean, std = (0.1, 0.5, 0.9), (0.2, 0.3, 0.4)
    found = normalise(batch, mean, std)
    expected = ((batch / 255 - np.array(mean)) / np.array(std)).transpose(0, 3, 1, 2)
    assert found.shape == (3, 3, 5, 5)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    assert np.abs(found - expected).max() < 1e-5


def test_preprocessing_round_trips_and_applies():
    steps = Preprocessing(16, (0.1, 0.5, 0.9), (0.2, 0.3, 0.4))
    assert Preprocessing.from_json(steps.to_json()) == steps
    images = [np.full((20, 30, 3), 128, np.uint8), np.full((16, 16, 3), 3, np.uint8)]
    batch = np.stack([resize_image(image, 16) for image in images])
    assert (steps(images) == normalise(batch, steps.mean, steps.std)).all()


@pytest.mark.parametrize(
    ("field", "value"),
    [("std", [0.1, 0.0, 0.1]), ("mean", [0.1]), ("resolution", 0), ("resolution", "32"), ("mean", [0.1, None, 0.1])],
)
def test_bad_preprocessing_names_the_field(field, value):
    good = Preprocessing(16, (0.1, 0.5, 0.9), (0.2, 0.3, 0.4)).to_json()
    with pytest.raises(BadInput, match=field):
        Preprocessing.from_json(good | {field: value})
    with pytest.raises(BadInput, match="exactly the fields"):
        Preprocessing.from_json(good | {"extra": 1})
    with pytest.raises(BadInput, match="resize"):
        Preprocessing.from_json(good | {"resize": "stretch"})
