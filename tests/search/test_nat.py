import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from natdeploy.ground.errors import BadInput, BudgetNotMet
from natdeploy.runs import RunFolder
from natdeploy.search import search, steps
from natdeploy.search.archive import front
from natdeploy.search.evaluator import Sampler
from natdeploy.search.state import State
from natdeploy.spaces import Arch
from tests.search.make import made_up, objectives
from tests.search.synthetic import SPACE, Synthetic, Weights, small_config

LIGHT = {"iterations": 1, "surrogate": "ridge", "surrogate_evaluations": 60}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[RunFolder, Synthetic]:
    surroundings = Synthetic()
    seen: list[float] = []

    def progress(stage: str, fraction: float) -> None:
        seen.append(fraction)

    path = tmp_path_factory.mktemp("nat") / "run"
    run = search(small_config(), path, surroundings=surroundings, progress=progress)
    assert seen == sorted(seen) and seen[-1] == 1.0 and seen[0] >= 0
    return run, surroundings


def test_hypervolume_grows_and_beats_random(finished) -> None:
    run, _ = finished
    volumes = [step.hypervolume for step in run.history()]
    summary = run.summary()
    assert len(volumes) == 4 and volumes[-1] > volumes[0] > 0
    assert volumes[-1] == summary["hypervolume_last"] > summary["hypervolume_random"] > 0
    assert summary["random_drawn"] == summary["evaluations"] == 12 + 3 * 4
    assert summary["random_feasible"] == len(run.random())
    assert summary["reference_point"] == {"top1": 1.0, "latency_ms": 5.0}


def test_the_budget_is_held_by_the_upper_end(finished) -> None:
    run, _ = finished
    archive, found = run.archive(), run.front()
    assert all(entry.feasible == (entry.latency_upper_ms <= 5.0) for entry in archive)
    assert len(found) >= 5 and all(entry.feasible for entry in found)
    assert found == front(archive, objectives())
    assert found[-1].latency_upper_ms > 4.5  # up to the budget's edge
    assert len(archive) <= 18 and len({entry.id for entry in archive}) == len(archive)


def test_every_entry_has_the_last_weights_accuracy(finished) -> None:
    run, surroundings = finished
    assert {entry.generation for entry in run.archive()} == {3} == {run.history()[-1].generation}
    assert json.loads(run.supernet_path.read_text())["generation"] == 3
    assert all(sum(e.arch == arch for e in run.archive()) <= 1 for arch in surroundings.weights.evaluated)


def test_surrogate_quality_is_reported(finished) -> None:
    run, _ = finished
    for step in run.history()[1:]:
        assert step.surrogate["name"] == "gp" and set(step.surrogate["of"]) == {"top1"}
        quality = step.surrogate["of"]["top1"]
        assert quality["rmse"] >= 0 and {"kendall", "spearman", "cv_kendall"} <= set(quality)


def test_a_finished_run_is_returned_as_it_is(finished) -> None:
    run, _ = finished
    again = Synthetic()
    assert search(small_config(), run.path, surroundings=again).archive() == run.archive()
    assert again.opened == 0


def test_another_configuration_in_the_same_folder(finished) -> None:
    run, _ = finished
    for fields, name in (
        ({"seed": 4}, "seed"),
        ({"space": "ofa-mbv3-w1.0"}, "space"),
        ({"latency_ms": 6.0}, "latency_ms"),
    ):
        with pytest.raises(BadInput, match=f"'{name}'"):
            search(small_config(**fields), run.path, surroundings=Synthetic())


def test_interrupted_after_every_step_and_continued(finished, tmp_path, monkeypatch) -> None:
    reference, _ = finished
    done, real = [], steps.NatSteps.run

    def one_step(self, step, state, progress):
        if done and done[-1] == "go on":
            done.append(step.stage)
            return real(self, step, state, progress)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(steps.NatSteps, "run", one_step)
        for _ in range(11):
            done.append("go on")
            with pytest.raises(KeyboardInterrupt):
                search(small_config(), tmp_path / "run", surroundings=Synthetic())
            assert not RunFolder(tmp_path / "run").is_finished
    run = search(small_config(), tmp_path / "run", surroundings=Synthetic())
    assert run.archive() == reference.archive() and run.random() == reference.random()
    assert run.supernet_path.read_bytes() == reference.supernet_path.read_bytes()
    for mine, other in zip(run.history(), reference.history(), strict=True):
        assert mine.hypervolume == other.hypervolume and mine.surrogate == other.surrogate


def test_killed_at_any_instant_and_continued(finished, tmp_path) -> None:
    """SIGKILL in the middle of evaluations, three times in one run."""
    reference, _ = finished
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    for kill_at in (7, 9, 17):
        command = [sys.executable, "-m", "tests.search.synthetic", str(tmp_path / "run"), str(kill_at)]
        child = subprocess.run(command, cwd=root, env=environment, capture_output=True, timeout=300)
        assert child.returncode == -signal.SIGKILL, child.stderr.decode()
        assert not RunFolder(tmp_path / "run").is_finished
    run = search(small_config(), tmp_path / "run", surroundings=Synthetic())
    assert run.archive() == reference.archive()


def test_other_images_than_at_the_start(finished, tmp_path) -> None:
    reference, _ = finished
    shutil.copytree(reference.path, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "result")
    state = tmp_path / "run" / "state" / "state.json"
    state.write_text(state.read_text().replace('"synthetic"', '"others"'))
    with pytest.raises(BadInput, match="images"):
        search(small_config(), tmp_path / "run", surroundings=Synthetic())
    state.write_text("{}")
    with pytest.raises(BadInput, match=r"state\.json: damaged"):
        search(small_config(), tmp_path / "run", surroundings=Synthetic())


def test_an_impossible_budget_leaves_nothing_behind(tmp_path) -> None:
    with pytest.raises(BudgetNotMet, match=r"0\.0001 ms on host with tvm.*fastest"):
        search(small_config(latency_ms=0.0001), tmp_path / "run", surroundings=Synthetic())
    assert list(tmp_path.iterdir()) == []


def test_unknown_names_leave_nothing_behind(tmp_path) -> None:
    for fields in ({"objectives": ("beauty",)}, {"search": {"surrogate": "x"}}, {"search": {"algorithm": "x"}}):
        with pytest.raises(BadInput, match="unknown"):
            search(small_config(**fields), tmp_path / "run", surroundings=Synthetic())
    assert list(tmp_path.iterdir()) == []


def broken(arch: Arch) -> bool:
    return arch.r == 28 and arch != SPACE.largest()


def test_failed_evaluations_are_not_accuracies_and_not_proposed_again(tmp_path) -> None:
    surroundings = Synthetic(fail=broken)
    run = search(small_config(search=LIGHT), tmp_path / "run", surroundings=surroundings)
    failed = run.summary()["failed"]
    assert failed and all(item["arch"]["r"] == 28 and "no such kernel" in item["reason"] for item in failed)
    assert not any(broken(entry.arch) for entry in run.archive())
    assert run.history()[-1].failed == len(failed) == len({json.dumps(item["arch"]) for item in failed})
    calls = [arch for arch in surroundings.weights.evaluated if broken(arch)]
    assert all(calls.count(arch) == 2 for arch in calls if arch.id not in {e.id for e in run.random()})


@pytest.mark.parametrize(
    "names",
    [
        ("top1",),
        ("latency_ms", "macs"),
        ("top1", "macs"),
        ("top1", "latency_ms", "params"),
        ("top1", "latency_ms", "macs", "params", "peak_activation_bytes"),
    ],
)
def test_any_set_of_objectives(tmp_path, names: tuple[str, ...]) -> None:
    config = small_config(objectives=names, search={**LIGHT, "candidates": 3})
    run = search(config, tmp_path / "run", surroundings=Synthetic())
    assert run.history()[-1].evaluations == 15 and run.front()
    assert run.summary()["hypervolume_last"] >= run.summary()["hypervolume_first"] * 0.99


def test_a_growing_archive_keeps_and_evaluates_everything_again(tmp_path) -> None:
    config = small_config(search={**LIGHT, "iterations": 2, "archive": None, "random_baseline": False})
    surroundings = Synthetic()
    run = search(config, tmp_path / "run", surroundings=surroundings)
    assert [step.archive_size for step in run.history()] == [12, 16, 20]
    assert len(run.archive()) == run.history()[-1].evaluations == 20
    assert {entry.generation for entry in run.archive()} == {2}
    assert len(surroundings.weights.evaluated) == 12 + (4 + 16) + (4 + 20)


def test_auto_says_what_it_chose_in_each_iteration(tmp_path) -> None:
    config = small_config(search={**LIGHT, "surrogate": "auto", "random_baseline": False})
    said: list[str] = []
    run = search(config, tmp_path / "run", surroundings=Synthetic(), progress=lambda stage, _: said.append(stage))
    (step,) = run.history()[1:]
    quality = step.surrogate["of"]["top1"]
    taus = quality["cv_kendall_of"]
    assert step.surrogate["name"] == "auto" and len(taus) > 3
    assert taus[quality["chosen"]] == max(taus.values()) == quality["cv_kendall"]
    assert f"surrogates of iteration 1: top1 by {quality['chosen']} (tau {quality['cv_kendall']:.2f})" in said


@pytest.mark.parametrize("surrogate", ["ridge", "xgboost", "rbf-ensemble"])
def test_any_surrogate_without_adaptation(tmp_path, surrogate: str) -> None:
    config = small_config(
        search={**LIGHT, "surrogate": surrogate, "random_baseline": False},
        adapt={"epochs_per_iteration": 0, "warm_up_epochs": 0},
    )
    surroundings = Synthetic()
    run = search(config, tmp_path / "run", surroundings=surroundings)
    assert run.history()[-1].generation == 0 and run.summary()["hypervolume_random"] is None
    assert len(surroundings.weights.evaluated) == len(set(surroundings.weights.evaluated)) == 16


def test_a_budget_that_one_architecture_meets_ends(tmp_path) -> None:
    config = small_config(latency_ms=2.971, search={**LIGHT, "iterations": 2})
    run = search(config, tmp_path / "run", surroundings=Synthetic())
    assert [entry.arch for entry in run.front()] == [SPACE.smallest()]


def test_a_full_disk_is_one_line_and_the_state_stays(finished, tmp_path, monkeypatch) -> None:
    reference, _ = finished
    real, calls = Synthetic.open_evaluator, []

    def opening(self, config, state):
        weights = real(self, config, state)
        save = weights.save

        def full(folder: Path) -> None:
            calls.append(folder)
            if len(calls) == 3:
                raise OSError(28, "No space left on device")
            save(folder)

        weights.save = full
        return weights

    with monkeypatch.context() as patch:
        patch.setattr(Synthetic, "open_evaluator", opening)
        with pytest.raises(BadInput, match="disk is full"):
            search(small_config(), tmp_path / "run", surroundings=Synthetic())
    assert not list((tmp_path / "run").glob(".state*"))
    assert search(small_config(), tmp_path / "run", surroundings=Synthetic()).archive() == reference.archive()


def test_adaptation_draws_from_the_archive_or_from_the_whole_space(tmp_path: Path) -> None:
    """Genes of the archive's few architectures, or everything there is."""
    drawn = {}
    for distribution in ("archive", "uniform"):
        here = Synthetic()
        fields = {"initial": 4, "iterations": 2, "candidates": 1, "archive": 4}
        config = small_config(adapt={"distribution": distribution}, search=fields)
        search(config, tmp_path / distribution, surroundings=here)
        assert here.weights is not None
        drawn[distribution] = set(here.weights.drawn) - {"warm-up"}
    assert len(drawn["uniform"]) == 10 and drawn["uniform"] != drawn["archive"]


@pytest.mark.parametrize(
    ("distribution", "feasible", "best"), [("front", True, 2), ("fronts", True, 4), ("fronts", False, 0)]
)
def test_adaptation_draws_members_of_fronts(
    distribution: str, feasible: bool, best: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What too many dominate is not drawn; while nothing is feasible there is no front, and all genes are."""
    points = [(0.9, 3.0), (0.8, 2.0), (0.7, 2.5), (0.6, 4.0), (0.5, 4.5)]
    entries = made_up(points, budget_ms=5.0 if feasible else 1.0)
    drawn: set[str] = set()

    def adapt(weights: object, iteration: int, sample: Sampler, progress: object) -> None:
        rng = np.random.default_rng(0)
        drawn.update(sample(rng).id for _ in range(50))

    real = steps.NatSteps._adapt

    def on_these(self: steps.NatSteps, state: State, progress: object) -> State:
        return replace(real(self, replace(state, archive=tuple(entries)), progress), archive=state.archive)

    monkeypatch.setattr(steps.NatSteps, "_adapt", on_these)
    monkeypatch.setattr(Weights, "adapt", adapt)
    fields = {**LIGHT, "iterations": 1, "random_baseline": False}
    config = small_config(adapt={"distribution": distribution}, search=fields)
    search(config, tmp_path / "run", surroundings=Synthetic())
    if feasible:
        assert drawn == {entry.id for entry in entries[:best]}
    else:
        assert len(drawn - {entry.id for entry in entries}) > 10


def test_an_archive_that_is_full_from_the_start_stays_of_one_size_and_replaces(tmp_path: Path) -> None:
    """NATv2's way (Sarti et al. 2023)."""
    fields = {**LIGHT, "initial": 16, "archive": 16, "iterations": 2, "prefilter": 4, "random_baseline": False}
    run = search(small_config(search=fields), tmp_path / "run", surroundings=Synthetic())
    assert [step.archive_size for step in run.history()] == [16, 16, 16]
    assert run.history()[-1].evaluations == 24
    assert run.summary()["hypervolume_last"] > run.summary()["hypervolume_first"]
