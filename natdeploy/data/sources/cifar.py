"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009) as their authors' Python archives."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from natdeploy.data.labelled import Labelled, SourceData
from natdeploy.data.pickles import read_arrays_pickle
from natdeploy.data.sources.known import KnownSet, Official, known_sets
from natdeploy.ground.errors import BadInput


def read_cifar10(text: str = "") -> SourceData:
    """``cifar10``, ``cifar10:FOLDER``."""
    return known_sets()["cifar10"].read(text, _cifar10)


def _cifar10(known: KnownSet, root: Path) -> Official:
    folder = known.base(root, "cifar-10-batches-py")
    train = [folder / f"data_batch_{number}" for number in range(1, 6)]
    parts = {"train": train, "test": [folder / "test_batch"]}
    return _read(known, parts, "labels", folder / "batches.meta", "label_names")


def read_cifar100(text: str = "") -> SourceData:
    """``cifar100``, ``cifar100:FOLDER``; the hundred fine classes."""
    return known_sets()["cifar100"].read(text, _cifar100)


def _cifar100(known: KnownSet, root: Path) -> Official:
    folder = known.base(root, "cifar-100-python")
    parts = {"train": [folder / "train"], "test": [folder / "test"]}
    return _read(known, parts, "fine_labels", folder / "meta", "fine_label_names")


def _read(known: KnownSet, parts: dict[str, list[Path]], labels: str, meta: Path, names: str) -> Official:
    files = [known.need(file) for batches in parts.values() for file in batches]
    tables = {file: read_arrays_pickle(file) for file in files}
    classes = read_arrays_pickle(known.need(meta)).get(names)
    if not isinstance(classes, list) or not classes:
        raise BadInput(f"{meta}: field {names!r} is missing; expected the classes' names")
    found = {}
    for part, batches in parts.items():
        read = [_batch(file, tables[file], labels) for file in batches]
        found[part] = Labelled(*(np.concatenate(arrays) for arrays in zip(*read)))
    return tuple(str(name) for name in classes), found


def _batch(file: Path, table: dict[str, object], labels: str) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 ``[N,32,32,3]`` of rows that hold a red, a green and a blue plane, and their labels."""
    pixels, given = table.get("data"), table.get(labels)
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape[1:] != (3072,):
        raise BadInput(f"{file}: field 'data' is no table of bytes with 3072 columns")
    if not isinstance(given, list) or len(given) != len(pixels):
        raise BadInput(f"{file}: field {labels!r} does not have a label for each of {len(pixels)} images")
    try:
        numbers = np.array(given, dtype=np.int64)
    except (TypeError, ValueError, OverflowError):
        raise BadInput(f"{file}: field {labels!r} holds something else than whole numbers") from None
    return np.ascontiguousarray(pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)), numbers
