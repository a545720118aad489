"""Deterministic, stratified division of labelled images; what a source has divided already stays divided."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import numpy as np

from natdeploy.data.labelled import Images, Labelled, SourceData
from natdeploy.data.pictures import Pictures
from natdeploy.ground.errors import BadInput


def divide(
    data: SourceData, *, seed: int, val_fraction: float, test_fraction: float, stratified: bool = True
) -> dict[str, Labelled]:
    """Parts ``train``, ``val`` and ``test``; those the source lacks are drawn from its training images, class by class.

    Of a data set whose held-out share is usual (``data.val_fraction``) as many are drawn as that share of all is, the
    rounding spread over the classes; of others the share of each class is rounded by itself.
    Copies of one image (equal pixels) stay together, so that none is trained on and tested on; of files that are read
    one by one, copies are not looked for. Each part comes in a shuffled order: any prefix of it is roughly balanced.
    Without ``stratified`` classes are not looked at: one may have a single image.

    Raises BadInput for fractions that leave nothing to train on and for classes with too few images.
    """
    if not (0 < val_fraction < 1 and 0 < test_fraction < 1 and val_fraction + test_fraction < 1):
        raise BadInput(f"val_fraction {val_fraction} and test_fraction {test_fraction}: must be positive, sum below 1")
    wanted = {"test": test_fraction, "val": val_fraction}
    missing = {part: fraction for part, fraction in wanted.items() if part not in data.parts}
    pool = data.parts["train"]
    drawn = _draw(pool, missing, data, seed, stratified)
    parts = {part: pool.take(indices) for part, indices in drawn.items()}
    parts.update({part: data.parts[part] for part in wanted if part not in missing})
    return {part: _shuffled(parts[part], [seed, 1 + order]) for order, part in enumerate(("train", "val", "test"))}


def _draw(
    pool: Labelled, fractions: Mapping[str, float], data: SourceData, seed: int, stratified: bool
) -> dict[str, np.ndarray]:
    """Indices of each part drawn from the pool, the rest as ``train``."""
    groups = _copies(pool) if fractions else []
    rng = np.random.default_rng([seed, 0])
    chosen: dict[str, list[int]] = {part: [] for part in fractions}
    labels = np.array([pool.labels[group[0]] if stratified else 0 for group in groups], dtype=np.int64)
    present, sizes = np.unique(labels, return_counts=True)
    whole = data.val_fraction is not None
    wanted = {part: _counts(sizes, fraction, whole=whole) for part, fraction in fractions.items()}
    for place, label in enumerate(present):
        members = rng.permutation(np.flatnonzero(labels == label))
        if len(members) <= len(fractions):
            raise BadInput(
                f"{data.origin}: class {data.classes[label]!r} has {len(members)} different image(s), but at least "
                f"{len(fractions) + 1} are needed for training and {' and '.join(fractions)}; add images or remove it"
            )
        start = 0
        for left, part in zip(range(len(fractions), 0, -1), fractions):
            count = min(wanted[part][place], len(members) - start - left)
            for member in members[start : start + count]:
                chosen[part].extend(groups[member])
            start += count
    drawn = {part: np.array(sorted(indices), dtype=np.int64) for part, indices in chosen.items()}
    taken = np.zeros(len(pool), dtype=bool)
    for indices in drawn.values():
        taken[indices] = True
    return {**drawn, "train": np.flatnonzero(~taken)}


def _counts(sizes: np.ndarray, fraction: float, *, whole: bool) -> list[int]:
    """How many of each class, at least one: the share of each, or (``whole``) of all by the largest remainders."""
    if not whole:
        return [max(1, round(fraction * int(size))) for size in sizes]
    shares = sizes * fraction
    counts = np.maximum(np.floor(shares).astype(np.int64), 1)
    more = round(fraction * int(sizes.sum())) - int(counts.sum())
    if more > 0:
        counts[np.argsort(counts - shares, kind="stable")[:more]] += 1
    return counts.tolist()


def _copies(pool: Labelled) -> list[list[int]]:
    """Indices grouped by equal pixels, in order of first appearance."""
    groups: dict[bytes, list[int]] = {}
    for index, digest in enumerate(image_digests(pool.images)):
        groups.setdefault(digest, []).append(index)
    return list(groups.values())


def image_digests(images: Images) -> Iterable[bytes]:
    """Digest of each image, in order."""
    return images.digests() if isinstance(images, Pictures) else map(_image_digest, images)


def _image_digest(image: np.ndarray) -> bytes:
    """SHA-256 of an image's shape and pixels."""
    digest = hashlib.sha256(repr(image.shape).encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.digest()


def _shuffled(part: Labelled, seed: list[int]) -> Labelled:
    return part.take(np.random.default_rng(seed).permutation(len(part)))
