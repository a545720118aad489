"""A run of two data sets: each is built with its own weights, images, classes and choice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from natdeploy.data import load_dataset
from natdeploy.deploy import build, verify_bundle
from natdeploy.deploy.weights import run_weights
from natdeploy.devices import load_profile
from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import read_json, sha256_file, write_json
from natdeploy.measure import MeasurementStore
from natdeploy.runs import RunFolder, ServedRun
from natdeploy.runs.folder import CONFIG, SUMMARY, write_items
from natdeploy.spaces import costs
from natdeploy.supernets import build_supernet, save_supernet
from tests.deploy.made_run import make_run, small_archs
from tests.deploy.stand_ins import SPACE

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Digits, and shades of three classes, on which the architecture that is worst on digits is best."""
    folder = tmp_path_factory.mktemp("runs")
    run = make_run(
        folder / "run", load_profile("host"), MeasurementStore(folder / "m.sqlite"), budget_ms=1000.0, speed=1e-4
    )
    write_shades(folder / "shades.npz", seed=0)
    weights = run.result_path / "tasks" / "shades" / "supernet.safetensors"
    weights.parent.mkdir(parents=True)
    torch.manual_seed(1)
    save_supernet(weights, build_supernet(SPACE, 3), {"made": "for a test"})
    config = {**read_json(run.path / CONFIG, "run"), "further_data": {"shades": str(folder / "shades.npz")}}
    digests = {"": run.data_fingerprint, "shades": load_dataset(str(folder / "shades.npz"), seed=0).fingerprint}
    for name, entries in (("archive.json", run.archive()), ("front.json", run.front())):
        more = [{"top1:shades": 7.35 - 8 * one.top1, "loss:shades": 1.0, "val_images:shades": 400.0} for one in entries]
        write_items(run.result_path / name, [replace(one, more=figures) for one, figures in zip(entries, more)])
    write_json(run.result_path / SUMMARY, {"data_fingerprint": "of both", "data_fingerprints": digests})
    write_json(run.path / CONFIG, config)
    return run


def write_shades(path: Path, seed: int) -> None:
    labels = np.arange(90) % 3
    pixels = np.random.default_rng(seed).integers(0, 120, (90, 12, 12, 3), dtype=np.uint8)
    pixels += (60 * labels).astype(np.uint8)[:, None, None, None]
    np.savez(path, images=pixels, labels=labels, classes=np.array(["dark", "grey", "light"]))


def test_a_further_data_set_ships_its_own_model(run: RunFolder, tmp_path: Path) -> None:
    said: list[str] = []
    store = MeasurementStore(tmp_path / "m.sqlite")
    (bundle,) = build(run, task="shades", store=store, progress=lambda stage, _: said.append(stage))
    manifest, arch = bundle.manifest, small_archs()[0]
    assert manifest.model.arch_id == arch.id  # the best one on shades, the worst one on digits
    assert manifest.name == bundle.path.name == f"host-{arch.id}-shades"
    assert manifest.provenance.task == "shades" and "building for the data set shades" in said
    weights = run.result_path / "tasks" / "shades" / "supernet.safetensors"
    assert manifest.provenance.supernet_sha256 == sha256_file(weights)
    assert read_json(bundle.path / "labels.json", "labels") == ["dark", "grey", "light"]
    cost = costs(SPACE.layers(arch, 3))
    assert (manifest.model.num_classes, manifest.model.macs, manifest.model.params) == (3, cost.macs, cost.params)
    assert {one.split: one.images for one in manifest.accuracy} == {"val": 12, "test": 18}
    assert verify_bundle(bundle.path).manifest == manifest
    assert "(`shades` in a search of several data sets)" in (bundle.path / "README.md").read_text()


def test_each_data_set_comes_with_its_weights_and_must_be_as_it_was(run: RunFolder) -> None:
    def weights(task: str):
        served = ServedRun(run, task=task)
        return run_weights(served, served.config(), None, None, lambda stage, fraction: None)

    own, shades = weights(""), weights("shades")
    assert (own.supernet.num_classes, len(own.dataset.classes), own.dataset.name) == (10, 10, "digits")
    assert (shades.supernet.num_classes, shades.dataset.classes) == (3, ("dark", "grey", "light"))
    images = Path(run.config().further_data["shades"])
    before = images.read_bytes()
    try:
        write_shades(images, seed=1)
        assert weights("").dataset.name == "digits"  # the other one's images are nothing to it
        with pytest.raises(BadInput, match=r"data '.*shades\.npz' has changed since the search"):
            weights("shades")
    finally:
        images.write_bytes(before)


def test_an_unknown_data_set_is_named(run: RunFolder) -> None:
    with pytest.raises(BadInput, match="no further data set is named 'zoo': its further data sets are shades"):
        build(run, task="zoo")
