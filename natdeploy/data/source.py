"""Where images come from: each source is a function from its text to :class:`SourceData`, chosen by name or by look."""

from __future__ import annotations

import os
from pathlib import Path

from natdeploy.data.labelled import SourceData
from natdeploy.ground.errors import BadInput
from natdeploy.ground.registry import Registry

#: Functions ``(text) -> SourceData``; ``text`` is what follows the name and a colon, or a path.
SOURCES = Registry(
    "data source",
    {
        "digits": "natdeploy.data.sources.digits:read_digits",
        "folder": "natdeploy.data.sources.folder:read_folder",
        "npz": "natdeploy.data.sources.npz:read_npz",
        "hf": "natdeploy.data.sources.huggingface:read_huggingface",
        "imagenet": "natdeploy.data.sources.class_folders:read_imagenet",
        "cifar10": "natdeploy.data.sources.cifar:read_cifar10",
        "cifar100": "natdeploy.data.sources.cifar:read_cifar100",
        "cinic10": "natdeploy.data.sources.class_folders:read_cinic10",
        "stl10": "natdeploy.data.sources.stl10:read_stl10",
        "food101": "natdeploy.data.sources.listed:read_food101",
        "stanford-cars": "natdeploy.data.sources.matlab:read_cars",
        "fgvc-aircraft": "natdeploy.data.sources.listed:read_aircraft",
        "dtd": "natdeploy.data.sources.listed:read_dtd",
        "oxford-pets": "natdeploy.data.sources.listed:read_pets",
        "oxford-flowers102": "natdeploy.data.sources.matlab:read_flowers",
    },
)
#: Read by their look, not by name alone.
_BY_LOOK = ("folder", "npz", "hf")


def read_source(source: str) -> SourceData:
    """Read what ``source`` names: ``NAME``, ``NAME:TEXT`` of a registered source, or a path. Raises BadInput."""
    name, colon, text = source.partition(":")
    if name in SOURCES.names() and (colon or name not in _BY_LOOK or not os.path.exists(source)):
        return SOURCES.get(name)(text)
    from natdeploy.data.sources.known import known_by_look

    path = Path(source).expanduser()
    if not source or not os.path.exists(path):  # nor is what is too long for a name
        known = (name for name in SOURCES.names() if name not in _BY_LOOK)
        raise BadInput(
            f"data {source!r}: no such file, folder or data set; expected a folder of class folders, an .npz file, "
            f"hf:NAME for a Hugging Face data set, or one of {', '.join(known)}"
        )
    kind = _kind(path)
    try:
        return SOURCES.get(kind)(str(path))
    except BadInput as error:
        meant = known_by_look(path) if kind == "folder" else None
        raise BadInput(f"{error}; it looks like {meant}: give {meant}:{path}") if meant else error from None


def is_downloaded(source: str) -> bool:
    """Whether the images of a source come from the Hugging Face hub, or may."""
    from natdeploy.data.sources.known import known_sets

    name, _, text = source.partition(":")
    return name == "hf" or (name in known_sets() and (not text or text.startswith("hf:")))


def _kind(path: Path) -> str:
    """Name of the source that reads this path."""
    from natdeploy.data.sources.huggingface import is_saved_table

    if is_saved_table(path):
        return "hf"
    if path.is_dir():
        return "npz" if any((path / name).is_file() for name in ("train.npz", "images.npz")) else "folder"
    if path.suffix == ".npz":
        return "npz"
    raise BadInput(f"{path}: not a folder, .npz or .parquet file; expected a folder of class folders or such a file")
