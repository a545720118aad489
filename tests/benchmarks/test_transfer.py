"""The transfer benchmark's folds, training, choices and statistics."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import transfer
from benchmarks.transfer_folds import write_folds
from benchmarks.transfer_training import trained_ahead
from benchmarks.transfer_ways import (
    SPACE,
    Outcome,
    by_budget,
    choose,
    judged,
    limits,
    macs,
    nat_config,
    one_fold,
    over_budgets,
)
from natdeploy.data import load_dataset
from natdeploy.ground.errors import BadInput, BudgetNotMet
from natdeploy.spaces import costs, get_space
from natdeploy.supernets import load_supernet, read_supernet_header
from natdeploy.transfer import epoch
from tests.search.make import made_up

#: One fold's figures, all of them equal.
NAMES = (
    *("hv_nat", "hv_no_adaptation", "top1_nat_over_budgets", "top1_no_adaptation_over_budgets"),
    *("top1_nat_at_largest", "top1_finetune_largest", "top1_nat_at_mid"),
)


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


@given(st.lists(st.tuples(st.integers(40, 60), st.integers(1, 30)), min_size=1, max_size=12))
def test_what_a_build_takes_is_known_for_every_budget(points: list[tuple[int, int]]) -> None:
    entries = made_up([(top1 / 100, float(mmacs)) for top1, mmacs in points])
    taken = by_budget(entries)
    assert all(one.id != other.id for (_, one), (_, other) in itertools.pairwise(taken))
    for most in range(1, 40):
        had = [entry.id for budget, entry in taken if budget <= most]
        if had:
            assert choose(entries, most * 1_000_000).id == had[-1]
        else:
            with pytest.raises(BudgetNotMet):
                choose(entries, most * 1_000_000)


def test_accuracies_count_for_the_budgets_at_which_they_are_had() -> None:
    """Good or bad: none up to 2 of 10, 0.5 from there to 4, then 0.4 up to 8, then 0.9."""
    assert over_budgets([(2.0, 0.5), (4.0, 0.4), (8.0, 0.9)], 10.0) == pytest.approx((1.0 + 1.6 + 1.8) / 10)
    assert over_budgets([(10.0, 0.9)], 10.0) == 0


def test_a_search_is_judged_by_its_front_and_by_what_a_build_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last one is dominated, and taken, since validation cannot tell it from the one before."""
    points, on_the_fold = [(0.6, 2.0), (0.9, 5.0), (0.89, 10.0)], [0.5, 0.8, 0.7]
    entries = [replace(entry, macs=int(1e6 * entry.latency_ms)) for entry in made_up(points)]
    top1 = {entry.id: value for entry, value in zip(entries, on_the_fold)}
    monkeypatch.setattr(
        "benchmarks.transfer_ways._top1", lambda run, asked, *_: {one.id: top1[one.id] for one in asked}
    )
    run, three = SimpleNamespace(archive=lambda: entries, front=lambda: entries[:2]), SimpleNamespace(classes="abc")
    most = macs(limits()["largest"], three) / 1e6
    assert judged(run, three, None, "nat") == pytest.approx(
        {
            "hv_nat": (0.5 * 3 + 0.8 * (most - 5)) / most,
            "top1_nat_over_budgets": (0.5 * 3 + 0.8 * 5 + 0.7 * (most - 10)) / most,
            **{"top1_nat_at_mid": 0.8, "mmacs_nat_at_mid": 5.0, "top1_nat_at_largest": 0.7, "mmacs_nat_at_largest": 10},
        }
    )


def test_training_ahead_of_a_search_is_a_warm_up_of_so_many_seconds(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that goes on by a second whenever it is read: the largest subnet has one step, the others the rest."""
    ticks, steps = itertools.count(), []
    clock = SimpleNamespace(process_time=lambda: float(next(ticks)))
    monkeypatch.setattr("benchmarks.transfer_training.time", clock)
    real = epoch.elastic_step

    def noted(replicas, optimizer, pixels, labels, students, **more):
        steps.append((len(students), optimizer.param_groups[0]["lr"]))
        return real(replicas, optimizer, pixels, labels, students, **more)

    monkeypatch.setattr(epoch, "elastic_step", noted)
    path, out = write_folds(images, tmp_path, seed=1, folds=5, size=32)[0], tmp_path / "ahead.safetensors"
    dataset, how = load_dataset(str(path)), nat_config(path, seed=0, quick=True)
    assert trained_ahead(dataset, how, 30.0, out) >= 30
    students, rates = zip(*steps)
    assert students[0] == 0 and set(students[1:]) == {1} and len(steps) > 10
    assert rates[0] == 0 and list(rates[1:]) == sorted(rates[1:], reverse=True)
    assert how.adapt.lr > rates[1] > how.adapt.lr / 2 and 0 <= rates[-1] < how.adapt.lr / 10
    trained, box = load_supernet(out), load_supernet(num_classes=3)
    assert trained.num_classes == 3 and read_supernet_header(out)["meta"]["classes"] == list(dataset.classes)
    assert not torch.equal(next(trained.parameters()), next(box.parameters()))


def test_a_fold_goes_all_ways_for_as_many_seconds(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # which a fold sets, in a process of its own
    path, threads = write_folds(images, tmp_path, seed=1, folds=5, size=32)[0], torch.get_num_threads()
    try:
        found = one_fold(path, tmp_path / "fold", seed=0, quick=True)
    finally:
        torch.set_num_threads(threads)
    assert {name for pair in transfer.PAIRS.values() for name in pair} <= found.figures.keys()
    assert all(0 <= value <= 1 for name, value in found.figures.items() if not name.startswith("mmacs"))
    assert found.figures["mmacs_nat_at_mid"] < macs(limits()["mid"], load_dataset(str(path))) / 1e6 + 1e-9
    assert found.seconds.keys() == {"nat", "no_adaptation", "finetune_largest", "finetune_mid"}
    assert min(found.seconds.values()) == found.seconds["nat"] > 0


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
