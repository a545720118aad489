"""What the readers of NAT's eleven data sets share; ``known.yaml`` has their addresses, sizes and the hub's copies.

The parts are the paper's: training images are everything but the official test part, whose images are never trained on
(ImageNet's and Food-101's is called validation). The search validates on images held out of the training part: 10,000
of ImageNet and CINIC-10, a tenth of the others (5,000 of CIFAR).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np
import yaml

from natdeploy.data.labelled import Labelled, SourceData
from natdeploy.data.pictures import picture_files
from natdeploy.data.sources.huggingface import is_saved_table, read_table
from natdeploy.data.sources.layout import Listed, archives, existing
from natdeploy.ground.errors import BadInput

#: What a reader of an official layout gives: class names, and the parts ``train`` and ``test``.
Official = tuple[tuple[str, ...], Mapping[str, Labelled]]


@dataclass(frozen=True)
class KnownSet:
    """A data set with a name.

    Attributes:
        name: as ``--data`` takes it.
        address: where its authors keep it.
        layout: the files that the official archives unpack to, in words for an error.
        hub: its copy on the Hugging Face hub.
        classes: how many there are; a copy may have fewer.
        train, held_out: training images, and how many of them are held out for validation.
        augmentation: see :data:`natdeploy.transfer.AUGMENTATIONS`.
        marks: files or folders in it, or its own name, by which a folder is known that is given without the set's name.
        label: the hub's column of labels, where there are several.
        hub_test: the hub's name of the test part.
    """

    name: str
    address: str
    layout: str
    hub: str
    classes: int
    train: int
    held_out: int
    augmentation: str = "zoom-flip"
    marks: Sequence[str] = ()
    label: str | None = None
    hub_test: str = "test"

    def read(self, text: str, official: Callable[[KnownSet, Path], Official]) -> SourceData:
        """The set: from a folder, from the hub where ``text`` is empty, or from another copy there, ``hf:NAME``.

        A folder may also be what the ``datasets`` library has saved, or hold Parquet files. Names of files are looked
        for without regard to case.

        Raises BadInput naming the file that is missing or damaged, the layout that is expected and the address.
        """
        if not text or text.startswith("hf:"):
            copy = text.removeprefix("hf:") or self.hub
            try:
                found = read_table(copy, label=self.label, test=self.hub_test)
            except BadInput as error:
                raise BadInput(f"{error}; or give a folder, {self.name}:FOLDER, with {self._layout()}") from None
            return self._source(copy, found.classes, found.parts)
        root = Path(text).expanduser()
        if is_saved_table(root):
            found = read_table(str(root), label=self.label, test=self.hub_test)
            return self._source(str(root), found.classes, found.parts)
        if not root.is_dir():
            packed = root.is_file() and archives(root)
            raise self.refusal(root, "has to be unpacked first; give the folder" if packed else "no such folder")
        try:
            classes, parts = official(self, root)
        except _Missing as error:
            packed = archives(root)
            raise BadInput(f"{error}; unpack {', '.join(packed)} there first" if packed else f"{error}") from None
        except OSError as error:
            raise self.refusal(Path(error.filename or root), f"cannot be read ({error.strerror})") from None
        if len(classes) > self.classes:
            raise self.refusal(root, f"has {len(classes)} classes, not {self.classes}")
        return self._source(str(root), classes, parts)

    def need(self, path: Path, listed: Listed | None = None) -> Path:
        """The path as it is on disk. Raises BadInput where nothing is there."""
        found = existing(path, listed)
        if found is None:
            raise _Missing(str(self.refusal(path, "is missing")))
        return found

    def refusal(self, path: Path, reason: str) -> BadInput:
        """What is wrong with a path, and what should be there."""
        return BadInput(f"{path}: {reason}; {self.name} needs {self._layout()}")

    def lines(self, path: Path) -> list[str]:
        """Lines of a text file that are neither empty nor a comment."""
        try:
            text = self.need(path).read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise self.refusal(path, f"cannot be read ({error})") from None
        return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]

    def labelled(self, root: Path, files: Sequence[Path], labels: Sequence[int]) -> Labelled:
        """Image files below ``root``, read when they are needed; all of them have to be there."""
        for file in files:
            if not file.is_relative_to(root) or ".." in file.parts[len(root.parts) :]:
                raise self.refusal(file, f"is not below {root}")
        listed: Listed = {}
        found = [self.need(file, listed) for file in files]
        return Labelled(picture_files(root, found), np.asarray(labels, dtype=np.int64))

    def base(self, root: Path, *folders: str) -> Path:
        """Where the archive's own folder is: inside ``root`` under one of these names, or ``root`` itself."""
        inside = (existing(root / folder) for folder in folders)
        return next((found for found in inside if found is not None and found.is_dir()), root)

    def _layout(self) -> str:
        return f"{self.layout}, as unpacked from {self.address}"

    def _source(self, origin: str, classes: tuple[str, ...], parts: Mapping[str, Labelled]) -> SourceData:
        share = self.held_out / self.train
        return SourceData(self.name, origin, classes, parts, share, self.augmentation)


class _Missing(BadInput):
    """Something of the layout is not there."""


@cache
def known_sets() -> Mapping[str, KnownSet]:
    """NAT's data sets by name."""
    fields = yaml.safe_load((resources.files("natdeploy.data.sources") / "known.yaml").read_text(encoding="utf-8"))
    return {name: KnownSet(name, **each) for name, each in fields.items()}


def known_by_look(folder: Path) -> str | None:
    """Name of the data set whose official layout a folder has, if any."""
    own = folder.resolve().name
    for known in known_sets().values():
        if own in known.marks or any((folder / mark).exists() for mark in known.marks):
            return known.name
    return None
