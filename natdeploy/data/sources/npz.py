"""NumPy archives of images: plain pixels, or JPEG/PNG files one after another with their offsets. Never pickles.

Keys: ``images`` uint8 ``[N,H,W,3]`` or ``[N,H,W]``, or ``blob`` uint8 with ``off`` (N + 1 offsets of encoded images);
``label`` or ``labels``; optionally ``split`` (names of parts) and ``classes`` (names). Names may also stand in a
``classes.json`` beside the archive. A ``train.npz`` is joined by ``val.npz`` and ``test.npz`` of the same folder.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from natdeploy.data.images import read_image
from natdeploy.data.labelled import PART_NAMES, Images, Labelled, SourceData, stacked
from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import read_json

_KNOWN = ("images", "blob", "off", "label", "labels", "split", "classes")


def read_npz(text: str) -> SourceData:
    """Read an archive, or the ``train.npz`` or ``images.npz`` of a folder. Raises BadInput naming file and key."""
    path = Path(text).expanduser()
    if path.is_dir():
        path = next((path / name for name in ("train.npz", "images.npz") if (path / name).is_file()), path)
    if not path.is_file():
        raise BadInput(f"{path}: no such .npz file (a folder must hold train.npz or images.npz)")
    files = {"train": path}
    if path.name == "train.npz":
        files |= {part: path.with_name(f"{part}.npz") for part in ("val", "test")}
        files = {part: file for part, file in files.items() if file.is_file()}
    parts: dict[str, Labelled] = {}
    classes: tuple[str, ...] | None = _class_file(path.with_name("classes.json"))
    for part, file in files.items():
        arrays = _read_arrays(file)
        labelled = Labelled(_images(file, arrays), _labels(file, arrays))
        if len(labelled.images) != len(labelled.labels):
            raise BadInput(f"{file}: {len(labelled.images)} images but {len(labelled.labels)} labels")
        if part == "train" and len(files) == 1 and "split" in arrays:
            parts |= _given_parts(file, arrays["split"], labelled)
        else:
            parts[part] = labelled
        if "classes" in arrays:
            classes = _class_names(file, arrays["classes"])
    if classes is None:
        classes = _numbered_classes(path, parts)
    name = path.stem if path.stem not in ("train", "images") else path.resolve().parent.name
    return SourceData(name, str(path), classes, parts)


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Arrays of the known keys. Only plain arrays are read: a pickle inside, or posing as an archive, is refused."""
    try:
        with zipfile.ZipFile(path) as archive:
            needed = sum(item.file_size for item in archive.infolist())
        if needed > psutil.virtual_memory().available:
            raise BadInput(f"{path}: unpacks to {needed / 2**30:.1f} GiB, more than the free memory of this machine")
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in _KNOWN if key in file.files}
    except zipfile.BadZipFile:
        raise BadInput(f"{path}: not an .npz archive, or a damaged one; write it with numpy.savez") from None
    except ValueError as error:
        if "pickle" in str(error):
            raise BadInput(f"{path}: holds pickled objects, which are never loaded; save plain arrays") from None
        raise BadInput(f"{path}: damaged array inside: {_first_line(error)}") from None
    except (OSError, EOFError, MemoryError, zlib.error, NotImplementedError) as error:
        raise BadInput(f"{path}: not a readable .npz archive: {_first_line(error)}") from None


def _images(path: Path, arrays: dict[str, np.ndarray]) -> Images:
    if "images" in arrays:
        images = arrays["images"]
        if images.ndim == 3:
            images = np.repeat(images[..., None], 3, axis=3)
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or 0 in images.shape:
            found = f"{arrays['images'].dtype}{list(arrays['images'].shape)}"
            raise BadInput(f"{path}: key 'images' is {found}, expected uint8 [N, height, width, 3]")
        return images
    if "blob" not in arrays or "off" not in arrays:
        raise BadInput(f"{path}: neither key 'images' nor keys 'blob' and 'off' inside; see natdeploy's data formats")
    blob, offsets = arrays["blob"], arrays["off"]
    if blob.dtype != np.uint8 or blob.ndim != 1:
        raise BadInput(f"{path}: key 'blob' is {blob.dtype}{list(blob.shape)}, expected uint8 of one dimension")
    whole = offsets.ndim == 1 and len(offsets) > 1 and np.issubdtype(offsets.dtype, np.integer)
    if not whole or offsets[0] < 0 or offsets[-1] > len(blob) or (np.diff(offsets.astype(np.int64)) <= 0).any():
        raise BadInput(f"{path}: key 'off' must hold rising whole numbers from 0 to {len(blob)}, the size of 'blob'")
    return stacked(
        [
            read_image(blob[start:end].tobytes(), f"{path}: image {index}")
            for index, (start, end) in enumerate(zip(offsets.tolist(), offsets[1:].tolist()))
        ]
    )


def _labels(path: Path, arrays: dict[str, np.ndarray]) -> np.ndarray:
    labels = next((arrays[key] for key in ("label", "labels") if key in arrays), None)
    if labels is None:
        raise BadInput(f"{path}: key 'label' is missing; expected whole numbers, one for each image")
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise BadInput(f"{path}: key 'label' is {labels.dtype}{list(labels.shape)}, expected whole numbers [N]")
    return labels.astype(np.int64)


def _given_parts(path: Path, split: np.ndarray, labelled: Labelled) -> dict[str, Labelled]:
    if split.shape != labelled.labels.shape or split.dtype.kind not in "US":
        raise BadInput(f"{path}: key 'split' must name the part of each of the {len(labelled)} images")
    names = np.char.lower(split.astype(str))
    unknown = sorted(set(names.tolist()) - set(PART_NAMES))
    if unknown:
        raise BadInput(f"{path}: key 'split' names part {unknown[0]!r}, expected train, val or test")
    parts = np.array([PART_NAMES[name] for name in names.tolist()])
    return {part: labelled.take(np.flatnonzero(parts == part)) for part in ("train", "val", "test") if part in parts}


def _class_names(path: Path, names: np.ndarray) -> tuple[str, ...]:
    if names.ndim != 1:
        raise BadInput(f"{path}: key 'classes' is {names.dtype}{list(names.shape)}, expected one name for each class")
    return tuple(str(name) for name in names)


def _class_file(path: Path) -> tuple[str, ...] | None:
    """Names from ``classes.json``: a list of names, or of objects with ``name`` (not always unique) and ``wnid``."""
    if not path.is_file():
        return None
    value: Any = read_json(path, "list of class names")
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return tuple(value)
    if isinstance(value, list) and value and all(isinstance(item, dict) and "name" in item for item in value):
        names = [str(item["name"]) for item in value]
        repeated = {name for name in names if names.count(name) > 1}
        return tuple(
            f"{name} ({item['wnid']})" if name in repeated and "wnid" in item else name
            for name, item in zip(names, value)
        )
    raise BadInput(f"{path}: expected a list of class names, or of objects with 'name'")


def _numbered_classes(path: Path, parts: dict[str, Labelled]) -> tuple[str, ...]:
    highest = max(int(part.labels.max(initial=0)) for part in parts.values())
    total = sum(len(part) for part in parts.values())
    if highest >= total:
        raise BadInput(f"{path}: key 'label' reaches {highest} with only {total} images; labels count from 0")
    return tuple(str(index) for index in range(highest + 1))


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
