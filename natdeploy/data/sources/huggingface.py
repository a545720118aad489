"""Image classification data sets of the ``datasets`` library: saved on disk, or downloaded by name."""

from __future__ import annotations

import hashlib
import os
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from natdeploy.data.images import read_image
from natdeploy.data.labelled import PART_NAMES, Images, Labelled, SourceData, stacked
from natdeploy.data.pictures import Pictures
from natdeploy.ground.errors import BadInput

_PARQUET = ".parquet"
#: Names of a folder that are looked at.
_GLANCE = 100
#: What says that a folder was written by ``save_to_disk``.
_SAVED = ("dataset_dict.json", "dataset_info.json", "state.json")


def is_saved_table(path: Path) -> bool:
    """Whether a path is a data set that ``save_to_disk`` wrote, a Parquet file, or a folder of such as in the hub."""
    if path.is_file():
        return path.suffix.lower() == _PARQUET
    return _is_saved(path) or bool(_parquet_folders(path))


def _is_saved(folder: Path) -> bool:
    return any((folder / name).is_file() for name in _SAVED)


def _parquet_folders(folder: Path) -> list[Path]:
    """The folder, where it holds Parquet files, else those in it: the hub has ``data``, or one for each configuration.

    Folders of anything else may be large, and are not looked through.
    """
    if _holds_parquet(folder):
        return [folder]
    return sorted(each for each in _glance(folder) if each.is_dir() and _holds_parquet(each))


def _holds_parquet(folder: Path) -> bool:
    return any(each.suffix.lower() == _PARQUET for each in _glance(folder))


def _glance(folder: Path) -> list[Path]:
    """Some of what is inside; nothing where that cannot be read, which the reader of such a folder is to say."""
    try:
        with os.scandir(folder) as entries:
            return [Path(entry.path) for entry in islice(entries, _GLANCE)]
    except OSError:
        return []


def read_huggingface(text: str) -> SourceData:
    """Read a folder written by ``save_to_disk``, Parquet files, or download ``NAME`` or ``NAME:CONFIG``.

    One column of images and one of labels are looked for; parts named ``train``, ``validation`` and ``test`` are kept.
    Raises BadInput naming the data set and the column at fault.
    """
    if not text:
        raise BadInput("data 'hf:': a name is missing; expected hf:NAME, for instance hf:uoft-cs/cifar10")
    return read_table(text)


def read_table(text: str, *, label: str | None = None, test: str | None = None) -> SourceData:
    """As :func:`read_huggingface`, for a data set of which more is known.

    Args:
        text: folder, or name in the hub.
        label: the column of labels, where there are several; the only one where this is None.
        test: the hub's name of the part to test on; all others are trained on then, but for parts without labels.
            A copy without a part of that name is tested on ``test`` or, failing that, on its validation part.

    Images of a data set of which the test part is known are decoded when they are asked for.
    """
    import datasets

    loaded = _with_images(_load(text), datasets)
    tables = dict(loaded) if isinstance(loaded, datasets.DatasetDict) else {"train": loaded}
    tables = {str(name).lower(): table for name, table in tables.items() if str(name).lower() in PART_NAMES}
    trained = next((table for name, table in tables.items() if PART_NAMES[name] == "train"), None)
    if trained is None:
        raise BadInput(f"{text}: no part named 'train'; found {', '.join(map(str, loaded)) or 'none'}")
    features = trained.features
    image_column = _image_column(text, [name for name, kind in features.items() if isinstance(kind, datasets.Image)])
    label_column = label if label is not None and label in features else _label_column(text, features, datasets)
    columns = (image_column, label_column)
    tables = {part: _columns(text, part, table, columns, features) for part, table in tables.items()}
    tables = (
        {PART_NAMES[name]: table for name, table in tables.items()} if test is None else _joined(text, tables, test)
    )
    classes, index = _classes(text, tables["train"], label_column, features[label_column], datasets)
    parts = {}
    for part, table in tables.items():
        labels = np.array([index(part, value) for value in table[label_column]], dtype=np.int64)
        if part == "test" and len(labels) and (labels == -1).all():
            continue  # published without its labels: no use for testing
        encoded = table.cast_column(image_column, datasets.Image(decode=False))[image_column]
        where = f"{text}: part {part!r}"
        images: Images
        if test is None:
            images = stacked([_decode(item, f"{where}, row {row}") for row, item in enumerate(encoded)])
        else:
            images = _pictures(encoded, where)
        parts[part] = Labelled(images, labels)
    return SourceData(Path(text.split(":")[0]).name, text, classes, parts)


def _joined(text: str, tables: dict[str, Any], test: str) -> dict[str, Any]:
    """The part to test on, and all others that have labels as one."""
    import datasets

    order = (test, *(name for wanted in ("test", "val") for name in tables if PART_NAMES[name] == wanted))
    chosen = next((name for name in order if name in tables), None)
    others = [table for name, table in tables.items() if name != chosen and PART_NAMES[name] != "test"]
    try:
        found = {"train": datasets.concatenate_datasets(others)}
    except ValueError as error:
        raise BadInput(f"{text}: the parts are of different kinds: {_first_line(error)}") from None
    return found | ({"test": tables[chosen]} if chosen is not None else {})


def _with_images(loaded: Any, datasets: Any) -> Any:
    """Columns of encoded pictures are images, also where the files do not say so."""
    table = next(iter(loaded.values()), None) if isinstance(loaded, datasets.DatasetDict) else loaded
    kinds = {} if table is None else table.features
    if not any(isinstance(kind, datasets.Image) for kind in kinds.values()):
        for name in [name for name, kind in kinds.items() if _is_encoded(kind)]:
            loaded = loaded.cast_column(name, datasets.Image())
    return loaded


def _is_encoded(kind: Any) -> bool:
    return set(kind) == {"bytes", "path"} if isinstance(kind, dict) else getattr(kind, "dtype", None) == "binary"


def _pictures(encoded: Any, where: str) -> Pictures:
    def read(row: int) -> np.ndarray:
        return _decode(encoded[row], f"{where}, row {row}")

    def digest(row: int) -> bytes:
        item = encoded[row] or {}
        return hashlib.sha256(item.get("bytes") or str(item.get("path")).encode()).digest()

    return Pictures(range(len(encoded)), read, digest)


def _parquet_source(text: str, path: Path) -> dict[str, str]:
    """Where the files are, in the library's words. Raises BadInput for several data sets."""
    if path.is_file():
        return {"data_files": str(path)}
    folders = _parquet_folders(path)
    if len(folders) > 1:
        names = ", ".join(folder.name for folder in folders)
        raise BadInput(f"{text}: Parquet files of several data sets, in the folders {names}; give one of these")
    return {"data_dir": str(folders[0])}


def _load(text: str) -> Any:
    import datasets

    path = Path(text).expanduser()
    if path.exists():
        what = "a data set written by save_to_disk"
        try:
            if path.is_dir() and (_is_saved(path) or not is_saved_table(path)):
                return datasets.load_from_disk(str(path))
            what = "a data set in Parquet files"
            # by the library's own reader of such files, never by a script that lies there
            return datasets.load_dataset("parquet", **_parquet_source(text, path))
        except BadInput:
            raise
        except Exception as error:  # the library raises its own, pyarrow's, JSON's and Python's errors alike
            raise BadInput(f"{text}: not {what}: {_first_line(error)}") from None
    name, _, config = text.partition(":")
    try:
        return datasets.load_dataset(name, config or None)
    except Exception as error:
        reason = _first_line(error)
        raise BadInput(f"data 'hf:{text}': cannot be had: {reason}; check the name and the network") from None


def _only(text: str, what: str, columns: list[str]) -> str:
    if len(columns) == 1:
        return columns[0]
    raise BadInput(f"{text}: expected one column of {what}s, found {', '.join(columns) or 'none'}")


def _image_column(text: str, columns: list[str]) -> str:
    """The only one, or of several (a mask beside the picture, say) the one that is called so."""
    called = [name for name in ("image", "img") if name in columns]
    return called[0] if called else _only(text, "image", columns)


def _label_column(text: str, features: Any, datasets: Any) -> str:
    labelled = [name for name, kind in features.items() if isinstance(kind, datasets.ClassLabel)]
    for name in ("label", "labels"):
        if name in features:
            return name
    return _only(text, "label", labelled)


def _classes(text: str, table: Any, column: str, kind: Any, datasets: Any) -> tuple[tuple[str, ...], Any]:
    """Class names, and a function from part and raw value to label."""
    if isinstance(kind, datasets.ClassLabel):
        return tuple(kind.names), lambda _, value: -1 if value is None else int(value)
    values = sorted(set(table[column]), key=lambda value: (str(type(value)), value))
    if not all(isinstance(value, (int, str)) for value in values):
        raise BadInput(f"{text}: column {column!r} holds {values[0]!r}, expected class names or whole numbers")
    known = {value: label for label, value in enumerate(values)}

    def index(part: str, value: object) -> int:
        if value not in known:
            raise BadInput(f"{text}: part {part!r} has label {value!r}, which no training image has")
        return known[value]

    return tuple(str(value) for value in values), index


def _columns(text: str, part: str, table: Any, columns: tuple[str, str], features: Any) -> Any:
    """The images and labels of a part, whose classes are those of the training images."""
    for column in columns:
        if column not in table.column_names:
            raise BadInput(f"{text}: part {part!r} has no column {column!r}")
    names, others = (getattr(kind[columns[1]], "names", None) for kind in (features, table.features))
    if names and others and names != others:
        raise BadInput(f"{text}: part {part!r} names or orders its classes otherwise than the training images")
    return table.select_columns(list(columns))


def _decode(item: Any, name: str) -> np.ndarray:
    if item is None or (item.get("bytes") is None and item.get("path") is None):
        raise BadInput(f"{name}: the image is missing")
    return read_image(item["bytes"] if item.get("bytes") is not None else Path(item["path"]), name)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
