"""Data sets whose labels stand in MATLAB files: Stanford Cars, Oxford Flowers 102."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from natdeploy.data.labelled import SourceData
from natdeploy.data.sources.known import KnownSet, Official, known_sets


def read_cars(text: str = "") -> SourceData:
    """``stanford-cars``, ``stanford-cars:FOLDER``; whole pictures, not the boxes around the cars.

    Either archive: with the pictures of each part in a folder of its own, or all in ``car_ims``.
    """
    return known_sets()["stanford-cars"].read(text, _cars)


def _cars(known: KnownSet, root: Path) -> Official:
    folder = known.base(root, "stanford_cars")
    if (folder / "cars_annos.mat").exists():
        return _cars_of_one_list(known, folder)
    with_labels = "cars_test_annos_withlabels.mat"
    test = folder / with_labels if (folder / with_labels).exists() else folder / "devkit" / with_labels
    classes = texts(mat_variable(known, folder / "devkit" / "cars_meta.mat", "class_names"))
    parts = {}
    for part, file in (("train", folder / "devkit" / "cars_train_annos.mat"), ("test", test)):
        rows = structures(known, file, "annotations", "fname", "class")
        files = [folder / f"cars_{part}" / Path(str(scalar(row["fname"]))).name for row in rows]
        labels = [whole(known, file, row["class"]) - 1 for row in rows]
        parts[part] = known.labelled(folder, files, labels)
    return classes, parts


def _cars_of_one_list(known: KnownSet, folder: Path) -> Official:
    file = folder / "cars_annos.mat"
    classes = texts(mat_variable(known, file, "class_names"))
    rows = structures(known, file, "annotations", "relative_im_path", "class", "test")
    parts = {}
    for number, part in enumerate(("train", "test")):
        chosen = [row for row in rows if whole(known, file, row["test"]) == number]
        files = [folder / "car_ims" / Path(str(scalar(row["relative_im_path"]))).name for row in chosen]
        parts[part] = known.labelled(folder, files, [whole(known, file, row["class"]) - 1 for row in chosen])
    return classes, parts


def read_flowers(text: str = "") -> SourceData:
    """``oxford-flowers102``, ``oxford-flowers102:FOLDER``; classes have numbers, the official files name none.

    The official training and validation parts, ten images of each class, are trained on together.
    """
    return known_sets()["oxford-flowers102"].read(text, _flowers)


def _flowers(known: KnownSet, root: Path) -> Official:
    folder = known.base(root, "flowers-102", "102flowers")
    labels = numbers(known, folder / "imagelabels.mat", "labels")
    if labels.min(initial=1) < 1 or labels.max(initial=1) > known.classes:
        raise known.refusal(folder / "imagelabels.mat", f"has labels beyond 1 to {known.classes}")
    ids = {name: numbers(known, folder / "setid.mat", name) for name in ("trnid", "valid", "tstid")}
    parts = {}
    for part, chosen in (("train", np.concatenate([ids["trnid"], ids["valid"]])), ("test", ids["tstid"])):
        if chosen.min(initial=1) < 1 or chosen.max(initial=1) > len(labels):
            raise known.refusal(folder / "setid.mat", f"names images beyond the {len(labels)} that have labels")
        files = [folder / "jpg" / f"image_{number:05d}.jpg" for number in chosen]
        parts[part] = known.labelled(folder, files, (labels[chosen - 1] - 1).tolist())
    return tuple(str(number) for number in range(1, int(labels.max(initial=0)) + 1)), parts


def mat_variable(known: KnownSet, file: Path, name: str) -> np.ndarray:
    """A variable of a MATLAB file; one that holds objects of other kinds than arrays is refused by scipy."""
    from scipy.io import loadmat

    there = known.need(file)
    try:
        found = loadmat(there, variable_names=[name]).get(name)
    except Exception as error:  # a damaged file can raise anything
        raise known.refusal(file, f"cannot be read as a MATLAB file ({type(error).__name__})") from None
    if not isinstance(found, np.ndarray):
        raise known.refusal(file, f"has no variable {name!r}")
    return found


def numbers(known: KnownSet, file: Path, name: str) -> np.ndarray:
    """A variable of whole numbers, int64 in one dimension."""
    found = mat_variable(known, file, name).ravel()
    if not np.issubdtype(found.dtype, np.number) or not (found == np.round(found)).all():
        raise known.refusal(file, f"{name!r} does not hold whole numbers")
    return found.astype(np.int64)


def structures(known: KnownSet, file: Path, name: str, *fields: str) -> np.ndarray:
    """A variable of structures that have these fields."""
    rows = mat_variable(known, file, name).ravel()
    if rows.dtype.names is None or not set(fields) <= set(rows.dtype.names):
        raise known.refusal(file, f"{name!r} has no fields {' and '.join(map(repr, fields))}")
    return rows


def scalar(value: Any) -> Any:
    """The one value in a cell of a cell; None in an empty one."""
    while isinstance(value, np.ndarray):
        value = value.ravel()[0] if value.size else None
    return value


def whole(known: KnownSet, file: Path, value: Any) -> int:
    """The one whole number in a cell."""
    found = scalar(value)
    try:
        return int(found)
    except (TypeError, ValueError, OverflowError):
        raise known.refusal(file, f"'{found!s:.40}' stands where a whole number should") from None


def texts(cells: np.ndarray) -> tuple[str, ...]:
    """The text in each cell; a text in a matrix of characters is a row."""
    return tuple(str(scalar(cell)).strip() for cell in cells.ravel())
