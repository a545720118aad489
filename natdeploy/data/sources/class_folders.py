"""Data sets with a folder of pictures for each class: ImageNet, CINIC-10."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from natdeploy.data.labelled import Labelled, SourceData
from natdeploy.data.sources.folder import class_folders, image_files
from natdeploy.data.sources.known import KnownSet, Official, known_sets

_DEVKIT = Path("ILSVRC2012_devkit_t12") / "data"


def read_imagenet(text: str = "") -> SourceData:
    """``imagenet``, ``imagenet:FOLDER``; classes by WordNet number, in its order, as published weights have them."""
    return known_sets()["imagenet"].read(text, _imagenet)


def _imagenet(known: KnownSet, root: Path) -> Official:
    folder = known.base(root, "ILSVRC/Data/CLS-LOC")
    classes, train = _part(known, root, [folder / "train"])
    if class_folders(known.need(folder / "val")):
        _, test = _part(known, root, [folder / "val"], classes)
    else:
        test = _flat_validation(known, root, folder / "val", classes)
    return classes, {"train": train, "test": test}


def read_cinic10(text: str = "") -> SourceData:
    """``cinic10``, ``cinic10:FOLDER``: the training and validation parts are trained on together."""
    return known_sets()["cinic10"].read(text, _cinic10)


def _cinic10(known: KnownSet, root: Path) -> Official:
    classes, train = _part(known, root, [root / "train", root / "valid"])
    _, test = _part(known, root, [root / "test"], classes)
    return classes, {"train": train, "test": test}


def _part(
    known: KnownSet, root: Path, folders: list[Path], classes: tuple[str, ...] = ()
) -> tuple[tuple[str, ...], Labelled]:
    found = [folder for each in folders for folder in class_folders(known.need(each))]
    classes = classes or tuple(sorted({folder.name for folder in found}))
    files, labels = [], []
    for folder in found:
        if folder.name not in classes:
            raise known.refusal(folder, "no training image has this class")
        inside = image_files(folder)
        files += inside
        labels += [classes.index(folder.name)] * len(inside)
    if not files:
        raise known.refusal(folders[0], "has no folders of pictures")
    return classes, known.labelled(root, files, labels)


def _flat_validation(known: KnownSet, root: Path, folder: Path, classes: tuple[str, ...]) -> Labelled:
    """All validation pictures in one folder, as their archive unpacks, labelled by the development kit."""
    from natdeploy.data.sources.matlab import mat_variable, scalar

    base = root if (root / _DEVKIT).is_dir() else root / "devkit"
    meta, truth = base / _DEVKIT / "meta.mat", base / _DEVKIT / "ILSVRC2012_validation_ground_truth.txt"
    synsets = mat_variable(known, meta, "synsets").ravel()
    if synsets.dtype.names is None or not {"ILSVRC2012_ID", "WNID"} <= set(synsets.dtype.names):
        raise known.refusal(meta, "'synsets' has no fields 'ILSVRC2012_ID' and 'WNID'")
    wnids = {int(scalar(row["ILSVRC2012_ID"])): str(scalar(row["WNID"])) for row in synsets}
    numbers = known.lines(truth)
    files = image_files(folder)
    if len(files) != len(numbers):
        raise known.refusal(truth, f"has {len(numbers)} lines, but there are {len(files)} pictures in {folder}")
    labels = []
    for number in numbers:
        wnid = wnids.get(int(number)) if number.isdecimal() else None
        if wnid not in classes:
            raise known.refusal(truth, f"class {number!r} is not one of {meta} with training pictures")
        labels.append(classes.index(wnid))
    return known.labelled(root, files, np.array(labels).tolist())
