"""Predicted accuracies: the predictors themselves, and searches that have nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from natdeploy.ground.errors import BadInput
from natdeploy.runs import RunConfig
from natdeploy.runs.config import PREDICTED_SPACES
from natdeploy.runs.folder import ACCURACY_PREDICTOR, SUPERNET
from natdeploy.search import ACCURACY_PREDICTORS, check_names, get_accuracy_predictor, search
from natdeploy.search.accuracy import AccuracyPredictor, fit_accuracy_predictor
from natdeploy.search.surrogates.mlp import Perceptrons
from natdeploy.spaces import get_space
from tests.search.synthetic import SMALL, SPACE, Synthetic, small_config, true_accuracy

NAME = "ofa-imagenet"
ABOUT = {
    "data": "made-up images",
    "num_classes": 10,
    "mean": (0.5, 0.5, 0.5),
    "std": (0.2, 0.2, 0.2),
    "source": "a formula",
    "licence": "none",
}


def predicted_config(**fields: object) -> RunConfig:
    search_fields = {**SMALL, **fields.pop("search", {})}
    given = {
        "latency_ms": 25.0,
        "device": "note10",
        "space": "ofa-mbv3-w1.0",
        "accuracy": f"predictor:{NAME}",
        "resolutions": [224],
        "threads": 1,
        **fields,
    }
    return RunConfig(**given, search=search_fields)


def made() -> tuple[AccuracyPredictor, list, np.ndarray]:
    rng = np.random.default_rng(0)
    space = SPACE.at_resolutions([32])
    archs = list(dict.fromkeys(space.sample(rng) for _ in range(150)))
    top1 = np.array([true_accuracy(arch) for arch in archs])
    return fit_accuracy_predictor(space, archs, top1, **ABOUT), archs, top1


def test_a_predictor_is_judged_on_what_it_has_not_seen_and_keeps_what_was_learned(tmp_path: Path) -> None:
    predictor, archs, top1 = made()
    assert predictor.resolutions == (32,) and predictor.networks == len(archs)
    assert 0.8 < predictor.quality["kendall"] <= 1
    path = tmp_path / "predictor.json"
    predictor.save(path)
    again = AccuracyPredictor.load(path)
    assert again == predictor and again.digest == predictor.digest
    learner = Perceptrons()
    features = np.array([SPACE.factored(arch) for arch in archs])
    learner.fit(features, top1)
    np.testing.assert_allclose(again(archs), learner.predict(features).mean, atol=1e-5)


def test_a_predictor_refuses_what_it_does_not_know() -> None:
    predictor, _, _ = made()
    small = SPACE.at_resolutions([24]).smallest()
    with pytest.raises(BadInput, match="'r' is 24"):
        predictor([small])
    with pytest.raises(BadInput, match="'space'"):
        predictor([get_space("ofa-mbv3-w1.0").smallest()])


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("schema_version", 7, "not an accuracy predictor"),
        ("resolutions", [33], "no resolution 33"),
        ("space", "nowhere", "unknown space"),
        ("offset", "high", "offset"),
        ("center", [1.0], "columns"),
    ],
)
def test_a_damaged_predictor_is_bad_input(tmp_path: Path, field: str, value: object, said: str) -> None:
    predictor, _, _ = made()
    path = tmp_path / "predictor.json"
    predictor.save(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    with pytest.raises(BadInput, match=said):
        AccuracyPredictor.load(path)


def test_the_shipped_predictor_is_small_and_says_where_it_comes_from() -> None:
    predictor = get_accuracy_predictor(NAME)
    space = get_space(predictor.space).at_resolutions(predictor.resolutions)
    assert (predictor.resolutions, predictor.num_classes) == ((224,), 1000)
    assert predictor.quality["kendall"] > 0.94
    assert predictor.source and predictor.licence == "Apache-2.0"
    assert "predicted, not measured" in predictor.description and "224 px" in predictor.description
    small, large = predictor([space.smallest(), space.largest()])
    assert 0.70 < small < 0.73 < 0.76 < large < 0.79  # as published: about 71 % and 77 to 78 %


def test_the_predictor_ranks_the_measured_subnets() -> None:
    table = Path(__file__).parents[2].parent / "shared" / "data" / "accuracy" / "dynas_ofa_mbv3_w10_top1.csv.gz"
    if not table.is_file():
        pytest.skip("the measured subnets are not beside the checkout")
    from benchmarks.ofa_accuracies import read_table
    from natdeploy.search.surrogates import agreement

    measured = read_table(table)
    found = agreement(100 * get_accuracy_predictor(NAME)(measured.archs), measured.top1)
    assert found["kendall"] > 0.95 and found["rmse"] < 0.1


def test_a_search_without_weights_predicts_and_says_so(tmp_path: Path) -> None:
    run = search(predicted_config(), tmp_path / "run")
    front, archive = run.front(), run.archive()
    assert len(front) >= 5 and all(entry.feasible and entry.latency_upper_ms <= 25 for entry in front)
    for entry in archive:
        assert entry.arch.r == 224
        assert (entry.accuracy_source, entry.val_images, entry.generation) == ("predicted", 0, 0)
        assert 0 < entry.top1_error < 0.01
    assert not (run.result_path / SUPERNET).exists()
    kept = AccuracyPredictor.load(run.result_path / ACCURACY_PREDICTOR)
    np.testing.assert_allclose(kept([entry.arch for entry in archive]), [entry.top1 for entry in archive])
    summary = run.summary()
    assert summary["accuracy"] == summary["surrogate"] == f"predictor:{NAME}"
    assert summary["hypervolume_last"] > max(summary["hypervolume_first"], summary["hypervolume_random"])
    config = run.config()
    assert (config.data, config.supernet) == ("none", "none")
    assert {"warm-up", "adaptation"}.isdisjoint(summary["seconds"])


def test_an_interrupted_search_without_weights_ends_like_an_undisturbed_one(tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop(stage: str, fraction: float) -> None:
        if stage.startswith("iteration 2"):
            raise Stopped

    with pytest.raises(Stopped):
        search(predicted_config(), tmp_path / "stopped", progress=stop)
    continued = search(predicted_config(), tmp_path / "stopped")
    assert continued.archive() == search(predicted_config(), tmp_path / "undisturbed").archive()


def test_nothing_said_of_resolutions_means_those_that_the_predictor_knows(tmp_path: Path) -> None:
    run = search(predicted_config(resolutions=[]), tmp_path / "run")
    assert run.config().resolutions == (224,)
    assert search(predicted_config(resolutions=[]), tmp_path / "run").archive() == run.archive()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"resolutions": [192, 224]}, "knows networks at 224 pixels only"),
        ({"space": "ofa-mbv3-w1.2"}, "is of space ofa-mbv3-w1.0, not ofa-mbv3-w1.2"),
        ({"accuracy": "predictor:nobody"}, "unknown accuracy predictor 'nobody'"),
    ],
)
def test_a_predictor_that_does_not_fit_is_bad_input(fields: dict[str, object], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        check_names(predicted_config(**fields))


def test_unless_a_space_is_named_it_is_the_predictors() -> None:
    assert {name: get_accuracy_predictor(name).space for name in PREDICTED_SPACES} == PREDICTED_SPACES
    assert {*ACCURACY_PREDICTORS.names()} == {*PREDICTED_SPACES}
    said = {"latency_ms": 25, "accuracy": f"predictor:{NAME}", "resolutions": [224]}
    assert RunConfig(**said).space == "ofa-mbv3-w1.0"
    with pytest.raises(BadInput, match=r"is of space ofa-mbv3-w1\.0, not mbv3-micro; give space ofa-mbv3-w1\.0, or"):
        check_names(RunConfig(**{**said, "resolutions": [], "space": "mbv3-micro"}))


def test_resolutions_hold_in_every_part_of_a_measured_search(tmp_path: Path) -> None:
    here = Synthetic()
    run = search(small_config(resolutions=[28]), tmp_path / "run", surroundings=here)
    assert {entry.arch.r for entry in run.archive()} == {28}
    assert here.weights is not None and {arch.r for arch in here.weights.evaluated} == {28}
