"""Weights for runs that have none: what is missing is named, what is given is used, and images judge only their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from natdeploy.deploy import build
from natdeploy.deploy.weights import Weights, run_weights
from natdeploy.devices import load_profile
from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import write_json
from natdeploy.measure import MeasurementStore
from natdeploy.runs import RunFolder
from natdeploy.spaces import get_space
from natdeploy.supernets import build_supernet, save_supernet
from tests.deploy.made_run import make_run

MEAN, STD = (0.4, 0.5, 0.6), (0.1, 0.2, 0.3)
pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run as a search by predicted accuracies leaves it."""
    path = tmp_path_factory.mktemp("predicted")
    run = make_run(path / "run", load_profile("host"), MeasurementStore(path / "m.sqlite"), budget_ms=9e9, speed=1e-4)
    config = run.config().model_copy(update={"accuracy": "predictor:p", "data": "none", "supernet": "none"})
    write_json(run.path / "run.json", config.model_dump(mode="json"))
    about = {"data": "Tiny", "mean": MEAN, "std": STD}
    write_json(run.result_path / "summary.json", {"data_fingerprint": "p", "accuracy_predictor": about})
    (run.result_path / "supernet.safetensors").unlink()
    return run


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "given.safetensors"
    torch.manual_seed(0)
    save_supernet(path, build_supernet(get_space("mbv3-micro"), 10), {"made": "for a test"})
    return path


def weights(run: RunFolder, supernet: object, data: str | None, said: list[str] | None = None) -> Weights:
    told = said if said is not None else []
    name = None if supernet is None else str(supernet)
    return run_weights(run, run.config(), name, data, lambda stage, fraction: told.append(stage))


def test_what_is_missing_is_named(run: RunFolder, checkpoint: Path) -> None:
    with pytest.raises(BadInput, match=r"weights of mbv3-micro, --supernet FILE .* and images .* --data PATH \(Tiny's"):
        build(run)
    with pytest.raises(BadInput, match="so to build give images"):
        weights(run, checkpoint, None)
    with pytest.raises(BadInput, match="so to build give weights"):
        weights(run, None, "digits")
    assert not (run.path / "bundles").exists()


def test_published_weights_are_named_by_their_address(run: RunFolder) -> None:
    config = run.config().model_copy(update={"space": "ofa-mbv3-w1.0"})
    with pytest.raises(BadInput, match=r"https://\S+ofa_mbv3_d234_e346_k357_w1\.0"):
        run_weights(run, config, None, None, lambda stage, fraction: None)


def test_images_of_the_weights_classes_judge_them(run: RunFolder, checkpoint: Path) -> None:
    found = weights(run, checkpoint, "digits")
    assert found.judged and found.name == "given.safetensors" and found.path == checkpoint
    assert (found.dataset.mean, found.dataset.std) == (MEAN, STD)  # as the weights expect, not as these images are


def test_other_images_calibrate_alone(run: RunFolder, checkpoint: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (12, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "few.npz", images=pixels, label=np.arange(12) % 4, classes=np.array(list("abcd")))
    said: list[str] = []
    found = weights(run, checkpoint, str(tmp_path / "few.npz"), said)
    assert not found.judged and found.dataset.classes == tuple(map(str, range(10)))
    assert any("no accuracy is measured" in stage for stage in said)


def test_one_image_of_a_class_is_enough(run: RunFolder, checkpoint: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (10, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "one.npz", images=pixels, label=np.arange(10))
    found = weights(run, checkpoint, str(tmp_path / "one.npz"))
    assert (
        found.judged and sum(len(part) for part in (found.dataset.train, found.dataset.val, found.dataset.test)) == 10
    )


def test_weights_of_another_space_are_refused(run: RunFolder, checkpoint: Path) -> None:
    config = run.config().model_copy(update={"space": "ofa-mbv3-w1.0"})
    with pytest.raises(BadInput, match=r"is of space mbv3-micro, the run is of ofa-mbv3-w1\.0"):
        run_weights(run, config, str(checkpoint), "digits", lambda stage, fraction: None)


def test_a_run_with_weights_of_its_own_takes_no_others(checkpoint: Path, tmp_path: Path) -> None:
    own = make_run(
        tmp_path / "run", load_profile("host"), MeasurementStore(tmp_path / "m.sqlite"), budget_ms=9e9, speed=1e-4
    )
    assert weights(own, None, None).judged
    for supernet, data in ((checkpoint, None), (None, "digits")):
        with pytest.raises(BadInput, match="leave the option out"):
            weights(own, supernet, data)


@pytest.mark.slow
def test_given_weights_become_a_bundle(run: RunFolder, checkpoint: Path, tmp_path: Path) -> None:
    store = MeasurementStore(tmp_path / "m.sqlite")
    (bundle,) = build(run, pick="fastest", supernet=str(checkpoint), data="digits", store=store, out=tmp_path / "out")
    manifest = bundle.manifest
    assert manifest.provenance.supernet == "given.safetensors"
    assert manifest.accuracy_of("val") and manifest.accuracy_of("test")
    assert manifest.preprocessing["mean"] == list(MEAN)
