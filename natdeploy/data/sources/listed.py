"""Data sets whose parts are lists in text files: Food-101, DTD, FGVC-Aircraft, Oxford-IIIT Pets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from natdeploy.data.labelled import Labelled, SourceData
from natdeploy.data.sources.known import KnownSet, Official, known_sets


def read_food101(text: str = "") -> SourceData:
    """``food101``, ``food101:FOLDER``; the training labels have some noise by intention, the test labels have none."""
    return known_sets()["food101"].read(text, _food101)


def _food101(known: KnownSet, root: Path) -> Official:
    folder = known.base(root, "food-101")
    classes = tuple(known.lines(folder / "meta" / "classes.txt"))
    return classes, {
        part: _by_class_folder(known, folder, classes, [folder / "meta" / f"{part}.txt"], ".jpg")
        for part in ("train", "test")
    }


def read_dtd(text: str = "") -> SourceData:
    """``dtd``, ``dtd:FOLDER``: the first of ten official divisions, its validation part trained on."""
    return known_sets()["dtd"].read(text, _dtd)


def _dtd(known: KnownSet, root: Path) -> Official:
    folder = known.base(root, "dtd")
    lists = {"train": ("train1", "val1"), "test": ("test1",)}
    files = {part: [folder / "labels" / f"{name}.txt" for name in names] for part, names in lists.items()}
    classes = tuple(sorted({line.split("/")[0] for file in files["train"] for line in known.lines(file)}))
    return classes, {part: _by_class_folder(known, folder, classes, found, "") for part, found in files.items()}


def read_aircraft(text: str = "") -> SourceData:
    """``fgvc-aircraft``, ``fgvc-aircraft:FOLDER``: the hundred variants."""
    return known_sets()["fgvc-aircraft"].read(text, _aircraft)


def _aircraft(known: KnownSet, root: Path) -> Official:
    folder = known.base(known.base(root, "fgvc-aircraft-2013b"), "data")
    classes = tuple(known.lines(folder / "variants.txt"))
    parts = {}
    for part, name in (("train", "trainval"), ("test", "test")):
        file = folder / f"images_variant_{name}.txt"
        rows = [line.partition(" ")[::2] for line in known.lines(file)]
        labels = [_index(known, file, classes, variant) for _, variant in rows]
        parts[part] = known.labelled(folder, [folder / "images" / f"{number}.jpg" for number, _ in rows], labels)
    return classes, parts


def read_pets(text: str = "") -> SourceData:
    """``oxford-pets``, ``oxford-pets:FOLDER``: 37 breeds of cats and dogs, named as their pictures are."""
    return known_sets()["oxford-pets"].read(text, _pets)


def _pets(known: KnownSet, root: Path) -> Official:
    folder = known.base(root, "oxford-iiit-pet")
    names: dict[int, str] = {}
    parts = {}
    for part, name in (("train", "trainval"), ("test", "test")):
        file = folder / "annotations" / f"{name}.txt"
        rows = [line.split() for line in known.lines(file)]
        for row in rows:
            if len(row) != 4 or not row[1].isdecimal() or len(row[1]) > 9 or not 1 <= int(row[1]) <= known.classes:
                form = f"'NAME CLASS SPECIES BREED' with a class of 1 to {known.classes}"
                raise known.refusal(file, f"line {' '.join(row)!r} is not {form}")
            names.setdefault(int(row[1]), row[0].rpartition("_")[0])
        files = [folder / "images" / f"{row[0]}.jpg" for row in rows]
        parts[part] = known.labelled(folder, files, [int(row[1]) - 1 for row in rows])
    return tuple(names.get(number, str(number)) for number in range(1, max(names, default=0) + 1)), parts


def _by_class_folder(
    known: KnownSet, folder: Path, classes: Sequence[str], lists: Sequence[Path], suffix: str
) -> Labelled:
    """Images of lists whose lines are ``CLASS/NAME``."""
    files, labels = [], []
    for file in lists:
        for line in known.lines(file):
            name, _, picture = line.partition("/")
            if not picture or ".." in Path(line).parts:
                raise known.refusal(file, f"line {line!r} is not 'CLASS/NAME'")
            files.append(folder / "images" / f"{line}{suffix}")
            labels.append(_index(known, file, classes, name))
    return known.labelled(folder, files, labels)


def _index(known: KnownSet, file: Path, classes: Sequence[str], name: str) -> int:
    if name not in classes:
        raise known.refusal(file, f"names class {name!r}, which is not among the {len(classes)} classes")
    return classes.index(name)
