"""Images as a checkpoint knows them: its classes, its normalisation, its augmentation, where its header tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from natdeploy.data import Dataset
from natdeploy.ground.errors import BadInput


@dataclass(frozen=True, eq=False)
class KnownImages:
    """A data set for weights from elsewhere.

    Attributes:
        dataset: normalised, varied and with classes named as the weights have it.
        judged: whether its classes are the weights', so that an accuracy can be measured. Where the checkpoint does not
            name its classes, as many of the images are taken to be the same ones.
        own_statistics: whether mean and standard deviation are the images' own, for want of the checkpoint's.
        same_division: whether the weights were trained on this very division, so that its test images are new to them;
            None where the checkpoint does not tell.
    """

    dataset: Dataset
    judged: bool
    own_statistics: bool
    same_division: bool | None


def known_images(
    dataset: Dataset, header: Mapping[str, Any], source: str, *, augmentation: str = "auto"
) -> KnownImages:
    """A data set as the weights of a checkpoint know it.

    Args:
        dataset: the images.
        header: what :func:`natdeploy.supernets.read_supernet_header` gives.
        source: the checkpoint, for errors.
        augmentation: how images will be varied; ``auto``: as in the training of the weights, where the header tells.

    Raises BadInput naming the field of a header that cannot be true, or whose augmentation is asked for and not known.
    """
    meta, count = header["meta"], header["num_classes"]
    known, trained_on = meta.get("classes"), meta.get("trained_on")
    if known is not None and (not isinstance(known, list) or len(known) != count):
        raise BadInput(f"supernet {source!r}: its header's 'classes' are not {count} names")
    judged = len(dataset.classes) == count if known is None else list(dataset.classes) == known
    told = "mean" in meta and "std" in meta
    if told:
        dataset = replace(dataset, mean=_channels(meta, "mean", source), std=_channels(meta, "std", source))
    if augmentation == "auto":
        dataset = _varied_as_in_training(dataset, meta, source)
    fingerprint = trained_on.get("fingerprint") if isinstance(trained_on, dict) else meta.get("fingerprint")
    same_division = None if fingerprint is None else fingerprint == dataset.fingerprint
    if not judged:
        dataset = replace(dataset, classes=tuple(map(str, known or range(count))))
    return KnownImages(dataset, judged, not told, same_division)


def _channels(meta: Mapping[str, Any], name: str, source: str) -> tuple[float, float, float]:
    try:
        red, green, blue = (float(value) for value in meta[name])
    except (TypeError, ValueError):
        raise BadInput(
            f"supernet {source!r}: its header's {name!r} is {meta[name]!r:.60}, expected 3 numbers"
        ) from None
    return red, green, blue


def _varied_as_in_training(dataset: Dataset, meta: Mapping[str, Any], source: str) -> Dataset:
    from natdeploy.transfer import AUGMENTATIONS

    training, field = meta.get("config"), "augmentation"
    name = meta.get(field)
    if name is None and isinstance(training, dict):
        name, field = training.get(field), f"config.{field}"
    if not isinstance(name, str) or name == "auto":  # which was what suited the images that it had
        return dataset
    if name not in AUGMENTATIONS:
        known = ", ".join(AUGMENTATIONS)
        raise BadInput(f"supernet {source!r}: its header's {field!r} is {name!r:.60}; known: {known}")
    return replace(dataset, augmentation=name)
