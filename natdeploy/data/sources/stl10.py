"""STL-10 (Coates et al. 2011), 96 x 96 pixels, in binary or for MATLAB; the unlabelled images are left aside."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from natdeploy.data.labelled import Labelled, SourceData
from natdeploy.data.sources.known import KnownSet, Official, known_sets
from natdeploy.data.sources.matlab import mat_variable, numbers, texts

_SIDE = 96


def read_stl10(text: str = "") -> SourceData:
    """``stl10``, ``stl10:FOLDER``."""
    return known_sets()["stl10"].read(text, _stl10)


def _stl10(known: KnownSet, root: Path) -> Official:
    for_matlab = known.base(root, "stl10_matlab")
    if for_matlab != root or (root / "train.mat").exists():
        return _for_matlab(known, for_matlab)
    folder = known.base(root, "stl10_binary")
    classes = tuple(known.lines(folder / "class_names.txt"))
    return classes, {part: _in_binary(known, folder, part) for part in ("train", "test")}


def _in_binary(known: KnownSet, folder: Path, part: str) -> Labelled:
    pictures, labels = (known.need(folder / f"{part}_{what}.bin") for what in "Xy")
    return _labelled(known, pictures, np.fromfile(pictures, dtype=np.uint8), np.fromfile(labels, dtype=np.uint8))


def _for_matlab(known: KnownSet, folder: Path) -> Official:
    files = {part: folder / f"{part}.mat" for part in ("train", "test")}
    classes = texts(mat_variable(known, files["train"], "class_names"))
    return classes, {
        part: _labelled(known, file, mat_variable(known, file, "X").reshape(-1), numbers(known, file, "y"))
        for part, file in files.items()
    }


def _labelled(known: KnownSet, file: Path, pixels: np.ndarray, labels: np.ndarray) -> Labelled:
    """Planes red, green, blue; each column by column. Labels count from 1."""
    if pixels.dtype != np.uint8 or len(pixels) != len(labels) * 3 * _SIDE**2:
        raise known.refusal(file, f"has {len(pixels)} bytes, not {3 * _SIDE**2} for each of {len(labels)} labels")
    images = np.ascontiguousarray(pixels.reshape(-1, 3, _SIDE, _SIDE).transpose(0, 3, 2, 1))
    return Labelled(images, labels.astype(np.int64) - 1)
