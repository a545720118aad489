"""Data sets with a folder of pictures for each class: ImageNet, CINIC-10."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from natdeploy.data.labelled import Labelled, SourceData
from natdeploy.data.sources.folder import class_folders, image_files
from natdeploy.data.sources.known import KnownSet, Official

IMAGENET = KnownSet(
    name="imagenet",
    address="https://www.image-net.org/challenges/LSVRC/2012/",
    layout="train/WNID/*.JPEG and val/WNID/*.JPEG; or val/*.JPEG with ILSVRC2012_devkit_t12/data/meta.mat and "
    "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt",
    hub="ILSVRC/imagenet-1k",
    train=1_281_167,
    held_out=10_000,
    hub_test="validation",
)
CINIC10 = KnownSet(
    name="cinic10",
    address="https://datashare.is.ed.ac.uk/handle/10283/3192",
    layout="train/, valid/ and test/ with CLASS/*.png",
    hub="flwrlabs/cinic10",
    train=180_000,
    held_out=10_000,
    augmentation="crop-flip",
)
_DEVKIT = Path("ILSVRC2012_devkit_t12") / "data"


def read_imagenet(text: str = "") -> SourceData:
    """``imagenet``, ``imagenet:FOLDER``; classes by WordNet number, in its order, as published weights have them."""

    def official(root: Path) -> Official:
        folder = IMAGENET.base(root, "ILSVRC/Data/CLS-LOC")
        classes, train = _part(IMAGENET, root, [folder / "train"])
        if class_folders(IMAGENET.need(folder / "val")):
            _, test = _part(IMAGENET, root, [folder / "val"], classes)
        else:
            test = _flat_validation(root, folder / "val", classes)
        return classes, {"train": train, "test": test}

    return IMAGENET.read(text, official)


def read_cinic10(text: str = "") -> SourceData:
    """``cinic10``, ``cinic10:FOLDER``: the training and validation parts are trained on together."""

    def official(root: Path) -> Official:
        classes, train = _part(CINIC10, root, [root / "train", root / "valid"])
        _, test = _part(CINIC10, root, [root / "test"], classes)
        return classes, {"train": train, "test": test}

    return CINIC10.read(text, official)


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


def _flat_validation(root: Path, folder: Path, classes: tuple[str, ...]) -> Labelled:
    """All validation pictures in one folder, as their archive unpacks, labelled by the development kit."""
    from natdeploy.data.sources.matlab import mat_variable, scalar

    base = root if (root / _DEVKIT).is_dir() else root / "devkit"
    meta, truth = base / _DEVKIT / "meta.mat", base / _DEVKIT / "ILSVRC2012_validation_ground_truth.txt"
    synsets = mat_variable(IMAGENET, meta, "synsets").ravel()
    if synsets.dtype.names is None or not {"ILSVRC2012_ID", "WNID"} <= set(synsets.dtype.names):
        raise IMAGENET.refusal(meta, "'synsets' has no fields 'ILSVRC2012_ID' and 'WNID'")
    wnids = {int(scalar(row["ILSVRC2012_ID"])): str(scalar(row["WNID"])) for row in synsets}
    numbers = IMAGENET.lines(truth)
    files = image_files(folder)
    if len(files) != len(numbers):
        raise IMAGENET.refusal(truth, f"has {len(numbers)} lines, but there are {len(files)} pictures in {folder}")
    labels = []
    for number in numbers:
        wnid = wnids.get(int(number)) if number.isdecimal() else None
        if wnid not in classes:
            raise IMAGENET.refusal(truth, f"class {number!r} is not one of {meta} with training pictures")
        labels.append(classes.index(wnid))
    return IMAGENET.labelled(root, files, np.array(labels).tolist())
