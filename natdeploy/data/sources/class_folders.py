"""Data sets with a folder of pictures for each class: ImageNet, CINIC-10."""

from __future__ import annotations

from pathlib import Path

from natdeploy.data.labelled import Labelled, SourceData
from natdeploy.data.sources.folder import class_folders, image_files
from natdeploy.data.sources.known import KnownSet, Official, known_sets
from natdeploy.data.sources.layout import existing

_DEVKIT = Path("ILSVRC2012_devkit_t12") / "data"
_KAGGLE = "LOC_val_solution.csv"


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
    root = known.base(root, "CINIC-10", "cinic10")
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
    """All validation pictures in one folder, as their archive unpacks, labelled by the development kit or by Kaggle."""
    files = image_files(known.need(folder))
    listed = existing(root / _KAGGLE)
    source, wnids = _kaggles(known, listed, files) if listed else _devkits(known, root, folder, files)
    labels = []
    for wnid in wnids:
        if wnid not in classes:
            raise known.refusal(source, f"class {wnid!r} is not one with training pictures")
        labels.append(classes.index(wnid))
    return known.labelled(root, files, labels)


def _kaggles(known: KnownSet, table: Path, files: list[Path]) -> tuple[Path, list[str]]:
    """Lines are ``PICTURE,WNID X Y X Y WNID X Y ...``; all boxes of a picture are of one class."""
    rows = (line.partition(",")[::2] for line in known.lines(table))
    wnids = {picture: (boxes.split() or [""])[0] for picture, boxes in rows}
    for file in files:
        if file.stem not in wnids:
            raise known.refusal(table, f"has no line for {file.name}")
    return table, [wnids[file.stem] for file in files]


def _devkits(known: KnownSet, root: Path, folder: Path, files: list[Path]) -> tuple[Path, list[str]]:
    """A line for each picture, in the order of their names, with a number that ``meta.mat`` gives a WordNet number."""
    from natdeploy.data.sources.matlab import scalar, structures, whole

    kit = next((found for place in ("", "devkit") if (found := existing(root / place / _DEVKIT))), root / _DEVKIT)
    meta, truth = kit / "meta.mat", kit / "ILSVRC2012_validation_ground_truth.txt"
    synsets = structures(known, meta, "synsets", "ILSVRC2012_ID", "WNID")
    wnids = {str(whole(known, meta, row["ILSVRC2012_ID"])): str(scalar(row["WNID"])) for row in synsets}
    lines = known.lines(truth)
    if len(files) != len(lines):
        raise known.refusal(truth, f"has {len(lines)} lines, but there are {len(files)} pictures in {folder}")
    for number in lines:
        if number not in wnids:
            raise known.refusal(truth, f"class {number!r} is not one of {meta}")
    return truth, [wnids[number] for number in lines]
