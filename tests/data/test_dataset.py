"""Loading and dividing data sets, through ``load_dataset``."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from natdeploy.data import dataset as dataset_module
from natdeploy.data import load_dataset, resize_image
from natdeploy.ground.errors import BadInput


def pixels_of(split) -> set[bytes]:
    return {np.ascontiguousarray(image).tobytes() for image in split.images}


def write_npz(path, count=60, classes=3, seed=0, **more):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, 6, 6, 3), dtype=np.uint8)
    arrays = {"images": images, "label": np.arange(count) % classes} | more
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
    return images


def test_digits_are_scikit_learns_own():
    data = load_dataset("digits")
    source = load_digits()
    everything = np.concatenate([data.train.images, data.val.images, data.test.images])
    labels = np.concatenate([data.train.labels, data.val.labels, data.test.labels])
    assert data.classes == tuple("0123456789")
    assert everything.shape == (1797, 8, 8, 3)
    assert everything.max() == 255
    found = sorted(
        (np.rint(image[..., 0] / 255 * 16).astype(int).tolist(), label) for image, label in zip(everything, labels)
    )
    assert found == sorted((image.astype(int).tolist(), label) for image, label in zip(source.images, source.target))


def test_parts_are_stratified_and_do_not_overlap():
    data = load_dataset("digits", val_fraction=0.1, test_fraction=0.3)
    total = len(data.train) + len(data.val) + len(data.test)
    assert len(data.test) == pytest.approx(0.3 * total, abs=10)
    assert len(data.val) == pytest.approx(0.1 * total, abs=10)
    for name in ("train", "val", "test"):
        counts = np.bincount(data.split(name).labels, minlength=10)
        assert counts.max() - counts.min() <= 0.1 * counts.max() + 1
    assert not pixels_of(data.test) & (pixels_of(data.train) | pixels_of(data.val))
    assert not pixels_of(data.val) & pixels_of(data.train)


def test_the_seed_decides_the_division():
    first, again, other = load_dataset("digits"), load_dataset("digits"), load_dataset("digits", seed=1)
    assert first.fingerprint == again.fingerprint
    assert (first.test.images == again.test.images).all()
    assert first.fingerprint != other.fingerprint
    assert pixels_of(first.test) != pixels_of(other.test)


def test_any_prefix_is_roughly_balanced():
    data = load_dataset("digits")
    assert len(np.unique(data.train.labels[:100])) == 10


def test_copies_of_an_image_stay_in_one_part(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (20, 4, 4, 3), dtype=np.uint8)
    np.savez(tmp_path / "twice.npz", images=np.concatenate([images] * 3), label=np.tile(np.arange(20) % 2, 3))
    data = load_dataset(str(tmp_path / "twice.npz"))
    assert len(data.train) + len(data.val) + len(data.test) == 60
    assert len(data.test) % 3 == 0
    assert not pixels_of(data.test) & (pixels_of(data.train) | pixels_of(data.val))


def test_statistics_are_those_of_the_training_pixels(tmp_path):
    write_npz(tmp_path / "a.npz")
    data = load_dataset(str(tmp_path / "a.npz"))
    scaled = data.train.images / 255
    assert data.mean == pytest.approx(scaled.mean(axis=(0, 1, 2)), abs=1e-6)
    assert data.std == pytest.approx(scaled.std(axis=(0, 1, 2)), abs=1e-6)


def test_a_flat_channel_has_a_usable_deviation(tmp_path):
    images = np.zeros((20, 4, 4, 3), dtype=np.uint8)
    images[:, 0, 0, 0] = np.arange(20)
    np.savez(tmp_path / "flat.npz", images=images, label=np.arange(20) % 2)
    assert min(load_dataset(str(tmp_path / "flat.npz")).std) > 0


def test_resolutions_are_kept_and_limited(monkeypatch):
    split = load_dataset("digits").val
    assert split.at(8).shape == split.images.shape
    twenty = split.at(20)
    assert twenty is split.at(20)
    assert not twenty.flags.writeable
    assert (twenty[3] == resize_image(split.images[3], 20)).all()
    monkeypatch.setattr(dataset_module, "MEMO_BYTES", 2 * twenty.nbytes)
    split.at(16)
    assert split.at(20) is twenty
    split.at(24)
    assert split.at(20) is not twenty
    assert (split.at(20) == twenty).all()


def test_preprocessing_carries_the_statistics():
    data = load_dataset("digits")
    steps = data.preprocessing(12)
    assert (steps.resolution, steps.mean, steps.std) == (12, data.mean, data.std)


@pytest.mark.parametrize("fractions", [(0.0, 0.2), (0.5, 0.5), (-0.1, 0.2), (0.2, 1.5), (float("nan"), 0.1)])
def test_impossible_fractions_are_refused(fractions):
    with pytest.raises(BadInput, match="fraction"):
        load_dataset("digits", val_fraction=fractions[0], test_fraction=fractions[1])


@pytest.mark.parametrize("source", ["", "nowhere", "digitz", "digits:7", "hf:", "/dev/null"])
def test_unknown_sources_are_refused_in_one_line(source):
    with pytest.raises(BadInput, match=r"data|/dev/null") as error:
        load_dataset(source)
    assert "\n" not in str(error.value)


def test_a_class_with_too_few_images_is_named(tmp_path):
    write_npz(tmp_path / "few.npz", count=22, label=np.array([0] * 20 + [1] * 2))
    with pytest.raises(BadInput, match=r"few\.npz: class '1' has 2 different"):
        load_dataset(str(tmp_path / "few.npz"))


def test_the_smallest_class_that_works_is_in_every_part(tmp_path):
    write_npz(tmp_path / "three.npz", count=6, label=np.array([0, 0, 0, 1, 1, 1]))
    data = load_dataset(str(tmp_path / "three.npz"))
    for name in ("train", "val", "test"):
        assert sorted(data.split(name).labels.tolist()) == [0, 1]
