"""NAT's eleven data sets by name, from small copies of their official layouts."""

import os
import pickle
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from natdeploy.data import SOURCES, load_dataset
from natdeploy.data import dataset as dataset_module
from natdeploy.data.pickles import read_arrays_pickle
from natdeploy.data.sources.known import known_sets
from natdeploy.ground.errors import BadInput
from tests.data.official import MAKERS, Expected, cifar10, flowers, imagenet, picture

EACH = [pytest.param(name, make, id=make.__name__) for name, makers in MAKERS.items() for make in makers]


def test_the_papers_sets_are_all_there() -> None:
    paper = "imagenet cifar10 cifar100 cinic10 stl10 food101 stanford-cars fgvc-aircraft dtd oxford-pets"
    assert {*paper.split(), "oxford-flowers102"} == set(known_sets()) == set(MAKERS) <= set(SOURCES.names())


def test_the_documentation_has_the_layouts_and_sizes_that_are_read() -> None:
    page = (Path(__file__).parents[2] / "docs" / "your-own-data.md").read_text(encoding="utf-8")
    for known in known_sets().values():
        sizes = f"{known.train:,} | {known.held_out:,} | `{known.augmentation}`"
        assert f"| `{known.name}` | {known.layout} ([archive]({known.address})) | {sizes} |" in page, known.name


@pytest.mark.parametrize(("name", "make"), EACH)
def test_the_official_layout_is_read(tmp_path: Path, name: str, make) -> None:
    classes, counts = make(tmp_path)
    data = load_dataset(f"{name}:{tmp_path}")
    assert (data.name, data.classes) == (name, classes)
    learnt = np.concatenate([data.train.labels, data.val.labels])
    assert np.bincount(learnt).tolist() == [counts["train"]] * len(classes)
    assert np.bincount(data.test.labels).tolist() == [counts["test"]] * len(classes)
    assert len(data.val) == len(classes)  # a tenth or less of these, and at least one of each class
    for part in (data.train, data.val, data.test):
        pixels = np.asarray(part.at(32))
        assert pixels.shape == (len(part), 32, 32, 3)
        assert (pixels[:, 16, 16, 0] == 40 * (part.labels + 1)).all()  # red says the class
    assert data.augmentation == ("crop-flip" if name.startswith("ci") else "zoom-flip")
    assert load_dataset(f"{name}:{tmp_path}").fingerprint == data.fingerprint


def needed(name: str, root: Path) -> list[Path]:
    """What cannot be missing: folders of parts, files that are no pictures, and the last picture of a list."""
    if name == "cinic10":
        return [root / part for part in ("train", "valid", "test")]
    files = sorted(file for file in root.rglob("*") if file.is_file())
    pictures = [file for file in files if file.suffix.lower() in (".jpg", ".jpeg")]
    others = [file for file in files if file not in pictures]
    folders = [next(root.rglob(part)) for part in ("train", "val")] if name == "imagenet" else []
    return others + (folders or pictures[-1:])


@pytest.mark.parametrize(("name", "make"), EACH)
def test_whatever_is_missing_the_layout_and_its_address_are_named(tmp_path: Path, name: str, make) -> None:
    make(tmp_path)
    for path in needed(name, tmp_path):
        kept = path.rename(tmp_path.parent / f"{tmp_path.name}-kept")
        with pytest.raises(BadInput, match=rf"{name} needs .*, as unpacked from https?://") as error:
            load_dataset(f"{name}:{tmp_path}")
        assert "\n" not in str(error.value)
        kept.rename(path)
    with pytest.raises(BadInput, match=f"no such folder; {name} needs"):
        load_dataset(f"{name}:{tmp_path / 'elsewhere'}")


@pytest.mark.parametrize("name", MAKERS)
def test_without_a_folder_the_hub_is_asked_and_the_layout_named(name: str, monkeypatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True, raising=False)
    with pytest.raises(BadInput, match=rf"cannot be had: .*or give a folder, {name}:FOLDER, with") as error:
        load_dataset(name)
    assert "\n" not in str(error.value)


def test_a_copy_of_the_hub_is_read_row_by_row(tmp_path: Path) -> None:
    """The official test part is called validation there, and the one called test has no labels."""
    datasets = pytest.importorskip("datasets")
    features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])}

    def table(count: int, labels: list[int], seed: int):
        pixels = np.random.default_rng(seed).integers(0, 9, (count, 8, 8, 3), dtype=np.uint8)
        pixels[..., 0] = 40 * (np.array(labels) + 1)[:, None, None]
        rows = {"image": [Image.fromarray(image) for image in pixels], "label": labels}
        return datasets.Dataset.from_dict(rows, features=datasets.Features(features))

    parts = {"train": table(24, [0, 1] * 12, 0), "validation": table(8, [0, 1] * 4, 1), "test": table(4, [-1] * 4, 2)}
    datasets.DatasetDict(parts).save_to_disk(str(tmp_path / "copy"))
    data = load_dataset(f"imagenet:hf:{tmp_path / 'copy'}")
    assert (len(data.train), len(data.val), len(data.test)) == (22, 2, 8)
    assert not isinstance(data.train.images, np.ndarray)  # decoded when asked for
    for part in (data.train, data.val, data.test):
        assert (part.at(8)[:, 0, 0, 0] == 40 * (part.labels + 1)).all()


def test_of_several_columns_of_labels_the_papers_is_taken(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    kinds = {"coarse_label": ["animal", "thing"], "fine_label": ["ant", "bee", "cup"]}
    features = {"img": datasets.Image(), **{name: datasets.ClassLabel(names=names) for name, names in kinds.items()}}
    rows = {
        "img": [Image.new("RGB", (8, 8), (n, 0, 0)) for n in range(30)],
        "coarse_label": [0, 0, 1] * 10,
        "fine_label": [0, 1, 2] * 10,
    }
    table = datasets.Dataset.from_dict(rows, features=datasets.Features(features))
    datasets.DatasetDict({"train": table, "test": table}).save_to_disk(str(tmp_path / "copy"))
    assert load_dataset(f"cifar100:hf:{tmp_path / 'copy'}").classes == ("ant", "bee", "cup")
    with pytest.raises(BadInput, match="one column of labels, found coarse_label, fine_label"):
        load_dataset(f"hf:{tmp_path / 'copy'}")


def test_a_set_that_does_not_fit_in_memory_is_read_batch_by_batch(tmp_path: Path, monkeypatch) -> None:
    flowers(tmp_path)
    data = load_dataset(f"oxford-flowers102:{tmp_path}")
    whole = data.train.at(24)
    monkeypatch.setattr(dataset_module, "MEMO_BYTES", 3 * 24**2 * len(data.train) - 1)
    lazily = data.train.at(24)
    assert not isinstance(lazily, np.ndarray) and lazily.shape == whole.shape
    assert (lazily[np.array([3, 0, 3])] == whole[[3, 0, 3]]).all()
    assert (np.asarray(lazily[5:9]) == whole[5:9]).all() and (lazily[2] == whole[2]).all()
    assert (np.asarray(lazily[:4][1:]) == whole[1:4]).all()


def test_cifars_pixels_stand_where_they_should(tmp_path: Path) -> None:
    cifar10(tmp_path)
    image = load_dataset(f"cifar10:{tmp_path}").test.images[0]
    assert (image[0, 1:, 1] == 200).all() and (image[1:, 1:, 1] < 8).all()  # green: the first row
    assert (image[:, 0, 2] == 201).all() and (image[:, 1:, 2] < 8).all()  # blue: the first column


def test_stl10s_columns_become_rows(tmp_path: Path) -> None:
    MAKERS["stl10"][0](tmp_path)
    image = load_dataset(f"stl10:{tmp_path}").test.images[0]
    assert (image[0, :, 1] == 200).all() and (image[1:, :, 1] < 8).all()
    assert (image[:, 0, 2] == 201).all() and (image[:, 1:, 2] < 8).all()


class _Evil:
    def __reduce__(self):
        return (Path.write_text, (Path("never"), "written"))


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_wants_more_than_arrays_is_refused(tmp_path: Path, protocol: int, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "data_batch_1"
    file.write_bytes(pickle.dumps({"data": _Evil()}, protocol=protocol))
    with pytest.raises(BadInput, match=r"data_batch_1: asks for .*; it was not loaded"):
        read_arrays_pickle(file)
    assert not Path("never").exists()
    rows = np.arange(12, dtype=np.uint8).reshape(2, 6)
    file.write_bytes(pickle.dumps({"data": rows, "labels": [1, 2]}, protocol=protocol))
    assert (read_arrays_pickle(file)["data"] == rows).all()
    file.write_bytes(pickle.dumps({b"data": np.asfortranarray(rows), "labels": [*np.int64([3, 4])]}, protocol=protocol))
    found = read_arrays_pickle(file)  # names as Python 3 reads Python 2's texts as bytes; numbers of NumPy's
    assert (found["data"] == rows).all() and found["labels"] == [3, 4]


def test_python_2s_pickles_are_read(tmp_path: Path) -> None:
    """Texts of bytes, as Python 2 wrote them: GLOBALs of numpy.core, array bytes as a short string."""
    body = (
        b"\x80\x02}q\x01(U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00\x85U\x01b"
    )
    body += (
        b"\x87Rq\x05(K\x01K\x01K\x04\x86cnumpy\ndtype\nq\x06U\x02u1K\x00K\x01\x87Rq\x07(K\x03U\x01|NNNJ\xff\xff\xff\xff"
    )
    body += b"J\xff\xff\xff\xffK\x00tb\x89U\x04\x01\xff\x00\x80tbu."
    file = tmp_path / "old"
    file.write_bytes(body)
    assert read_arrays_pickle(file)["data"].tolist() == [[1, 255, 0, 128]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"data": np.zeros((6, 3071), np.uint8)}, "3072 columns"),
        ({"labels": [0, 1]}, "label for each of 6"),
        ({"labels": [0, 1, 2, "x", 1, 2]}, "whole numbers"),
        ({"labels": [0, 1, 2, 7, 1, 2]}, re.escape("label 7, expected 0..2")),
    ],
)
def test_damaged_cifar_batches_are_named(tmp_path: Path, change: dict, said: str) -> None:
    cifar10(tmp_path)
    file = tmp_path / "cifar-10-batches-py" / "data_batch_3"
    file.write_bytes(pickle.dumps({**read_arrays_pickle(file), **change}, protocol=2))
    with pytest.raises(BadInput, match=said):
        load_dataset(f"cifar10:{tmp_path}")
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(BadInput, match="data_batch_3: a damaged pickle"):
        load_dataset(f"cifar10:{tmp_path}")


def test_lists_that_lead_elsewhere_or_nowhere_are_refused(tmp_path: Path) -> None:
    _, counts = MAKERS["food101"][0](tmp_path)
    file = tmp_path / "food-101" / "meta" / "test.txt"
    for line, said in (("../../etc/x", "is not 'CLASS/NAME'"), ("cake/1", "names class 'cake'"), ("waffles", "NAME")):
        file.write_text(f"{line}\n")
        with pytest.raises(BadInput, match=said):
            load_dataset(f"food101:{tmp_path}")
    assert counts["test"] == 3


def test_matlab_files_without_the_variable_are_refused(tmp_path: Path) -> None:
    flowers(tmp_path)
    shutil.copyfile(tmp_path / "setid.mat", tmp_path / "imagelabels.mat")
    with pytest.raises(BadInput, match=r"imagelabels\.mat: has no variable 'labels'"):
        load_dataset(f"oxford-flowers102:{tmp_path}")
    (tmp_path / "imagelabels.mat").write_bytes(b"no matlab")
    with pytest.raises(BadInput, match=r"imagelabels\.mat: cannot be read as a MATLAB file"):
        load_dataset(f"oxford-flowers102:{tmp_path}")


def test_whole_sets_hold_out_the_usual_number(tmp_path: Path) -> None:
    """Of a copy with as many images a class in proportion, the same share is held out."""
    for label in range(2):
        for number in range(40):
            picture(tmp_path / "train" / f"{label}" / f"{number}.png", label, (8, 8))
            picture(tmp_path / "valid" / f"{label}" / f"v{number}.png", label, (8, 8))
        picture(tmp_path / "test" / f"{label}" / "0.png", label, (8, 8))
    data = load_dataset(f"cinic10:{tmp_path}")
    assert len(data.val) == round(160 * 10_000 / 180_000) == 9  # the odd one from either class
    assert abs(np.diff(np.bincount(data.val.labels))) == [1]
    assert len(load_dataset(f"cinic10:{tmp_path}", val_fraction=0.25).val) == 40


def test_a_folder_in_a_files_place_is_named(tmp_path: Path) -> None:
    MAKERS["stl10"][0](tmp_path)
    file = tmp_path / "stl10_binary" / "train_X.bin"
    file.unlink()
    file.mkdir()
    with pytest.raises(BadInput, match=r"train_X\.bin: cannot be read \(Is a directory\); stl10 needs"):
        load_dataset(f"stl10:{tmp_path}")
    (tmp_path / "train").write_text("")
    with pytest.raises(BadInput, match=r"train: cannot be read \(Not a directory\); cinic10 needs"):
        load_dataset(f"cinic10:{tmp_path}")


def test_pictures_may_have_names_of_any_bytes(tmp_path: Path) -> None:
    classes, _ = imagenet(tmp_path)
    one = next((tmp_path / "train" / classes[0]).iterdir())
    try:
        one.rename(one.with_name(os.fsdecode(b"caf\xe9.JPEG")))
    except OSError:
        pytest.skip("this file system takes names in UTF-8 only")
    assert len(load_dataset(f"imagenet:{tmp_path}").fingerprint) == 64


def test_a_damaged_picture_is_named_when_it_is_read(tmp_path: Path) -> None:
    expected: Expected = imagenet(tmp_path)
    file = tmp_path / "train" / expected[0][0] / f"{expected[0][0]}_3.JPEG"
    file.write_bytes(b"no picture")
    with pytest.raises(BadInput, match=r"_3\.JPEG: not an image"):
        data = load_dataset(f"imagenet:{tmp_path}")
        _ = data.train.at(16), data.val.at(16)
