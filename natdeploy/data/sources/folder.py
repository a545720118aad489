"""A folder with one folder of images per class, or with ``train``, ``val``, ``test`` folders of such."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from natdeploy.data.images import read_image
from natdeploy.data.labelled import PART_NAMES, Labelled, SourceData, stacked
from natdeploy.ground.errors import BadInput

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})


def read_folder(text: str) -> SourceData:
    """Read class folders in sorted order; files with other endings than an image's, and hidden ones, are passed over.

    The folder counts as divided already when all its folders are named like parts, one of them ``train``.
    Raises BadInput naming the folder or file at fault.
    """
    root = Path(text).expanduser()
    if not root.is_dir():
        raise BadInput(f"{root}: no such folder; expected a folder with one folder of images per class")
    folders = class_folders(root)
    named = {folder.name.lower(): folder for folder in folders}
    if "train" in named and set(named) <= set(PART_NAMES) and class_folders(named["train"]):
        roots = {PART_NAMES[name]: folder for name, folder in named.items()}
        if len(roots) < len(folders):
            names = ", ".join(folder.name for folder in folders)
            raise BadInput(f"{root}: two folders are named like the same part; keep one of {names}")
    else:
        roots = {"train": root}
    classes = tuple(folder.name for folder in class_folders(roots["train"]))
    if not classes:
        raise BadInput(f"{root}: no class folders inside; expected one folder of images per class")
    if len(classes) == 1:
        raise BadInput(f"{root}: only one class folder ({classes[0]!r}); at least two classes are needed")
    parts = {part: _read_part(folder, classes) for part, folder in roots.items()}
    return SourceData(root.resolve().name, str(root), classes, parts)


def _read_part(root: Path, classes: tuple[str, ...]) -> Labelled:
    images: list[np.ndarray] = []
    labels: list[int] = []
    for folder in class_folders(root):
        if folder.name not in classes:
            raise BadInput(f"{folder}: class {folder.name!r} has no folder among the training images; add or remove it")
        files = image_files(folder)
        if not files:
            raise BadInput(f"{folder}: no images inside; expected files such as {', '.join(sorted(SUFFIXES)[:4])}")
        images += [read_image(file) for file in files]
        labels += [classes.index(folder.name)] * len(files)
    return Labelled(stacked(images), np.array(labels, dtype=np.int64))


def class_folders(root: Path) -> list[Path]:
    """Visible folders in sorted order."""
    return sorted(child for child in root.iterdir() if child.is_dir() and not child.name.startswith("."))


def image_files(folder: Path) -> list[Path]:
    """Visible image files in sorted order."""
    files = (child for child in folder.iterdir() if child.suffix.lower() in SUFFIXES and child.is_file())
    return sorted(file for file in files if not file.name.startswith("."))
