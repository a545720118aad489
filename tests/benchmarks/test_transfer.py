"""The transfer benchmark's folds, choices and statistics; the training itself is its ``--quick`` form's."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import transfer
from benchmarks.transfer_folds import write_folds
from benchmarks.transfer_training import trained_ahead
from benchmarks.transfer_ways import SPACE, Outcome, choose, config, limits
from natdeploy.data import load_dataset
from natdeploy.ground.errors import BadInput
from natdeploy.spaces import costs, get_space
from natdeploy.supernets import load_supernet, read_supernet_header
from tests.search.make import made_up

#: One fold's figures, all of them equal.
NAMES = ("hv_nat", "hv_no_adaptation", "top1_nat_at_largest", "top1_finetune_largest", "top1_nat_at_mid")


def outcome(level: float) -> Outcome:
    return Outcome({**dict.fromkeys(NAMES, level), "top1_finetune_mid": level - 0.1}, {"nat": 10 * level})


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Sixty pictures of three classes, no two alike."""
    (tmp_path / "tiny").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (60, 40, 50, 3), np.uint8)
    np.savez(tmp_path / "tiny" / "images.npz", images=pixels, label=np.arange(60) % 3)
    return tmp_path / "tiny"


def test_every_image_is_in_one_fold_and_classes_are_even(images: Path, tmp_path: Path) -> None:
    parts = [load_dataset(str(path)) for path in write_folds(images, tmp_path, seed=1, folds=5, size=32)]
    tested = np.concatenate([part.test.images for part in parts]).reshape(60, -1)
    assert len(np.unique(tested, axis=0)) == 60
    for part in parts:
        assert np.bincount(part.test.labels).tolist() == [4, 4, 4]
        assert len(part.train) + len(part.val) == 48 and 9 <= len(part.val) <= 15
        assert set(part.val.labels) == {0, 1, 2} and part.train.images.shape[1:] == (32, 32, 3)


def test_the_medium_subnet_is_of_the_space_and_of_medium_size() -> None:
    space = get_space(SPACE)
    small, mid, large = (costs(space.layers(arch)).macs for arch in (space.smallest(), *reversed(limits().values())))
    assert 2 * small < mid < large / 2


def test_what_is_chosen_keeps_to_the_macs() -> None:
    entries = made_up([(0.6, 1.0), (0.9, 2.0), (0.95, 2.0001)])
    assert choose(entries, 2_000_000).top1 == 0.9
    assert choose(entries, 1_999_999).top1 == 0.6


def test_training_ahead_of_a_search_lasts_as_long_as_it_is_told(images: Path, tmp_path: Path) -> None:
    path, out = write_folds(images, tmp_path, seed=1, folds=5, size=32)[0], tmp_path / "ahead.safetensors"
    dataset, how = load_dataset(str(path)), config(path, seed=0, quick=True)
    started = time.process_time()
    took = trained_ahead(dataset, how, 1.0, out)
    assert 1.0 <= took <= time.process_time() - started
    trained, box = load_supernet(out), load_supernet(num_classes=3)
    assert trained.num_classes == 3 and read_supernet_header(out)["meta"]["classes"] == list(dataset.classes)
    assert not torch.equal(next(trained.parameters()), next(box.parameters()))


def test_what_was_done_is_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[tuple[str, int]]] = []

    def run(places, folder, **more):
        asked.append(list(places))
        yield from ((place, outcome(0.1 * (place[1] + 1))) for place in places)

    monkeypatch.setattr(transfer, "_run", run)
    monkeypatch.setattr("benchmarks.environment.environment", lambda **given: given)
    how = {"seed": 3, "quick": False, "keep": tmp_path / "kept", "jobs": 1}
    transfer.measure(["dtd10"], [1, 4], **how)
    found = transfer.measure(["dtd10"], [0, 1, 4], **how)["figures"]
    assert asked == [[("dtd10", 1), ("dtd10", 4)], [("dtd10", 0)]]
    assert found["dtd10_hv_nat"] == pytest.approx((0.1 + 0.2 + 0.5) / 3)
    assert found["dtd10_seconds_nat"] == pytest.approx(8 / 3) and "dtd10_se_hv" in found
    with pytest.raises(BadInput, match="other settings"):
        transfer.measure(["dtd10"], [1], **{**how, "seed": 4})


def test_differences_are_paired() -> None:
    """Both vary much from fold to fold, and their difference hardly does."""
    folds = [outcome(level).figures for level in (0.2, 0.5, 0.8)]
    found = transfer.summary(folds)
    assert found["hv_nat"] == pytest.approx(0.5) and found["top1_finetune_mid"] == pytest.approx(0.4)
    assert found["se_hv"] == 0 and found["se_mid"] == pytest.approx(0, abs=1e-12)
    assert "se_hv" not in transfer.summary(folds[:1])
