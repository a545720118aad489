"""The benchmark of what adaptation draws: its tasks, what its searches differ in, and its statistics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import distributions
from benchmarks.cifar_tasks import QUICK_PARTS, TASKS, write_task
from natdeploy.data import load_dataset
from natdeploy.ground.errors import BadInput

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
COUNT = sum(QUICK_PARTS.values())


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """As many test images of CIFAR-10's classes as a quick task takes, no two alike, and some to train on."""
    pixels = np.random.default_rng(0).integers(0, 256, (COUNT + 40, 32, 32, 3), np.uint8)
    split = np.repeat(["test", "train"], [COUNT, 40])
    (tmp_path / "images").mkdir()
    labels = np.arange(COUNT + 40) % 10
    np.savez(tmp_path / "images" / "images.npz", images=pixels, label=labels, split=split, classes=np.array(CLASSES))
    return tmp_path / "images"


def drawn(source: Path, name: str, path: Path, seed: int) -> tuple[np.ndarray, list[str]]:
    """A task's images in the order of its parts, and the class of each."""
    write_task(source, name, path, seed=seed, quick=True)
    task = load_dataset(str(path))
    parts = (task.train, task.val, task.test)
    assert [len(part) for part in parts] == list(QUICK_PARTS.values())
    labels = np.concatenate([part.labels for part in parts])
    return np.concatenate([part.images for part in parts]), [task.classes[label] for label in labels]


def test_negatives_are_what_they_say(source: Path, tmp_path: Path) -> None:
    test = load_dataset(str(source)).test
    known = {image.tobytes(): CLASSES[label] for image, label in zip(test.images, test.labels)}
    images, classes = drawn(source, "negatives", tmp_path / "task.npz", seed=0)
    assert [f"negative {known.pop((255 - image[::-1]).tobytes())}" for image in images] == classes
    assert not known  # every test image once, and no training image


def test_turned_ones_are_turned_as_they_say(source: Path, tmp_path: Path) -> None:
    test = load_dataset(str(source)).test
    known = {image.tobytes(): CLASSES[label] for image, label in zip(test.images, test.labels)}
    images, classes = drawn(source, "turned", tmp_path / "task.npz", seed=0)
    assert len(set(classes)) == 8
    for image, said in zip(images, classes):
        what, degrees = said.split(" turned ")
        was = known.pop(np.rot90(image, -int(degrees) // 90).tobytes())
        assert (what == "animal") == (was in {"bird", "cat", "deer", "dog", "frog", "horse"})


@pytest.mark.parametrize("name", TASKS)
def test_draws_differ_and_are_repeated_by_their_seed(name: str, source: Path, tmp_path: Path) -> None:
    first, again, other = (drawn(source, name, tmp_path / f"{n}.npz", seed)[0] for n, seed in enumerate((3, 3, 4)))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_other_images_are_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=f"{COUNT} test images, a task takes 3030"):
        write_task(source, "turned", tmp_path / "task.npz", seed=0)
    images = np.random.default_rng(0).integers(0, 256, (60, 32, 32, 3), np.uint8)
    np.savez(tmp_path / "others.npz", images=images, label=np.arange(60) % 3)
    with pytest.raises(BadInput, match="not CIFAR-10's images, whose classes have bird, cat, deer, dog, frog, horse"):
        write_task(tmp_path / "others.npz", "turned", tmp_path / "task.npz", seed=0, quick=True)


def test_searches_differ_in_what_they_draw_alone(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}
    seconds: list[float] = []

    def searched(how, dataset, out):
        asked[how.adapt.distribution] = how.model_dump(mode="json")
        return out.name, 10.0 * len(asked)

    def trained_alone(arch, dataset, how, given):
        seconds.append(given)
        return 0.5, given

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # which a draw sets, in a process of its own
    monkeypatch.setattr("benchmarks.transfer_ways.searched", searched)
    monkeypatch.setattr("benchmarks.transfer_ways.judged", lambda run, dataset, how, way: {f"hv_{way}": len(run)})
    monkeypatch.setattr("benchmarks.transfer_training.trained_alone", trained_alone)
    threads = torch.get_num_threads()
    try:
        found = distributions.one_draw(source, "turned", tmp_path / "draw", seed=5, quick=True)
    finally:
        torch.set_num_threads(threads)
    assert asked.keys() == {"uniform", "archive", "fronts"}
    for how in asked.values():
        del how["adapt"]["distribution"]
    assert len({json.dumps(how) for how in asked.values()}) == 1
    assert seconds == [found["seconds_fronts"]] * 2 == [10.0] * 2
    assert found["hv_archive"] == len("archive") and found["top1_finetune_mid"] == 0.5


#: Of one draw's figures those that differences are made of.
NAMES = {name for pair in distributions.PAIRS.values() for name in pair}


def test_differences_are_paired_over_all_draws_of_all_tasks() -> None:
    """Tasks and draws differ much, and what is drawn always by as much."""
    levels = {("negatives", 0): 0.4, ("negatives", 1): 0.6, ("turned", 0): 0.1}
    found = distributions.summary(
        {at: {**dict.fromkeys(NAMES, level), "hv_archive": level - 0.1} for at, level in levels.items()}
    )
    assert found["pairs"] == 3
    assert found["hv_over_archive"] == pytest.approx(0.1)
    assert found["se_hv_over_archive"] == pytest.approx(0, abs=1e-12)
    assert found["negatives_hv_archive"] == pytest.approx(0.4) and found["turned_hv_fronts"] == 0.1


def test_what_was_done_is_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[tuple[str, int]]] = []

    def run(parts, jobs):
        asked.append(list(parts))
        yield from ((at, dict.fromkeys(NAMES, 0.1 * (at[1] + 1))) for at in parts)

    monkeypatch.setattr("benchmarks.workers.side_by_side", run)
    monkeypatch.setattr("benchmarks.environment.environment", lambda **given: given)
    how = {"seed": 3, "quick": False, "keep": tmp_path / "kept", "jobs": 1}
    distributions.measure(tmp_path, ["turned"], 1, **how)
    found = distributions.measure(tmp_path, ["turned"], 2, **how)["figures"]
    assert asked == [[("turned", 0)], [("turned", 1)]]
    assert found["turned_hv_fronts"] == pytest.approx(0.15) and found["se_hv_over_uniform"] == 0
    with pytest.raises(BadInput, match="other settings"):
        distributions.measure(tmp_path, ["turned"], 1, **{**how, "seed": 4})
