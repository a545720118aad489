"""Folders of class folders."""

import os

import numpy as np
import pytest
from PIL import Image

from natdeploy.data import load_dataset
from natdeploy.ground.errors import BadInput


def fill(folder, count, seed, size=(12, 9)):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for index in range(count):
        width, height = size if index % 2 else size[::-1]
        Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(folder / f"{index}.png")


def test_class_folders_give_names_and_sizes_may_differ(tmp_path):
    fill(tmp_path / "pets" / "cat", 8, 0)
    fill(tmp_path / "pets" / "dog", 10, 1)
    (tmp_path / "pets" / ".cache").mkdir()
    (tmp_path / "pets" / "README.md").write_text("text")
    (tmp_path / "pets" / "dog" / "notes.txt").write_text("text")
    data = load_dataset(str(tmp_path / "pets"))
    assert data.name == "pets"
    assert data.classes == ("cat", "dog")
    assert len(data.train) + len(data.val) + len(data.test) == 18
    assert data.train.at(8).shape == (len(data.train), 8, 8, 3)


def test_the_order_of_creation_does_not_matter(tmp_path):
    fill(tmp_path / "one" / "a", 5, 0)
    fill(tmp_path / "one" / "b", 5, 1)
    fill(tmp_path / "two" / "b", 5, 1)
    fill(tmp_path / "two" / "a", 5, 0)
    assert load_dataset(str(tmp_path / "one")).fingerprint == load_dataset(str(tmp_path / "two")).fingerprint


def test_a_given_division_is_kept(tmp_path):
    for part, (count, seed) in {"train": (6, 0), "validation": (2, 10), "test": (3, 20)}.items():
        for offset, name in enumerate(("a", "b")):
            fill(tmp_path / part / name, count, seed + offset)
    data = load_dataset(str(tmp_path))
    assert (len(data.train), len(data.val), len(data.test)) == (12, 4, 6)


def test_what_is_missing_comes_from_the_training_images(tmp_path):
    for part, (count, seed) in {"train": (10, 0), "test": (3, 20)}.items():
        for offset, name in enumerate(("a", "b")):
            fill(tmp_path / part / name, count, seed + offset)
    data = load_dataset(str(tmp_path), val_fraction=0.2)
    assert (len(data.train), len(data.val), len(data.test)) == (16, 4, 6)


def test_a_class_may_be_called_train(tmp_path):
    fill(tmp_path / "train", 5, 0)
    fill(tmp_path / "bus", 5, 1)
    assert load_dataset(str(tmp_path)).classes == ("bus", "train")


def test_one_class_is_refused(tmp_path):
    fill(tmp_path / "only", 5, 0)
    with pytest.raises(BadInput, match="only one class folder"):
        load_dataset(str(tmp_path))


def test_empty_and_strange_folders_are_named(tmp_path):
    with pytest.raises(BadInput, match="no class folders"):
        load_dataset(str(tmp_path))
    fill(tmp_path / "train" / "a", 4, 0)
    fill(tmp_path / "train" / "b", 4, 1)
    fill(tmp_path / "test" / "c", 4, 2)
    with pytest.raises(BadInput, match=r"test/c: class 'c'"):
        load_dataset(str(tmp_path))


def test_a_class_folder_without_images_is_named(tmp_path):
    fill(tmp_path / "a", 4, 0)
    (tmp_path / "b").mkdir()
    with pytest.raises(BadInput, match=r"/b: no images"):
        load_dataset(str(tmp_path))


def test_a_class_whose_name_cannot_be_written_down_is_refused_at_once(tmp_path):
    for name in ("a", os.fsdecode(b"caf\xe9")):
        try:
            (tmp_path / name).mkdir()
        except OSError:
            pytest.skip("this file system takes names in UTF-8 only")
        Image.new("RGB", (8, 8), (len(name), 0, 0)).save(tmp_path / name / "0.png")
    with pytest.raises(BadInput, match="is no name in UTF-8") as error:
        load_dataset(str(tmp_path))
    assert "rename it" in str(error.value)


def test_a_truncated_jpeg_is_named(tmp_path):
    fill(tmp_path / "a", 4, 0)
    fill(tmp_path / "b", 4, 1)
    path = tmp_path / "b" / "cut.jpg"
    Image.fromarray(np.random.default_rng(2).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(BadInput, match=r"b/cut\.jpg.*damaged") as error:
        load_dataset(str(tmp_path))
    assert "\n" not in str(error.value)


def test_two_folders_of_one_part_are_refused(tmp_path):
    for part in ("train", "Train"):
        fill(tmp_path / part / "a", 5, 0)
        fill(tmp_path / part / "b", 5, 1)
    with pytest.raises(BadInput, match="keep one of Train, train"):
        load_dataset(str(tmp_path))
