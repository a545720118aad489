"""Where a build's weights come from: the run's own adapted supernet, or a checkpoint for a run that has none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from natdeploy.data import Dataset, load_dataset
from natdeploy.deploy.known_images import known_images
from natdeploy.ground.errors import BadInput
from natdeploy.runs import RunConfig, RunFolder
from natdeploy.runs.config import NOT_GIVEN
from natdeploy.supernets import (
    PUBLISHED,
    MobileNetV3Supernet,
    checkpoint_path,
    load_supernet,
    read_supernet_header,
)
from natdeploy.transfer import Calibration


@dataclass(frozen=True, eq=False)
class Weights:
    """A supernet and the images that go with it.

    Attributes:
        supernet: holds the weights of what is built.
        path: its file.
        name: what it is called, without its folder.
        dataset: calibrates batch norm, and judges what is built.
        judged: whether the images' classes are those of the weights, so that an accuracy can be measured.
    """

    supernet: MobileNetV3Supernet
    path: Path
    name: str
    dataset: Dataset
    judged: bool = True


def run_weights(
    run: RunFolder, config: RunConfig, supernet: str | None, data: str | None, tell: Callable[[str, float], None]
) -> Weights:
    """The weights of a finished run; ``supernet`` and ``data`` are for one whose accuracies were predicted.

    Raises BadInput naming what is missing and where it is to be had, images that are not the search's, a checkpoint of
    another space.
    """
    if config.predictor is not None:
        return _given(run, config, supernet or config.supernet, data or config.data, tell)
    for field, value in (("supernet", supernet), ("data", data)):
        if value is not None:
            raise BadInput(f"{run.path}: {field} {value!r}: this run has its own; leave the option out")
    name = Path(config.supernet).name
    adapted = load_supernet(run.supernet_path, resolutions=config.resolutions)
    return Weights(adapted, run.supernet_path, name, _searched_dataset(run, config))


def _searched_dataset(run: RunFolder, config: RunConfig) -> Dataset:
    """The run's images, divided as the search divided them: its test part must be the one nobody has seen."""
    dataset = load_dataset(config.data, seed=config.seed)
    searched = run.data_fingerprint
    if dataset.fingerprint != searched:
        raise BadInput(
            f"{run.path}: data {config.data!r} has changed since the search (fingerprint {dataset.fingerprint[:12]}, "
            f"then {searched[:12]}), so the test images may have been trained on; restore the data or search again"
        )
    return dataset


def _given(run: RunFolder, config: RunConfig, supernet: str, data: str, tell: Callable[[str, float], None]) -> Weights:
    """A checkpoint from elsewhere. Nothing is trained, so no image is spoilt for judging; few of a class are enough."""
    about = run.summary()["accuracy_predictor"]
    missing = []
    if supernet == NOT_GIVEN:
        address = PUBLISHED.get(config.space, "a checkpoint of that space")
        missing.append(f"weights of {config.space}, --supernet FILE (Once-for-All's are at {address})")
    if data == NOT_GIVEN:
        missing.append(f"images to calibrate batch norm on, --data PATH ({about['data']}'s, or like them)")
    if missing:
        raise BadInput(f"{run.path}: its accuracies were predicted, so to build give " + " and ".join(missing))
    dataset = load_dataset(data, seed=config.seed, stratified=False)
    found = load_supernet(supernet, resolutions=config.resolutions)
    if found.space.name != config.space:
        raise BadInput(f"supernet {supernet!r} is of space {found.space.name}, the run is of {config.space}")
    header, varied = read_supernet_header(supernet), Calibration.of(config.adapt, config.seed).augmentation
    known = known_images(dataset, header, supernet, augmentation=varied)
    if not known.judged:
        differ = f"{len(dataset.classes)} classes, the weights have {found.num_classes}"
        if len(dataset.classes) == found.num_classes:
            differ = "other classes than the weights"
        tell(f"data {data!r} has {differ}: its images calibrate batch norm, and no accuracy is measured", 0.0)
    dataset = known.dataset
    if known.own_statistics:  # the predictor tells how images enter the networks that it learned from
        mean, std = ((red, green, blue) for red, green, blue in (about["mean"], about["std"]))
        dataset = replace(dataset, mean=mean, std=std)
    return Weights(found, checkpoint_path(supernet), Path(supernet).name, dataset, known.judged)
