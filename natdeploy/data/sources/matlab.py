"""Data sets whose labels stand in MATLAB files: Stanford Cars, Oxford Flowers 102."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from natdeploy.data.labelled import SourceData
from natdeploy.data.sources.known import KnownSet, Official, known_sets


def read_cars(text: str = "") -> SourceData:
    """``stanford-cars``, ``stanford-cars:FOLDER``; whole pictures, not the boxes around the cars."""
    return known_sets()["stanford-cars"].read(text, _cars)


def _cars(known: KnownSet, root: Path) -> Official:
    folder = known.base(root, "stanford_cars")
    with_labels = "cars_test_annos_withlabels.mat"
    test = folder / with_labels if (folder / with_labels).exists() else folder / "devkit" / with_labels
    names = mat_variable(known, folder / "devkit" / "cars_meta.mat", "class_names")
    classes = tuple(str(scalar(name)) for name in names.ravel())
    parts = {}
    for part, file in (("train", folder / "devkit" / "cars_train_annos.mat"), ("test", test)):
        rows = mat_variable(known, file, "annotations").ravel()
        if rows.dtype.names is None or not {"fname", "class"} <= set(rows.dtype.names):
            raise known.refusal(file, "'annotations' has no fields 'fname' and 'class'")
        files = [folder / f"cars_{part}" / Path(str(scalar(row["fname"]))).name for row in rows]
        parts[part] = known.labelled(folder, files, [int(scalar(row["class"])) - 1 for row in rows])
    return classes, parts


def read_flowers(text: str = "") -> SourceData:
    """``oxford-flowers102``, ``oxford-flowers102:FOLDER``; classes have numbers, the official files name none.

    The official training and validation parts, ten images of each class, are trained on together.
    """
    return known_sets()["oxford-flowers102"].read(text, _flowers)


def _flowers(known: KnownSet, root: Path) -> Official:
    folder = known.base(root, "flowers-102")
    labels = _numbers(known, folder / "imagelabels.mat", "labels")
    ids = {name: _numbers(known, folder / "setid.mat", name) for name in ("trnid", "valid", "tstid")}
    parts = {}
    for part, numbers in (("train", np.concatenate([ids["trnid"], ids["valid"]])), ("test", ids["tstid"])):
        if numbers.min(initial=1) < 1 or numbers.max(initial=1) > len(labels):
            raise known.refusal(folder / "setid.mat", f"names images beyond the {len(labels)} that have labels")
        files = [folder / "jpg" / f"image_{number:05d}.jpg" for number in numbers]
        parts[part] = known.labelled(folder, files, labels[numbers - 1] - 1)
    return tuple(str(number) for number in range(1, int(labels.max(initial=0)) + 1)), parts


def _numbers(known: KnownSet, file: Path, variable: str) -> np.ndarray:
    found = mat_variable(known, file, variable).ravel()
    if not np.issubdtype(found.dtype, np.number):
        raise known.refusal(file, f"{variable!r} holds no numbers")
    return found.astype(np.int64)


def mat_variable(known: KnownSet, file: Path, name: str) -> np.ndarray:
    """A variable of a MATLAB file; one that holds objects of other kinds than arrays is refused by scipy."""
    from scipy.io import loadmat

    try:
        found = loadmat(known.need(file), variable_names=[name]).get(name)
    except Exception as error:  # a damaged file can raise anything
        raise known.refusal(file, f"cannot be read as a MATLAB file ({type(error).__name__})") from None
    if not isinstance(found, np.ndarray):
        raise known.refusal(file, f"has no variable {name!r}")
    return found


def scalar(value: Any) -> Any:
    """The one value in a cell of a cell."""
    while isinstance(value, np.ndarray):
        value = value.ravel()[0]
    return value
