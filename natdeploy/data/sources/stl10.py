"""STL-10 (Coates et al. 2011): binary files of 96 x 96 pixels; the unlabelled images are left aside."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from natdeploy.data.labelled import Labelled, SourceData
from natdeploy.data.sources.known import KnownSet, Official, known_sets

_SIDE = 96


def read_stl10(text: str = "") -> SourceData:
    """``stl10``, ``stl10:FOLDER``."""
    return known_sets()["stl10"].read(text, _stl10)


def _stl10(known: KnownSet, root: Path) -> Official:
    folder = known.base(root, "stl10_binary")
    classes = tuple(known.lines(folder / "class_names.txt"))
    return classes, {part: _part(known, folder, part) for part in ("train", "test")}


def _part(known: KnownSet, folder: Path, part: str) -> Labelled:
    """Planes red, green, blue; each column by column. Labels count from 1."""
    pictures, labels = (known.need(folder / f"{part}_{what}.bin") for what in "Xy")
    pixels = np.fromfile(pictures, dtype=np.uint8)
    numbers = np.fromfile(labels, dtype=np.uint8).astype(np.int64) - 1
    if len(pixels) != len(numbers) * 3 * _SIDE**2:
        raise known.refusal(pictures, f"has {len(pixels)} bytes, not {3 * _SIDE**2} for each of {len(numbers)} labels")
    return Labelled(np.ascontiguousarray(pixels.reshape(-1, 3, _SIDE, _SIDE).transpose(0, 3, 2, 1)), numbers)
