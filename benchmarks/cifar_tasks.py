"""Small tasks with many test images, made of CIFAR-10's, which the shipped supernet has not been trained on.

Benchmarks of adaptation need both: some hundred training images, as a user has, and so many test images that a
difference of a point can be seen.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

#: ``negatives``: CIFAR-10's ten classes, of images in inverted colours that stand on their heads.
#: ``turned``: by which of four quarter turns an image was turned, and whether it shows an animal: eight classes.
TASKS = ("negatives", "turned")
#: Images of a task's parts.
PARTS = {"train": 424, "val": 106, "test": 2500}
QUICK_PARTS = {"train": 48, "val": 12, "test": 60}
_ANIMALS = ("bird", "cat", "deer", "dog", "frog", "horse")


def write_task(source: Path, name: str, path: Path, *, seed: int, quick: bool = False) -> None:
    """Draw a task's images from the test part of the data set at ``source`` into an archive that any command reads.

    Raises BadInput for images that cannot be read, or of other classes.
    """
    from natdeploy.data import load_dataset
    from natdeploy.ground.errors import BadInput

    whole, parts = load_dataset(str(source)), QUICK_PARTS if quick else PARTS
    if missing := set(_ANIMALS) - set(whole.classes):
        raise BadInput(f"{source}: these are not CIFAR-10's images, whose classes have {', '.join(sorted(missing))}")
    rng, count = np.random.default_rng(seed), sum(parts.values())
    drawn = rng.permutation(len(whole.test.labels))[:count]
    if len(drawn) < count:
        raise BadInput(f"{source}: {len(drawn)} test images, a task takes {count}")
    images, labels = whole.test.images[drawn], whole.test.labels[drawn]
    if name == "negatives":
        images, classes = (255 - images)[:, ::-1], [f"negative {of}" for of in whole.classes]
    else:
        animal = np.isin(np.array(whole.classes), _ANIMALS)[labels]
        turns = rng.integers(4, size=count)
        images = np.stack([np.rot90(image, turn) for image, turn in zip(images, turns)])
        classes = [f"{what} turned {90 * turn}" for turn in range(4) for what in ("thing", "animal")]
        labels = 2 * turns + animal
    split = np.repeat(list(parts), list(parts.values()))
    np.savez(path, images=images, label=labels, split=split, classes=np.array(classes))
