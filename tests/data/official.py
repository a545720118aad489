"""Small copies of the official layouts of NAT's data sets: each maker fills a folder and says what should be read."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

#: A maker's answer: class names, and how many images each part has of each class.
Expected = tuple[tuple[str, ...], dict[str, int]]


def picture(file: Path, label: int, size: tuple[int, int] = (40, 48)) -> None:
    """A picture whose red says its class, whose green is noise from its name."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((*size, 3), dtype=np.uint8)
    pixels[..., 0] = 40 * (label + 1)
    pixels[..., 1] = np.random.default_rng(list(file.name.encode())).integers(0, 256, size)
    # without loss, whatever the ending says: an image's format is in its first bytes
    Image.fromarray(pixels).save(file, "PNG")


def cifar10(root: Path) -> Expected:
    classes = ["airplane", "cat", "dog"]
    folder = root / "cifar-10-batches-py"
    folder.mkdir()
    for number, name in enumerate([*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]):
        _pickle(folder / name, {"batch_label": name, "data": _rows(6, number), "labels": [0, 1, 2] * 2})
    _pickle(folder / "batches.meta", {"num_cases_per_batch": 6, "label_names": classes, "num_vis": 3072})
    return tuple(classes), {"train": 10, "test": 2}


def cifar100(root: Path) -> Expected:
    classes = ["apple", "bear", "cup"]
    folder = root / "cifar-100-python"
    folder.mkdir()
    for name, count in (("train", 30), ("test", 6)):
        labels = {"fine_labels": [0, 1, 2] * (count // 3), "coarse_labels": [0] * count}
        _pickle(folder / name, {"filenames": ["x.png"] * count, "data": _rows(count, count), **labels})
    _pickle(folder / "meta", {"fine_label_names": classes, "coarse_label_names": ["all"]})
    return tuple(classes), {"train": 10, "test": 2}


def _rows(count: int, seed: int) -> np.ndarray:
    """Rows of planes red, green, blue; red says the class, green falls from row to row, blue from column to column."""
    pixels = np.random.default_rng(seed).integers(0, 8, (count, 3, 32, 32), dtype=np.uint8)
    pixels[:, 0] = 40 * (np.arange(count) % 3 + 1)[:, None, None]
    pixels[:, 1, 0], pixels[:, 2, :, 0] = 200, 201
    return pixels.reshape(count, -1)


def _pickle(file: Path, value: dict) -> None:
    """As Python 2 would: protocol 2."""
    file.write_bytes(pickle.dumps(value, protocol=2))


def cifar10_binary(root: Path) -> Expected:
    folder = root / "cifar-10-batches-bin"
    folder.mkdir()
    for number, name in enumerate([*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]):
        labels = np.array([[0], [1], [2]] * 2, dtype=np.uint8)
        np.hstack([labels, _rows(6, number)]).tofile(folder / f"{name}.bin")
    (folder / "batches.meta.txt").write_text("airplane\ncat\ndog\n\n")
    return ("airplane", "cat", "dog"), {"train": 10, "test": 2}


def cifar10_matlab(root: Path) -> Expected:
    classes, folder = ("airplane", "cat", "dog"), root / "cifar-10-batches-mat"
    folder.mkdir()
    for number, name in enumerate([*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]):
        labels = np.array([[0], [1], [2]] * 2, dtype=np.uint8)
        savemat(folder / f"{name}.mat", {"data": _rows(6, number), "labels": labels, "batch_label": name})
    savemat(folder / "batches.meta.mat", {"label_names": _cells(classes)})
    return classes, {"train": 10, "test": 2}


def cifar100_binary(root: Path) -> Expected:
    folder = root / "cifar-100-binary"
    folder.mkdir()
    for name, count in (("train", 30), ("test", 6)):
        labels = np.stack([np.zeros(count), np.arange(count) % 3], axis=1).astype(np.uint8)  # coarse, then fine
        np.hstack([labels, _rows(count, count)]).tofile(folder / f"{name}.bin")
    (folder / "fine_label_names.txt").write_text("apple\nbear\ncup\n")
    return ("apple", "bear", "cup"), {"train": 10, "test": 2}


def cifar100_matlab(root: Path) -> Expected:
    classes, folder = ("apple", "bear", "cup"), root / "cifar-100-matlab"
    folder.mkdir()
    for name, count in (("train", 30), ("test", 6)):
        labels = {
            "fine_labels": (np.arange(count) % 3)[:, None].astype(np.uint8),
            "coarse_labels": np.zeros((count, 1)),
        }
        savemat(folder / f"{name}.mat", {"data": _rows(count, count), **labels})
    savemat(folder / "meta.mat", {"fine_label_names": _cells(classes), "coarse_label_names": _cells(("all",))})
    return classes, {"train": 10, "test": 2}


def _cells(names: tuple[str, ...]) -> np.ndarray:
    """MATLAB's column of texts."""
    return np.array(names, dtype=object)[:, None]


def stl10(root: Path) -> Expected:
    folder = root / "stl10_binary"
    folder.mkdir()
    (folder / "class_names.txt").write_text("airplane\nbird\n")
    for part, images, labels in _stl10_parts():
        images.tofile(folder / f"{part}_X.bin")
        labels.tofile(folder / f"{part}_y.bin")
    return ("airplane", "bird"), {"train": 10, "test": 2}


def stl10_matlab(root: Path) -> Expected:
    folder = root / "stl10_matlab"
    folder.mkdir()
    for part, images, labels in _stl10_parts():
        variables = {"X": images.reshape(len(images), -1), "y": labels[:, None]}
        savemat(folder / f"{part}.mat", {**variables, "class_names": _cells(("airplane", "bird")).T})
    return ("airplane", "bird"), {"train": 10, "test": 2}


def _stl10_parts() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name, planes column by column, and labels from 1 of each part."""
    for part, count in (("train", 20), ("test", 4)):
        labels = np.arange(count) % 2
        images = np.random.default_rng(count).integers(0, 8, (count, 96, 96, 3), dtype=np.uint8)
        images[..., 0] = 40 * (labels + 1)[:, None, None]
        images[:, 0, :, 1], images[:, :, 0, 2] = 200, 201
        yield part, np.ascontiguousarray(images.transpose(0, 3, 2, 1)), (labels + 1).astype(np.uint8)


def cinic10(root: Path) -> Expected:
    for part in ("train", "valid", "test"):
        for label, name in enumerate(("cat", "dog")):
            for number in range(6):
                picture(root / part / name / f"cifar10-{part}-{number}.png", label, (32, 32))
    return ("cat", "dog"), {"train": 12, "test": 6}


def imagenet(root: Path) -> Expected:
    wnids = ("n01440764", "n01443537")
    for label, wnid in enumerate(wnids):
        for number in range(12):
            picture(root / "train" / wnid / f"{wnid}_{number}.JPEG", label)
        for number in range(3):
            picture(root / "val" / wnid / f"ILSVRC2012_val_{2 * number + label + 1:08d}.JPEG", label)
    return wnids, {"train": 12, "test": 3}


def imagenet_flat(root: Path) -> Expected:
    """The validation pictures as their archive unpacks; the development kit's numbers run against the sorted WNIDs."""
    classes, counts = imagenet(root)
    for file in (root / "val").glob("*/*.JPEG"):
        file.rename(root / "val" / file.name)
    for wnid in classes:
        (root / "val" / wnid).rmdir()
    kit = root / "ILSVRC2012_devkit_t12" / "data"
    kit.mkdir(parents=True)
    synsets = np.array([(1, classes[1]), (2, classes[0])], dtype=[("ILSVRC2012_ID", "O"), ("WNID", "O")])
    savemat(kit / "meta.mat", {"synsets": synsets[:, None]})
    (kit / "ILSVRC2012_validation_ground_truth.txt").write_text("2\n1\n" * 3)
    return classes, counts


def imagenet_kaggle(root: Path) -> Expected:
    """As Kaggle packs it: deeper, and with the validation pictures' classes in a table of their own order."""
    base = root / "ILSVRC" / "Data" / "CLS-LOC"
    base.mkdir(parents=True)
    classes, counts = imagenet(base)
    rows = ["ImageId,PredictionString"]
    for file in (base / "val").glob("*/*.JPEG"):
        rows.append(f"{file.stem},{file.parent.name} 1 2 30 40 {file.parent.name} 5 6 7 8 ")
        file.rename(base / "val" / file.name)
    for wnid in classes:
        (base / "val" / wnid).rmdir()
    (root / "LOC_val_solution.csv").write_text("\n".join(rows) + "\n")
    return classes, counts


def food101(root: Path) -> Expected:
    classes = ("apple_pie", "waffles")
    folder = root / "food-101"
    lines: dict[str, list[str]] = {"train": [], "test": []}
    for label, name in enumerate(classes):
        for number in range(15):
            picture(folder / "images" / name / f"{number}.jpg", label)
            lines["test" if number < 3 else "train"].append(f"{name}/{number}")
    (folder / "meta").mkdir()
    (folder / "meta" / "classes.txt").write_text("\n".join(classes) + "\n")
    for part, names in lines.items():
        (folder / "meta" / f"{part}.txt").write_text("\n".join(names) + "\n")
    return classes, {"train": 12, "test": 3}


def dtd(root: Path) -> Expected:
    classes = ("banded", "zigzagged")
    lines: dict[str, list[str]] = {"train1": [], "val1": [], "test1": []}
    for label, name in enumerate(classes):
        for part, names in lines.items():
            for number in range(6):
                picture(root / "dtd" / "images" / name / f"{name}_{part}{number}.jpg", label)
                names.append(f"{name}/{name}_{part}{number}.jpg")
    (root / "dtd" / "labels").mkdir()
    for part, names in lines.items():
        (root / "dtd" / "labels" / f"{part}.txt").write_text("\n".join(names) + "\n")
    return classes, {"train": 12, "test": 6}


def aircraft(root: Path) -> Expected:
    classes = ("707-320", "Boeing 717")
    data = root / "fgvc-aircraft-2013b" / "data"
    lines: dict[str, list[str]] = {"trainval": [], "test": []}
    for label, name in enumerate(classes):
        for number in range(15):
            code = f"{1000 * label + number:07d}"
            picture(data / "images" / f"{code}.jpg", label)
            lines["test" if number < 3 else "trainval"].append(f"{code} {name}")
    (data / "variants.txt").write_text("\n".join(classes) + "\n")
    for part, names in lines.items():
        (data / f"images_variant_{part}.txt").write_text("\n".join(names) + "\n")
    return classes, {"train": 12, "test": 3}


def pets(root: Path) -> Expected:
    classes = ("Abyssinian", "great_pyrenees")
    lines: dict[str, list[str]] = {"trainval": [], "test": []}
    for label, name in enumerate(classes):
        for number in range(15):
            picture(root / "images" / f"{name}_{number}.jpg", label)
            lines["test" if number < 3 else "trainval"].append(f"{name}_{number} {label + 1} 1 1")
    (root / "annotations").mkdir()
    for part, names in lines.items():
        (root / "annotations" / f"{part}.txt").write_text("#Image CLASS-ID SPECIES BREED\n" + "\n".join(names) + "\n")
    return classes, {"train": 12, "test": 3}


def cars(root: Path) -> Expected:
    classes = ("AM General Hummer SUV 2000", "Acura RL Sedan 2012")
    kit = root / "devkit"
    kit.mkdir()
    savemat(kit / "cars_meta.mat", {"class_names": np.array([classes], dtype=object)})
    fields = [(name, "O") for name in ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname")]
    for part, count, file in (("train", 24, kit / "cars_train_annos.mat"), ("test", 6, None)):
        rows = []
        for number in range(count):
            picture(root / f"cars_{part}" / f"{number + 1:05d}.jpg", number % 2)
            rows.append((1, 1, 9, 9, number % 2 + 1, f"{number + 1:05d}.jpg"))
        annotations = {"annotations": np.array([rows], fields)}
        savemat(file or root / "cars_test_annos_withlabels.mat", annotations)
    return classes, {"train": 12, "test": 3}


def cars_of_one_list(root: Path) -> Expected:
    """The other archive: all pictures in one folder, the part a field."""
    classes = ("AM General Hummer SUV 2000", "Acura RL Sedan 2012")
    names = ("relative_im_path", "bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "test")
    rows = []
    for number in range(30):
        path = f"car_ims/{number + 1:06d}.jpg"
        picture(root / path, number % 2)
        rows.append((path, 1, 1, 9, 9, number % 2 + 1, int(number >= 24)))
    annotations = np.array([rows], [(name, "O") for name in names])
    savemat(root / "cars_annos.mat", {"annotations": annotations, "class_names": _cells(classes).T})
    return classes, {"train": 12, "test": 3}


def flowers(root: Path) -> Expected:
    labels = np.arange(30) % 2 + 1
    for number, label in enumerate(labels, start=1):
        picture(root / "jpg" / f"image_{number:05d}.jpg", int(label) - 1)
    order = np.arange(1, 31)
    savemat(root / "imagelabels.mat", {"labels": labels[None].astype(np.uint8)})
    parts = {"trnid": order[:12], "valid": order[12:24], "tstid": order[24:]}
    savemat(root / "setid.mat", {name: ids[None].astype(np.uint16) for name, ids in parts.items()})
    return ("1", "2"), {"train": 12, "test": 3}


#: Name for ``--data`` to makers of its layouts.
MAKERS: dict[str, list[Callable[[Path], Expected]]] = {
    "imagenet": [imagenet, imagenet_flat, imagenet_kaggle],
    "cifar10": [cifar10, cifar10_binary, cifar10_matlab],
    "cifar100": [cifar100, cifar100_binary, cifar100_matlab],
    "cinic10": [cinic10],
    "stl10": [stl10, stl10_matlab],
    "food101": [food101],
    "stanford-cars": [cars, cars_of_one_list],
    "fgvc-aircraft": [aircraft],
    "dtd": [dtd],
    "oxford-pets": [pets],
    "oxford-flowers102": [flowers],
}
