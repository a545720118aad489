"""Eleven data sets made of scikit-learn's 1,797 handwritten digits, for examples/twelve-small.yaml.

    python examples/eleven_digits.py FOLDER [IMAGES]

writes one .npz file for each; with IMAGES only so many pictures. They stand in for the eleven data sets of the study
and say nothing about those: eleven views of one task are more alike than ImageNet and textures.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter
from sklearn.datasets import load_digits

View = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def coarse(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Every four pixels are one."""
    small = images.reshape(len(images), 4, 2, 4, 2).mean((2, 4))
    return small.repeat(2, axis=1).repeat(2, axis=2)


def shifted(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Up to two pixels to any side."""
    moves = rng.integers(-2, 3, size=(len(images), 2))
    return np.array([np.roll(image, move, axis=(0, 1)) for image, move in zip(images, moves)])


def covered(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A grey square hides a part."""
    found = images.copy()
    for image, (row, column) in zip(found, rng.integers(0, 6, size=(len(images), 2))):
        image[row : row + 3, column : column + 3] = 0.5
    return found


#: How pictures ``[N, 8, 8]`` of values 0 to 1 are seen.
VIEWS: dict[str, View] = {
    "plain": lambda images, rng: images,
    "inverted": lambda images, rng: 1 - images,
    "turned": lambda images, rng: np.rot90(images, axes=(1, 2)),
    "mirrored": lambda images, rng: images[:, :, ::-1],
    "noisy": lambda images, rng: images + rng.normal(0, 0.25, images.shape),
    "blurred": lambda images, rng: gaussian_filter(images, (0, 1, 1)),
    "coarse": coarse,
    "shifted": shifted,
    "covered": covered,
    "faint": lambda images, rng: 0.45 + 0.1 * images + rng.normal(0, 0.02, images.shape),
    "parity": lambda images, rng: images,
}


def make(folder: Path, count: int | None = None) -> list[Path]:
    """Write the data sets and return their files; equal arguments give equal pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    digits = load_digits()
    images, labels = digits.images[:count] / 16, digits.target[:count]
    paths = []
    for number, (name, view) in enumerate(VIEWS.items()):
        seen = np.clip(view(images, np.random.default_rng(number)), 0, 1)
        parity = name == "parity"
        paths.append(folder / f"{name}.npz")
        np.savez_compressed(
            paths[-1],
            images=np.rint(255 * seen).astype(np.uint8),
            labels=labels % 2 if parity else labels,
            classes=np.array(["even", "odd"] if parity else [str(name) for name in digits.target_names]),
        )
    return paths


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    for path in make(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) == 3 else None):
        print(path)
