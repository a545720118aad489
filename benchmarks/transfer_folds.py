"""Stratified folds of a data set, written as archives that any natdeploy command reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np

#: Share of a fold's training images that models are chosen on.
INNER = 0.2


def write_folds(source: Path, folder: Path, *, seed: int, folds: int, size: int) -> list[Path]:
    """One archive a fold, of all the images at ``size`` pixels, divided into ``train``, ``val`` and ``test``.

    Every image is a test image of one fold. Raises BadInput for images that cannot be read.
    """
    from natdeploy.data import load_dataset
    from natdeploy.data.preprocess import resize_image

    whole = load_dataset(str(source), seed=seed)
    parts = (whole.train, whole.val, whole.test)
    pixels = np.concatenate([np.stack([resize_image(image, size) for image in part.images]) for part in parts])
    labels = np.concatenate([part.labels for part in parts])
    rng = np.random.default_rng(seed)
    fold, inner = np.empty(len(labels), np.int64), np.empty(len(labels))
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        fold[members] = np.arange(len(members)) % folds
        for number in range(folds):
            rest = members[fold[members] == number]
            inner[rest] = np.arange(len(rest)) / len(rest)
    paths = []
    for number in range(folds):
        split = np.where(fold == number, "test", np.where(inner < INNER, "val", "train"))
        path = folder / f"{source.name}-{number}.npz"
        np.savez(path, images=pixels, label=labels, split=split, classes=np.array(whole.classes))
        paths.append(path)
    return paths
