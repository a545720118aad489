"""Copies of NAT's data sets that are not quite as their authors published them: other case, other forms."""

from __future__ import annotations

import io
import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat, savemat

from natdeploy.data import load_dataset
from natdeploy.data.labelled import Labelled, SourceData
from natdeploy.data.pickles import read_arrays_pickle
from natdeploy.data.sources.known import known_sets
from natdeploy.data.split import divide
from natdeploy.ground.errors import BadInput
from tests.data.official import MAKERS, cars, cars_of_one_list, cifar10, cifar10_binary, flowers, pets, stl10_matlab


def in_capitals(root: Path) -> None:
    """Rename everything below a folder, the deepest first."""
    for path in sorted(root.rglob("*"), key=lambda path: -len(path.parts)):
        path.rename(path.with_name(path.name.upper()))


@pytest.mark.parametrize("name", ["stl10", "food101", "oxford-pets", "oxford-flowers102", "cifar100", "dtd"])
def test_the_case_of_names_does_not_matter(tmp_path: Path, name: str) -> None:
    classes, counts = MAKERS[name][0](tmp_path)
    in_capitals(tmp_path)
    data = load_dataset(f"{name}:{tmp_path}")
    assert (data.classes, len(data.test)) == (classes, counts["test"] * len(classes))
    assert (np.asarray(data.test.at(8))[:, 4, 4, 0] == 40 * (data.test.labels + 1)).all()


@pytest.mark.parametrize(
    ("name", "make"),
    [
        pytest.param(name, make, id=make.__name__)
        for name, makers in MAKERS.items()
        for make in makers
        if make.__name__ not in ("imagenet", "cinic10")  # which are folders of class folders, and read as such
    ],
)
def test_a_layout_without_its_name_is_known(tmp_path: Path, name: str, make: Callable[[Path], object]) -> None:
    make(tmp_path)
    inside = sorted(tmp_path.iterdir())
    for root in (tmp_path, inside[0]) if len(inside) == 1 and name != "imagenet" else (tmp_path,):
        with pytest.raises(BadInput, match=f"; it looks like {name}: give {name}:{re.escape(str(root))}$"):
            load_dataset(str(root))


def test_archives_that_were_not_unpacked_are_named(tmp_path: Path) -> None:
    packed = shutil.make_archive(str(tmp_path / "food-101"), "gztar", tmp_path, ".")
    with pytest.raises(BadInput, match=r"is missing; food101 needs .*; unpack food-101\.tar\.gz there first$"):
        load_dataset(f"food101:{tmp_path}")
    with pytest.raises(BadInput, match=r"food-101\.tar\.gz: has to be unpacked first; give the folder"):
        load_dataset(f"food101:{packed}")


def test_cifar_may_have_been_pickled_anew(tmp_path: Path) -> None:
    """With names of bytes and labels in arrays, as scripts leave it that read the original as bytes."""
    cifar10(tmp_path)
    folder = tmp_path / "cifar-10-batches-py"
    before = load_dataset(f"cifar10:{tmp_path}")
    for file in folder.iterdir():
        table = {name.encode(): value for name, value in read_arrays_pickle(file).items()}
        if b"labels" in table:
            table[b"labels"] = np.array(table[b"labels"])
        else:
            table[b"label_names"] = [name.encode() for name in table[b"label_names"]]
        file.write_bytes(pickle.dumps(table, protocol=5))
    assert load_dataset(f"cifar10:{tmp_path}").fingerprint == before.fingerprint


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def change_mat(file: Path, **variables: object) -> None:
    kept = {name: value for name, value in loadmat(file).items() if not name.startswith("_")}
    savemat(file, {**kept, **variables})


def change_line(file: Path, line: str) -> None:
    file.write_text("\n".join([*file.read_text().splitlines()[:-1], line]) + "\n")


@pytest.mark.parametrize(
    ("name", "make", "damage", "said"),
    [
        (
            "cifar10",
            cifar10_binary,
            lambda root: cut(root / "cifar-10-batches-bin" / "data_batch_2.bin"),
            r"data_batch_2\.bin: has 18437 bytes, not 3073 for each image",
        ),
        (
            "cifar10",
            cifar10_binary,
            lambda root: (root / "cifar-10-batches-bin" / "batches.meta.txt").write_text("\n".join("abcdefghijkl")),
            "has 12 classes, not 10",
        ),
        (
            "stl10",
            stl10_matlab,
            lambda root: change_mat(root / "stl10_matlab" / "test.mat", y=np.ones((3, 1))),
            r"test\.mat: has 110592 bytes, not 27648 for each of 3 labels",
        ),
        (
            "stl10",
            stl10_matlab,
            lambda root: change_mat(root / "stl10_matlab" / "test.mat", y=np.full((4, 1), 0.5)),
            r"test\.mat: 'y' does not hold whole numbers",
        ),
        (
            "stanford-cars",
            cars,
            lambda root: (root / "devkit" / "cars_meta.mat").unlink(),
            r"cars_meta\.mat: is missing",
        ),
        (
            "stanford-cars",
            cars_of_one_list,
            lambda root: change_mat(
                root / "cars_annos.mat",
                annotations=np.array(
                    [[("car_ims/000001.jpg", "two", 0)]], [(n, "O") for n in ("relative_im_path", "class", "test")]
                ),
            ),
            r"cars_annos\.mat: 'two' stands where a whole number should",
        ),
        (
            "stanford-cars",
            cars_of_one_list,
            lambda root: change_mat(root / "cars_annos.mat", annotations=np.arange(3)),
            "'annotations' has no fields 'relative_im_path' and 'class' and 'test'",
        ),
        (
            "oxford-flowers102",
            flowers,
            lambda root: change_mat(root / "imagelabels.mat", labels=np.full((1, 30), 2**40)),
            r"imagelabels\.mat: has labels beyond 1 to 102",
        ),
        (
            "oxford-pets",
            pets,
            lambda root: change_line(root / "annotations" / "test.txt", "great_pyrenees_1 9999999 1 1"),
            "a class of 1 to 37",
        ),
        (
            "oxford-pets",
            pets,
            lambda root: change_line(root / "annotations" / "test.txt", "../annotations/x 2 1 1"),
            r"\.\./annotations/x\.jpg: is not below",
        ),
        (
            "fgvc-aircraft",
            MAKERS["fgvc-aircraft"][0],
            lambda root: change_line(
                root / "fgvc-aircraft-2013b" / "data" / "images_variant_test.txt", f"{root}/secret 707-320"
            ),
            r"secret\.jpg: is not below",
        ),
        (
            "imagenet",
            MAKERS["imagenet"][2],
            lambda root: change_line(root / "LOC_val_solution.csv", "ILSVRC2012_val_09999999,n01440764 1 2 3 4"),
            r"LOC_val_solution\.csv: has no line for ILSVRC2012_val_0000000\d\.JPEG",
        ),
    ],
)
def test_what_does_not_fit_is_named_with_the_layout(
    tmp_path: Path, name: str, make: Callable[[Path], object], damage: Callable[[Path], object], said: str
) -> None:
    make(tmp_path)
    damage(tmp_path)
    with pytest.raises(BadInput, match=said) as error:
        load_dataset(f"{name}:{tmp_path}")
    assert f"{name} needs " in str(error.value) and "\n" not in str(error.value)


def test_as_many_are_held_out_of_the_whole_set_as_in_the_paper() -> None:
    """66 or 67 images a class, as of the aircraft: the rounding of each class by itself would hold out 700."""
    known, number = known_sets()["fgvc-aircraft"], np.arange(6667)
    images = np.stack([number % 256, number // 256, 0 * number], axis=1).astype(np.uint8)[:, None, None]
    parts = {"train": Labelled(images, number % 100), "test": Labelled(images[:9], number[:9])}
    source = SourceData("x", "x", tuple(map(str, range(100))), parts, known.held_out / known.train)
    found = divide(source, seed=0, val_fraction=source.val_fraction or 0, test_fraction=0.2)
    assert (len(found["train"]), len(found["val"])) == (6000, known.held_out) == (6000, 667)
    assert set(np.bincount(found["val"].labels)) == {6, 7}


def parquet(file: Path, count: int, seed: int, *, encoded: str = "struct") -> None:
    """Pictures whose red says their class, without a word of the ``datasets`` library's in the file."""
    pandas = pytest.importorskip("pandas")
    pixels = np.random.default_rng(seed).integers(0, 9, (count, 8, 8, 3), dtype=np.uint8)
    pixels[..., 0] = 40 * (np.arange(count) % 2 + 1)[:, None, None]
    blobs = []
    for image in pixels:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG")
        blobs.append({"bytes": buffer.getvalue(), "path": None} if encoded == "struct" else buffer.getvalue())
    file.parent.mkdir(parents=True, exist_ok=True)
    pandas.DataFrame({"img": blobs, "label": np.arange(count) % 2}).to_parquet(file)


@pytest.mark.parametrize("encoded", ["struct", "bytes"])
def test_parquet_files_are_read_as_the_hub_keeps_them(tmp_path: Path, monkeypatch, encoded: str) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    copy = tmp_path / "copy"
    parquet(copy / "data" / "train-00000-of-00001.parquet", 24, 0, encoded=encoded)
    parquet(copy / "data" / "test-00000-of-00001.parquet", 8, 1, encoded=encoded)
    for source in (f"cifar10:{copy}", f"cifar10:hf:{copy}", f"hf:{copy}", str(copy)):
        data = load_dataset(source)
        assert (data.classes, len(data.test), len(data.train) + len(data.val)) == (("0", "1"), 8, 24)
        assert (data.test.at(8)[:, 0, 0, 0] == 40 * (data.test.labels + 1)).all()
    one = load_dataset(str(copy / "data" / "train-00000-of-00001.parquet"))
    assert len(one.train) + len(one.val) + len(one.test) == 24
    parquet(copy / "other" / "train.parquet", 4, 2)
    with pytest.raises(BadInput, match="of several data sets, in the folders data, other; give one of these"):
        load_dataset(f"hf:{copy}")
    shutil.rmtree(copy / "other")
    (copy / "data" / "test-00000-of-00001.parquet").write_bytes(b"nothing")
    with pytest.raises(BadInput, match="copy: not a data set in Parquet files: ") as error:
        load_dataset(f"cifar10:{copy}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "parts", "tested"),
    [
        ("imagenet", ("train", "val"), "val"),
        ("imagenet", ("train", "validation", "test"), "validation"),
        ("food101", ("train", "test"), "test"),
        ("dtd", ("train", "validation", "test"), "test"),
        ("cifar10", ("train", "validation"), "validation"),
        ("cifar10", ("train",), None),
    ],
)
def test_a_copys_parts_may_have_other_names(tmp_path: Path, name: str, parts: tuple[str, ...], tested: str) -> None:
    """What the hub calls validation may be called test or val elsewhere; it is never trained on."""
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])})
    tables = {}
    for number, part in enumerate(parts):
        images = [Image.new("RGB", (8, 8), (100 * number, row, 0)) for row in range(20)]
        tables[part] = datasets.Dataset.from_dict({"image": images, "label": [0, 1] * 10}, features=features)
    datasets.DatasetDict(tables).save_to_disk(str(tmp_path / "copy"))
    data = load_dataset(f"{name}:{tmp_path / 'copy'}")
    reds = {int(image[0, 0, 0]) for image in data.test.images}
    assert reds == {100 * parts.index(tested) if tested else 0}
    trained = {int(image[0, 0, 0]) for part in (data.train, data.val) for image in part.images}
    assert not tested or trained.isdisjoint(reds)
