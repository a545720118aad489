"""Data sets of the ``datasets`` library, saved on disk by these tests."""

import numpy as np
import pytest
from PIL import Image

from natdeploy.data import load_dataset
from natdeploy.ground.errors import BadInput

datasets = pytest.importorskip("datasets")


@pytest.fixture(autouse=True)
def _offline(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True, raising=False)
    datasets.disable_progress_bars()


def table(count=24, seed=0, label=None, names=("ant", "bee", "cat"), **columns):
    rng = np.random.default_rng(seed)
    images = [Image.fromarray(rng.integers(0, 256, (6, 5, 3), dtype=np.uint8)) for _ in range(count)]
    values = [index % len(names) for index in range(count)] if label is None else label
    kind = datasets.ClassLabel(names=list(names)) if isinstance(values[0], int) else datasets.Value("string")
    features = datasets.Features({"image": datasets.Image(), "label": kind})
    return datasets.Dataset.from_dict({"image": images, "label": values}, features=features)


def test_a_saved_table_is_read(tmp_path):
    table().save_to_disk(str(tmp_path / "bugs"))
    data = load_dataset(str(tmp_path / "bugs"))
    assert data.name == "bugs"
    assert data.classes == ("ant", "bee", "cat")
    assert len(data.train) + len(data.val) + len(data.test) == 24
    assert data.train.images.shape[1:] == (6, 5, 3)
    assert load_dataset(f"hf:{tmp_path / 'bugs'}").fingerprint == data.fingerprint


def test_given_parts_are_kept(tmp_path):
    parts = {"train": table(18), "validation": table(6, 1), "test": table(9, 2), "unsupervised": table(3, 3)}
    datasets.DatasetDict(parts).save_to_disk(str(tmp_path / "d"))
    data = load_dataset(str(tmp_path / "d"))
    assert (len(data.train), len(data.val), len(data.test)) == (18, 6, 9)


def test_words_as_labels_become_classes(tmp_path):
    table(20, label=["yes", "no"] * 10).save_to_disk(str(tmp_path / "d"))
    assert load_dataset(str(tmp_path / "d")).classes == ("no", "yes")


def test_a_test_part_without_labels_is_replaced(tmp_path):
    parts = {"train": table(30), "test": table(9, 2, label=[-1] * 9)}
    datasets.DatasetDict(parts).save_to_disk(str(tmp_path / "d"))
    data = load_dataset(str(tmp_path / "d"))
    assert len(data.train) + len(data.val) + len(data.test) == 30


def test_missing_columns_and_parts_are_named(tmp_path):
    table().remove_columns("image").save_to_disk(str(tmp_path / "blind"))
    with pytest.raises(BadInput, match="one column of images"):
        load_dataset(str(tmp_path / "blind"))
    table().remove_columns("label").save_to_disk(str(tmp_path / "mute"))
    with pytest.raises(BadInput, match="one column of labels"):
        load_dataset(str(tmp_path / "mute"))
    datasets.DatasetDict({"test": table()}).save_to_disk(str(tmp_path / "late"))
    with pytest.raises(BadInput, match="no part named 'train'; found test"):
        load_dataset(str(tmp_path / "late"))


def test_of_several_columns_of_images_the_one_called_so_is_taken(tmp_path):
    masks = table(24, 7).rename_column("image", "mask").remove_columns("label")
    datasets.concatenate_datasets([table(), masks], axis=1).save_to_disk(str(tmp_path / "both"))
    table().save_to_disk(str(tmp_path / "one"))
    assert (load_dataset(str(tmp_path / "both")).train.images == load_dataset(str(tmp_path / "one")).train.images).all()
    renamed = datasets.concatenate_datasets([table().rename_column("image", "left"), masks], axis=1)
    renamed.save_to_disk(str(tmp_path / "two"))
    with pytest.raises(BadInput, match="one column of images, found left, mask"):
        load_dataset(str(tmp_path / "two"))


@pytest.mark.parametrize("source", ["", "dtd:"])
def test_parts_whose_classes_differ_are_refused(tmp_path, source):
    """Their numbers would mean other classes."""
    parts = {"train": table(18), "validation": table(6, 1), "test": table(9, 2, names=("bee", "ant", "cat"))}
    datasets.DatasetDict(parts).save_to_disk(str(tmp_path / "d"))
    with pytest.raises(BadInput, match="part 'test' names or orders its classes otherwise than the training images"):
        load_dataset(f"{source}{tmp_path / 'd'}")


def test_a_damaged_image_is_named_by_row(tmp_path):
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])})
    rows = {"image": [{"bytes": b"no image", "path": None}] * 6, "label": [0, 1] * 3}
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(str(tmp_path / "d"))
    with pytest.raises(BadInput, match="part 'train', row 0: not an image"):
        load_dataset(str(tmp_path / "d"))


def test_a_damaged_folder_is_named(tmp_path):
    table().save_to_disk(str(tmp_path / "d"))
    for file in (tmp_path / "d").glob("*.arrow"):
        file.write_bytes(b"nothing")
    with pytest.raises(BadInput, match="not a data set written by save_to_disk") as error:
        load_dataset(str(tmp_path / "d"))
    assert "\n" not in str(error.value)


def test_a_name_that_cannot_be_had_is_refused_in_one_line():
    with pytest.raises(BadInput, match="hf:natdeploy-tests/none") as error:
        load_dataset("hf:natdeploy-tests/none")
    assert "\n" not in str(error.value)
