"""Data sets whose parts are lists in text files: Food-101, DTD, FGVC-Aircraft, Oxford-IIIT Pets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from natdeploy.data.labelled import Labelled, SourceData
from natdeploy.data.sources.known import KnownSet, Official

FOOD101 = KnownSet(
    name="food101",
    address="http://data.vision.ee.ethz.ch/cvl/food-101.tar.gz",
    layout="food-101/ with images/CLASS/NUMBER.jpg, meta/classes.txt, meta/train.txt and meta/test.txt",
    hub="ethz/food101",
    train=75_750,
    held_out=7_575,
    hub_test="validation",
)
DTD = KnownSet(
    name="dtd",
    address="https://www.robots.ox.ac.uk/~vgg/data/dtd/download/dtd-r1.0.1.tar.gz",
    layout="dtd/ with images/CLASS/*.jpg, labels/train1.txt, labels/val1.txt and labels/test1.txt",
    hub="tanganke/dtd",
    train=3_760,
    held_out=376,
)
AIRCRAFT = KnownSet(
    name="fgvc-aircraft",
    address="https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/archives/fgvc-aircraft-2013b.tar.gz",
    layout="fgvc-aircraft-2013b/data/ with images/*.jpg, variants.txt, images_variant_trainval.txt and "
    "images_variant_test.txt",
    hub="Donghyun99/FGVC-Aircraft",
    train=6_667,
    held_out=667,
)
PETS = KnownSet(
    name="oxford-pets",
    address="https://www.robots.ox.ac.uk/~vgg/data/pets/",
    layout="images/*.jpg, annotations/trainval.txt and annotations/test.txt",
    hub="timm/oxford-iiit-pet",
    train=3_680,
    held_out=368,
)


def read_food101(text: str = "") -> SourceData:
    """``food101``, ``food101:FOLDER``; the training labels have some noise by intention, the test labels have none."""

    def official(root: Path) -> Official:
        folder = FOOD101.base(root, "food-101")
        classes = tuple(FOOD101.lines(folder / "meta" / "classes.txt"))
        return classes, {
            part: _by_class_folder(FOOD101, folder, classes, [folder / "meta" / f"{part}.txt"], ".jpg")
            for part in ("train", "test")
        }

    return FOOD101.read(text, official)


def read_dtd(text: str = "") -> SourceData:
    """``dtd``, ``dtd:FOLDER``: the first of ten official divisions, its validation part trained on."""

    def official(root: Path) -> Official:
        folder = DTD.base(root, "dtd")
        lists = {"train": ("train1", "val1"), "test": ("test1",)}
        files = {part: [folder / "labels" / f"{name}.txt" for name in names] for part, names in lists.items()}
        classes = tuple(sorted({line.split("/")[0] for file in files["train"] for line in DTD.lines(file)}))
        return classes, {part: _by_class_folder(DTD, folder, classes, found, "") for part, found in files.items()}

    return DTD.read(text, official)


def read_aircraft(text: str = "") -> SourceData:
    """``fgvc-aircraft``, ``fgvc-aircraft:FOLDER``: the hundred variants."""

    def official(root: Path) -> Official:
        folder = AIRCRAFT.base(AIRCRAFT.base(root, "fgvc-aircraft-2013b"), "data")
        classes = tuple(AIRCRAFT.lines(folder / "variants.txt"))
        parts = {}
        for part, name in (("train", "trainval"), ("test", "test")):
            file = folder / f"images_variant_{name}.txt"
            rows = [line.partition(" ")[::2] for line in AIRCRAFT.lines(file)]
            labels = [_index(AIRCRAFT, file, classes, variant) for _, variant in rows]
            parts[part] = AIRCRAFT.labelled(folder, [folder / "images" / f"{number}.jpg" for number, _ in rows], labels)
        return classes, parts

    return AIRCRAFT.read(text, official)


def read_pets(text: str = "") -> SourceData:
    """``oxford-pets``, ``oxford-pets:FOLDER``: 37 breeds of cats and dogs, named as their pictures are."""

    def official(root: Path) -> Official:
        folder = PETS.base(root, "oxford-iiit-pet")
        names: dict[int, str] = {}
        parts = {}
        for part, name in (("train", "trainval"), ("test", "test")):
            file = folder / "annotations" / f"{name}.txt"
            rows = [line.split() for line in PETS.lines(file)]
            for row in rows:
                if len(row) != 4 or not row[1].isdecimal() or int(row[1]) < 1:
                    raise PETS.refusal(file, f"line {' '.join(row)!r} is not 'NAME CLASS SPECIES BREED'")
                names.setdefault(int(row[1]), row[0].rpartition("_")[0])
            files = [folder / "images" / f"{row[0]}.jpg" for row in rows]
            parts[part] = PETS.labelled(folder, files, [int(row[1]) - 1 for row in rows])
        return tuple(names.get(number, str(number)) for number in range(1, max(names, default=0) + 1)), parts

    return PETS.read(text, official)


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
