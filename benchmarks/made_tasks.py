"""Small tasks with many test images, made of larger sets that the shipped supernet has not been trained on.

Benchmarks of adaptation need both: some hundred training images, as a user has, and so many test images that a
difference of a point can be seen. Draws of a task have no image in common.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from natdeploy.data.labelled import SourceData

#: Each task's images: a folder of ``../shared/data``.
#:
#: ``turned``: how an image of CIFAR-10's test part was turned, by none, one or two quarters, and whether it shows an
#: animal: six classes. Three quarters are left out: mirrored, as in training, they look like one.
#: ``crops``: from which of twelve photographs of ImageNet a grey, turned crop is: nothing like CIFAR-10's classes.
TASKS: Mapping[str, str] = {"turned": "cifar10", "crops": "imagenet_sample"}
#: Images of a task's parts.
PARTS: Mapping[str, int] = {"train": 432, "val": 108, "test": 2400}
QUICK_PARTS: Mapping[str, int] = {"train": 48, "val": 12, "test": 60}
#: Of a crop, and of a task's images.
_SIDES, _SIZE = (40, 72), 32
_PHOTOGRAPHS, _LEAST_SIDE = 12, 3 * 72
#: Parts have cells of a photograph of their own, so that no pixel is in crops of two parts.
_CELLS = (("train", "test", "train"), ("test", "train", "val"), ("train", "test", "train"))
_ANIMALS = ("bird", "cat", "deer", "dog", "frog", "horse")
_THINGS = ("airplane", "automobile", "ship", "truck")

#: Images ``[N, 32, 32, 3]`` in the order of the parts, labels ``[N]`` and the classes' names.
Task = tuple[np.ndarray, np.ndarray, list[str]]


def write_task(shared: Path, name: str, path: Path, *, seed: int, draw: int, quick: bool = False) -> None:
    """Write one draw of a task into an archive that any command reads.

    Args:
        shared: has the folders of :data:`TASKS`.
        name: one of :data:`TASKS`.
        seed: of the division into draws, and of all else that is random.
        draw: from 0 on, as far as there are images.

    Raises BadInput for images that cannot be read, are not what the task is made of, or do not suffice.
    """
    from natdeploy.data.source import read_source

    source, parts = shared / TASKS[name], QUICK_PARTS if quick else PARTS
    images, labels, classes = _MAKERS[name](source, read_source(str(source)), parts, seed, draw)
    split = np.repeat(list(parts), list(parts.values()))
    np.savez(path, images=images, label=labels, split=split, classes=np.array(classes))


def _turned(source: Path, read: SourceData, parts: Mapping[str, int], seed: int, draw: int) -> Task:
    from natdeploy.ground.errors import BadInput

    if set(read.classes) != {*_ANIMALS, *_THINGS} or "test" not in read.parts:
        raise BadInput(f"{source}: not CIFAR-10's ten classes with a test part")
    test, count = read.parts["test"], sum(parts.values())
    drawn = _drawn(source, len(test), count, seed, draw, "test images")
    turns = np.random.default_rng([seed, draw]).integers(3, size=count)
    animal = np.isin(np.array(read.classes), _ANIMALS)[test.labels[drawn]]
    images = np.stack([np.rot90(test.images[index], turn) for index, turn in zip(drawn, turns)])
    names = [f"{what} turned {90 * turn}" for turn in range(3) for what in ("thing", "animal")]
    return images, 2 * turns + animal, names


def _crops(source: Path, read: SourceData, parts: Mapping[str, int], seed: int, draw: int) -> Task:
    from natdeploy.ground.errors import BadInput

    photographs = [image for part in read.parts.values() for image in part.images]
    drawn = _drawn(source, len(photographs), _PHOTOGRAPHS, seed, draw, "photographs")
    for height, width in (photographs[index].shape[:2] for index in drawn):
        if min(height, width) < _LEAST_SIDE:
            raise BadInput(f"{source}: a photograph of {width} x {height} pixels; both must be {_LEAST_SIDE} at least")
    rng = np.random.default_rng([seed, draw])
    labels = np.concatenate([np.arange(count) % _PHOTOGRAPHS for count in parts.values()])
    names = np.repeat(list(parts), list(parts.values()))
    images = np.stack([_crop(photographs[drawn[label]], part, rng) for label, part in zip(labels, names)])
    return images, labels, [f"photograph {index}" for index in drawn]


def _crop(photograph: np.ndarray, part: str, rng: np.random.Generator) -> np.ndarray:
    """A square somewhere in one of a part's cells, of some size, in grey, turned by quarters."""
    from PIL import Image

    from natdeploy.data import resize_image

    row, column = rng.choice([at for at in np.ndindex(3, 3) if _CELLS[at[0]][at[1]] == part])
    height, width = (length // 3 for length in photograph.shape[:2])
    cell = photograph[row * height : (row + 1) * height, column * width : (column + 1) * width]
    side = int(rng.integers(_SIDES[0], _SIDES[1] + 1))
    top, left = (int(rng.integers(length - side + 1)) for length in (height, width))
    square = np.rot90(cell[top : top + side, left : left + side], int(rng.integers(4)))
    grey = Image.fromarray(np.ascontiguousarray(square)).convert("L").convert("RGB")
    return resize_image(grey, _SIZE)


def _drawn(source: Path, available: int, count: int, seed: int, draw: int, what: str) -> list[int]:
    """Which ones a draw takes: its share of one permutation."""
    from natdeploy.ground.errors import BadInput

    order = np.random.default_rng(seed).permutation(available)[draw * count : (draw + 1) * count]
    if len(order) < count:
        raise BadInput(f"{source}: {available} {what}, draw {draw} begins after {draw * count} and takes {count}")
    return [int(index) for index in order]


_MAKERS: Mapping[str, Callable[..., Task]] = {"turned": _turned, "crops": _crops}
