"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009) as their authors' archives: for Python, in binary, for MATLAB."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from natdeploy.data.labelled import Labelled, SourceData
from natdeploy.data.pickles import read_arrays_pickle, text_of
from natdeploy.data.sources.known import KnownSet, Official, known_sets
from natdeploy.data.sources.matlab import mat_variable, texts
from natdeploy.ground.errors import BadInput

_PIXELS = 3 * 32 * 32


@dataclass(frozen=True)
class _Form:
    """One of the archives' forms.

    Attributes:
        folder: what the archive unpacks to.
        ending: of the files of images.
        meta: the file of class names.
        table: ``(known, file, name of the labels) -> (rows, labels)``, neither checked.
        names: ``(known, file, name of the class names) -> class names``.
    """

    folder: str
    ending: str
    meta: str
    table: Callable[[KnownSet, Path, str], tuple[Any, Any]]
    names: Callable[[KnownSet, Path, str], tuple[str, ...]]


def read_cifar10(text: str = "") -> SourceData:
    """``cifar10``, ``cifar10:FOLDER``."""
    return known_sets()["cifar10"].read(text, _cifar10)


def _cifar10(known: KnownSet, root: Path) -> Official:
    forms = (
        _Form("cifar-10-batches-py", "", "batches.meta", _of_pickle, _pickled_names),
        _Form("cifar-10-batches-bin", ".bin", "batches.meta.txt", _of_bytes, _listed_names),
        _Form("cifar-10-batches-mat", ".mat", "batches.meta.mat", _of_matlab, _matlab_names),
    )
    parts = {"train": [f"data_batch_{number}" for number in range(1, 6)], "test": ["test_batch"]}
    return _read(known, root, forms, parts, "labels", "label_names")


def read_cifar100(text: str = "") -> SourceData:
    """``cifar100``, ``cifar100:FOLDER``; the hundred fine classes."""
    return known_sets()["cifar100"].read(text, _cifar100)


def _cifar100(known: KnownSet, root: Path) -> Official:
    forms = (
        _Form("cifar-100-python", "", "meta", _of_pickle, _pickled_names),
        _Form("cifar-100-binary", ".bin", "fine_label_names.txt", _of_bytes, _listed_names),
        _Form("cifar-100-matlab", ".mat", "meta.mat", _of_matlab, _matlab_names),
    )
    return _read(known, root, forms, {"train": ["train"], "test": ["test"]}, "fine_labels", "fine_label_names")


def _read(
    known: KnownSet,
    root: Path,
    forms: tuple[_Form, ...],
    parts: Mapping[str, list[str]],
    labels: str,
    names: str,
) -> Official:
    """The first form that is there, or what the first one lacks."""
    each = {form: known.base(root, form.folder) for form in forms}
    there = (form for form in forms if each[form] != root or (root / form.meta).exists())
    form = next(there, forms[0])
    batches = {
        part: [known.need(each[form] / f"{name}{form.ending}") for name in files] for part, files in parts.items()
    }
    classes = form.names(known, known.need(each[form] / form.meta), names)
    found = {}
    for part, files in batches.items():
        read = [_batch(file, *form.table(known, file, labels), labels) for file in files]
        found[part] = Labelled(*(np.concatenate(arrays) for arrays in zip(*read)))
    return classes, found


def _batch(file: Path, rows: Any, given: Any, labels: str) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 ``[N,32,32,3]`` of rows that hold a red, a green and a blue plane, and their labels."""
    if not isinstance(rows, np.ndarray) or rows.dtype != np.uint8 or rows.shape[1:] != (_PIXELS,):
        raise BadInput(f"{file}: field 'data' is no table of bytes with {_PIXELS} columns")
    if not isinstance(given, (list, np.ndarray)) or np.size(given) != len(rows):
        raise BadInput(f"{file}: field {labels!r} does not have a label for each of {len(rows)} images")
    try:
        numbers = np.array(given, dtype=np.int64).reshape(-1)
    except (TypeError, ValueError, OverflowError):
        raise BadInput(f"{file}: field {labels!r} holds something else than whole numbers") from None
    return np.ascontiguousarray(rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)), numbers


def _of_pickle(known: KnownSet, file: Path, labels: str) -> tuple[Any, Any]:
    table = read_arrays_pickle(file)
    return table.get("data"), table.get(labels)


def _pickled_names(known: KnownSet, meta: Path, names: str) -> tuple[str, ...]:
    classes = read_arrays_pickle(meta).get(names)
    if not isinstance(classes, list) or not classes:
        raise BadInput(f"{meta}: field {names!r} is missing; expected the classes' names")
    return tuple(map(text_of, classes))


def _of_bytes(known: KnownSet, file: Path, labels: str) -> tuple[Any, Any]:
    """A record is one byte for each kind of label, the fine one last, and the pixels."""
    width = _PIXELS + (2 if labels == "fine_labels" else 1)
    content = np.fromfile(file, dtype=np.uint8)
    if not len(content) or len(content) % width:
        raise known.refusal(file, f"has {len(content)} bytes, not {width} for each image")
    records = content.reshape(-1, width)
    return records[:, -_PIXELS:], records[:, -_PIXELS - 1]


def _listed_names(known: KnownSet, meta: Path, names: str) -> tuple[str, ...]:
    return tuple(known.lines(meta))


def _of_matlab(known: KnownSet, file: Path, labels: str) -> tuple[Any, Any]:
    return mat_variable(known, file, "data"), mat_variable(known, file, labels)


def _matlab_names(known: KnownSet, meta: Path, names: str) -> tuple[str, ...]:
    return texts(mat_variable(known, meta, names))
