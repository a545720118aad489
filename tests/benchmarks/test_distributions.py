"""The benchmark of what adaptation draws: its tasks, what its searches differ in, and its statistics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import distributions
from benchmarks.made_tasks import QUICK_PARTS, TASKS, write_task
from natdeploy.data import load_dataset
from natdeploy.ground.errors import BadInput

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
COUNT = sum(QUICK_PARTS.values())


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """Images of CIFAR-10's classes and photographs, as many as two quick draws of each task take, no two alike."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (2 * COUNT + 40, 32, 32, 3), np.uint8)
    split = np.repeat(["test", "train"], [2 * COUNT, 40])
    large = rng.integers(0, 256, (24, 256, 260, 3), np.uint8)
    for name in TASKS.values():
        (tmp_path / name).mkdir()
    labels = np.arange(len(small)) % 10
    np.savez(tmp_path / "cifar10" / "images.npz", images=small, label=labels, split=split, classes=np.array(CLASSES))
    np.savez(tmp_path / "imagenet_sample" / "images.npz", images=large, label=np.arange(24))
    return tmp_path


def made(shared: Path, name: str, *, seed: int = 0, draw: int = 0) -> tuple[np.ndarray, list[str]]:
    """A task's images in the order of its parts, and the class of each."""
    path = shared / "task.npz"
    write_task(shared, name, path, seed=seed, draw=draw, quick=True)
    task = load_dataset(str(path))
    parts = (task.train, task.val, task.test)
    assert [len(part) for part in parts] == list(QUICK_PARTS.values())
    labels = np.concatenate([part.labels for part in parts])
    return np.concatenate([part.images for part in parts]), [task.classes[label] for label in labels]


def test_turned_ones_are_turned_as_they_say_and_no_draw_has_an_image_of_another(shared: Path) -> None:
    test = load_dataset(str(shared / "cifar10")).test
    known = {image.tobytes(): CLASSES[label] for image, label in zip(test.images, test.labels)}
    for draw in (0, 1):
        images, classes = made(shared, "turned", draw=draw)
        assert len(set(classes)) == 6
        for image, said in zip(images, classes):
            what, degrees = said.split(" turned ")
            was = known.pop(np.rot90(image, -int(degrees) // 90).tobytes())
            assert (what == "animal") == (was in {"bird", "cat", "deer", "dog", "frog", "horse"})
    assert not known  # both draws together have every test image, and no training image


def test_no_class_is_another_ones_mirror_image(shared: Path) -> None:
    """Training mirrors images: the mirror image of one turned by a quarter is its own mirror image turned by three."""
    turns = {int(name.split()[-1]) for name in made(shared, "turned")[1]}
    assert not any((360 - turn) % 360 in turns - {turn} for turn in turns)


def test_crops_are_of_the_photographs_they_say_and_no_pixel_is_in_those_of_two_parts(shared: Path) -> None:
    """Cells here are of one grey value each: which a crop was cut from can be read off it."""
    values = np.arange(24 * 9).reshape(24, 3, 3)
    pixels = np.repeat(values.repeat(86, axis=1).repeat(87, axis=2)[..., None], 3, axis=3).astype(np.uint8)
    np.savez(shared / "imagenet_sample" / "images.npz", images=pixels, label=np.arange(24))
    names = np.repeat(list(QUICK_PARTS), list(QUICK_PARTS.values()))
    parts_of, photographs = {}, []
    for draw in (0, 1):
        images, classes = made(shared, "crops", draw=draw)
        assert images.shape[1:] == (32, 32, 3) and len(set(classes)) == 12
        for image, part, said in zip(images, names, classes):
            (value,) = np.unique(image)
            assert value in values[int(said.removeprefix("photograph "))]
            parts_of.setdefault(value % 9, set()).add(part)
        photographs += sorted(set(classes))
    assert len(set(photographs)) == 24
    assert sorted(map(sorted, parts_of.values())) == [["test"]] * 3 + [["train"]] * 5 + [["val"]]


@pytest.mark.parametrize("name", TASKS)
def test_draws_are_repeated_by_their_seed(name: str, shared: Path) -> None:
    first, again, other = (made(shared, name, seed=seed)[0] for seed in (3, 3, 4))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


@pytest.mark.parametrize(("name", "said"), [("turned", "240 test images, draw 2 begins"), ("crops", "24 photographs")])
def test_more_draws_than_there_are_images_are_refused(name: str, said: str, shared: Path) -> None:
    with pytest.raises(BadInput, match=said):
        made(shared, name, draw=2)


def test_other_images_are_refused(shared: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (60, 32, 32, 3), np.uint8)
    for name in TASKS.values():
        np.savez(shared / name / "images.npz", images=images, label=np.arange(60) % 3)
    with pytest.raises(BadInput, match="not CIFAR-10's ten classes with a test part"):
        made(shared, "turned")
    with pytest.raises(BadInput, match="a photograph of 32 x 32 pixels; both must be 216 at least"):
        made(shared, "crops")
    with pytest.raises(BadInput, match="nowhere"):
        made(shared / "nowhere", "crops")


#: What differences are taken of.
FIGURES = ("hv", "budgets", "largest", "mid")
#: Of one draw's figures those that differences are made of.
NAMES = {name for pair in distributions.PAIRS.values() for name in pair}


def test_searches_differ_in_what_they_draw_alone(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}
    seconds: list[float] = []

    def searched(how, dataset, out):
        asked[how.adapt.distribution] = how.model_dump(mode="json")
        return out.name, 10.0 * len(asked)

    def judged(run, dataset, how, way):
        """With the names that :func:`benchmarks.transfer_ways.judged` gives, which that benchmark's test sees."""
        assert run == way
        top1 = {f"top1_{way}_{where}": 0.6 for where in ("over_budgets", "at_largest", "at_mid")}
        return {f"hv_{way}": 0.4, **top1}

    def trained_alone(arch, dataset, how, given):
        seconds.append(given)
        return 0.5, given

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # which a draw sets, in a process of its own
    monkeypatch.setattr("benchmarks.transfer_ways.searched", searched)
    monkeypatch.setattr("benchmarks.transfer_ways.judged", judged)
    monkeypatch.setattr("benchmarks.transfer_training.trained_alone", trained_alone)
    threads = torch.get_num_threads()
    try:
        found = distributions.one_draw(shared, "turned", tmp_path / "draw", 5, 1, quick=True)
    finally:
        torch.set_num_threads(threads)
    assert asked.keys() == {"uniform", "archive", "fronts"} and found.keys() >= NAMES
    for how in asked.values():
        del how["adapt"]["distribution"]
    assert len({json.dumps(how) for how in asked.values()}) == 1
    assert seconds == [found["seconds_fronts"]] * 2 == [10.0] * 2


def test_differences_are_paired_over_all_draws_of_all_tasks() -> None:
    """Tasks and draws differ much, and what is drawn by .1, .2 and .3: a deviation of .1, of three."""
    levels = {("crops", 0): (0.5, 0.4), ("crops", 1): (0.8, 0.6), ("turned", 0): (0.4, 0.1)}
    found = distributions.summary(
        {at: {**dict.fromkeys(NAMES, ours), "hv_archive": other} for at, (ours, other) in levels.items()}
    )
    assert found["pairs"] == 3
    assert found["hv_over_archive"] == pytest.approx(0.2)
    assert found["se_hv_over_archive"] == pytest.approx(0.1 / 3**0.5)
    assert found["crops_hv_archive"] == pytest.approx(0.5) and found["turned_hv_fronts"] == 0.4
    pairs = [f"{figure}_over_{other}" for figure in FIGURES for other in ("archive", "uniform")]
    pairs += ["largest_over_finetune", "mid_over_finetune"]
    of_tasks = {f"{task}_{name}" for task in ("crops", "turned") for name in NAMES}
    assert found.keys() == {"pairs", *pairs, *(f"se_{pair}" for pair in pairs), *of_tasks}


def test_what_was_done_is_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[tuple[str, int]]] = []

    def run(parts, jobs):
        asked.append(list(parts))
        assert all(part.args[1:2] + part.args[3:] == (name, 3, draw) for (name, draw), part in parts.items())
        yield from ((at, dict.fromkeys(NAMES, 0.1 * (at[1] + 1))) for at in parts)

    monkeypatch.setattr("benchmarks.workers.side_by_side", run)
    monkeypatch.setattr("benchmarks.environment.environment", lambda **given: given)
    how = {"seed": 3, "quick": False, "keep": tmp_path / "kept", "jobs": 1}
    distributions.measure(tmp_path, ["turned"], 1, **how)
    found = distributions.measure(tmp_path, ["turned", "crops"], 2, **how)
    assert asked == [[("turned", 0)], [("crops", 0), ("turned", 1), ("crops", 1)]]
    assert found["figures"]["turned_hv_fronts"] == pytest.approx(0.15) and found["figures"]["pairs"] == 4
    assert found["environment"]["data"] == ["cifar10", "imagenet_sample"]
    with pytest.raises(BadInput, match="other settings"):
        distributions.measure(tmp_path, ["turned"], 1, **{**how, "seed": 4})
    monkeypatch.setattr(distributions, "DISTRIBUTIONS", ("fronts", "front"))
    with pytest.raises(BadInput, match="other settings"):
        distributions.measure(tmp_path, ["turned"], 1, **how)
