"""The transfer benchmark's folds, choices and statistics; the training itself is its ``--quick`` form's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import transfer
from natdeploy.data import load_dataset
from natdeploy.spaces import costs, get_space
from tests.search.make import made_up


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sixty pictures of three classes, no two alike."""
    (tmp_path / "tiny").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (60, 40, 50, 3), np.uint8)
    np.savez(tmp_path / "tiny" / "images.npz", images=pixels, label=np.arange(60) % 3)
    monkeypatch.setattr(transfer, "IMAGES", tmp_path)
    return tmp_path


def test_every_image_is_in_one_fold_and_classes_are_even(images: Path, tmp_path: Path) -> None:
    parts = [load_dataset(str(path)) for path in transfer.write_folds("tiny", tmp_path, seed=1)]
    tested = np.concatenate([part.test.images for part in parts]).reshape(60, -1)
    assert len(np.unique(tested, axis=0)) == 60
    for part in parts:
        assert np.bincount(part.test.labels).tolist() == [4, 4, 4]
        assert len(part.train) + len(part.val) == 48 and 9 <= len(part.val) <= 15
        assert set(part.val.labels) == {0, 1, 2} and part.train.images.shape[1:] == (32, 32, 3)


def test_the_medium_subnet_is_of_the_space_and_of_medium_size() -> None:
    space = get_space(transfer.SPACE)
    small, mid, large = (
        costs(space.layers(arch)).macs for arch in (space.smallest(), transfer.mid_arch(), space.largest())
    )
    assert 2 * small < mid < large / 2


def test_what_is_chosen_keeps_to_the_macs() -> None:
    entries = made_up([(0.6, 1.0), (0.9, 2.0), (0.8, 3.0)])
    space = get_space(transfer.SPACE)
    most = costs(space.layers(space.largest(), 10)).macs
    sizes = (1, most, most + 1)
    entries = [type(entry)(**{**vars(entry), "macs": macs}) for entry, macs in zip(entries, sizes)]
    assert transfer.best_within(entries, space.largest(), 10).top1 == 0.9


def test_differences_are_paired() -> None:
    """Both vary much from fold to fold, and their difference hardly does."""
    names = ("hv_nat", "hv_no_adaptation", "top1_nat_at_largest", "top1_finetune_largest", "top1_nat_at_mid")
    folds = [{**dict.fromkeys(names, level), "top1_finetune_mid": level - 0.1} for level in (0.2, 0.5, 0.8)]
    found = transfer.summary(folds)
    assert found["hv_nat"] == pytest.approx(0.5) and found["top1_finetune_mid"] == pytest.approx(0.4)
    assert found["se_hv"] == 0 and found["se_mid"] == pytest.approx(0, abs=1e-12)
    assert "se_hv" not in transfer.summary(folds[:1])
