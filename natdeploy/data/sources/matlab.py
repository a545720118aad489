"""Data sets whose labels stand in MATLAB files: Stanford Cars, Oxford Flowers 102."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from natdeploy.data.labelled import SourceData
from natdeploy.data.sources.known import KnownSet, Official

CARS = KnownSet(
    name="stanford-cars",
    address="https://ai.stanford.edu/~jkrause/cars/car_dataset.html",
    layout="cars_train/ and cars_test/ with *.jpg, devkit/cars_meta.mat, devkit/cars_train_annos.mat and "
    "cars_test_annos_withlabels.mat (beside these folders or in devkit/)",
    hub="tanganke/stanford_cars",
    train=8_144,
    held_out=814,
)
FLOWERS = KnownSet(
    name="oxford-flowers102",
    address="https://www.robots.ox.ac.uk/~vgg/data/flowers/102/",
    layout="jpg/image_NNNNN.jpg (of 102flowers.tgz), imagelabels.mat and setid.mat",
    hub="dpdl-benchmark/oxford_flowers102",
    train=2_040,
    held_out=204,
)


def read_cars(text: str = "") -> SourceData:
    """``stanford-cars``, ``stanford-cars:FOLDER``; whole pictures, not the boxes around the cars."""

    def official(root: Path) -> Official:
        folder = CARS.base(root, "stanford_cars")
        with_labels = "cars_test_annos_withlabels.mat"
        test = folder / with_labels if (folder / with_labels).exists() else folder / "devkit" / with_labels
        names = mat_variable(CARS, folder / "devkit" / "cars_meta.mat", "class_names")
        classes = tuple(str(scalar(name)) for name in names.ravel())
        parts = {}
        for part, file in (("train", folder / "devkit" / "cars_train_annos.mat"), ("test", test)):
            rows = mat_variable(CARS, file, "annotations").ravel()
            if rows.dtype.names is None or not {"fname", "class"} <= set(rows.dtype.names):
                raise CARS.refusal(file, "'annotations' has no fields 'fname' and 'class'")
            files = [folder / f"cars_{part}" / Path(str(scalar(row["fname"]))).name for row in rows]
            parts[part] = CARS.labelled(folder, files, [int(scalar(row["class"])) - 1 for row in rows])
        return classes, parts

    return CARS.read(text, official)


def read_flowers(text: str = "") -> SourceData:
    """``oxford-flowers102``, ``oxford-flowers102:FOLDER``; classes have numbers, the official files name none.

    The official training and validation parts, ten images of each class, are trained on together.
    """

    def official(root: Path) -> Official:
        folder = FLOWERS.base(root, "flowers-102")
        labels = _numbers(folder / "imagelabels.mat", "labels")
        ids = {name: _numbers(folder / "setid.mat", name) for name in ("trnid", "valid", "tstid")}
        parts = {}
        for part, numbers in (("train", np.concatenate([ids["trnid"], ids["valid"]])), ("test", ids["tstid"])):
            if numbers.min(initial=1) < 1 or numbers.max(initial=1) > len(labels):
                raise FLOWERS.refusal(folder / "setid.mat", f"names images beyond the {len(labels)} that have labels")
            files = [folder / "jpg" / f"image_{number:05d}.jpg" for number in numbers]
            parts[part] = FLOWERS.labelled(folder, files, labels[numbers - 1] - 1)
        return tuple(str(number) for number in range(1, int(labels.max(initial=0)) + 1)), parts

    def _numbers(file: Path, variable: str) -> np.ndarray:
        found = mat_variable(FLOWERS, file, variable).ravel()
        if not np.issubdtype(found.dtype, np.number):
            raise FLOWERS.refusal(file, f"{variable!r} holds no numbers")
        return found.astype(np.int64)

    return FLOWERS.read(text, official)


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
