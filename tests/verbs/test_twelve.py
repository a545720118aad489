"""The study of twelve objectives in small: examples/twelve-small.yaml on the data sets that its script makes."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

from natdeploy import verbs
from natdeploy.data import load_dataset
from natdeploy.deploy import read_manifest
from natdeploy.runs import RunFolder, load_job
from natdeploy.search import search
from natdeploy.verbs.search import search_job
from tests.devices.boards import emulator
from tests.report.page import Page
from tests.search.synthetic import Synthetic

EXAMPLES = Path(__file__).parents[2] / "examples"
SMALL = EXAMPLES / "twelve-small.yaml"
MAKE = runpy.run_path(str(EXAMPLES / "eleven_digits.py"))["make"]


def test_the_script_makes_the_data_sets_that_the_job_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    job = load_job(SMALL)
    paths = {str(path) for path in MAKE(Path("eleven-digits"), 120)}
    assert paths == {job.data, *job.further_data.values()} and len(paths) == 11
    sets = {name: load_dataset(source, seed=0) for name, source in [("plain", job.data), *job.further_data.items()]}
    assert {name: len(one.classes) for name, one in sets.items()} == {n: 2 if n == "parity" else 10 for n in sets}
    assert len({one.fingerprint for one in sets.values()}) == 11
    for path in MAKE(Path("again"), 120):
        with np.load(path) as again, np.load(Path("eleven-digits") / path.name) as before:
            assert np.array_equal(again["images"], before["images"])


def test_both_jobs_are_the_papers_study() -> None:
    for name in ("twelve-objectives", "twelve-small"):
        job = load_job(EXAMPLES / f"{name}.yaml")
        assert job.objectives[:2] == ("macs", "top1") and len(job.objectives) == 12
        assert set(job.objectives[2:]) == {f"top1:{task}" for task in job.further_data}
    assert load_job(EXAMPLES / "three-objectives.yaml").objectives == ("top1", "params", "latency_ms")


def test_twelve_objectives_are_searched(tmp_path: Path) -> None:
    """Without weights: what the algorithms make of so many."""
    job = load_job(SMALL, {"search.initial": 16, "search.surrogate_evaluations": 150, "search.surrogate": "ridge"})
    run = search(job.run_config(), tmp_path / "run", surroundings=Synthetic())
    assert len(run.front()) > 5 and run.history()[-1].evaluations == 16 + 2 * 6
    assert len(run.summary()["reference_point"]) == 12 and 0 < run.summary()["hypervolume_last"] < 1


@pytest.mark.slow
def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    MAKE(Path("eleven-digits"), 300)
    sizes = {"search.initial": 8, "search.iterations": 1, "search.candidates": 3, "search.surrogate_evaluations": 100}
    settings = {**sizes, "adapt.warm_up_epochs": 1, "adapt.calibration_images": 64}
    job = load_job(SMALL, {**settings, "out": str(tmp_path / "run")})
    found = search_job(job, None)
    assert len(found.front) >= 3 and "rpi4" in found.caution and "parity" in found.accuracy
    for entry in found.front:
        assert all(0 <= entry.value(name) <= 1 for name in job.objectives[1:])
    weights = [RunFolder(found.run).result_path / "tasks" / name / "supernet.safetensors" for name in job.further_data]
    assert len({path.read_bytes() for path in weights}) == 10
    figures = Page(verbs.report(found.run).report).data["figures"]
    pairs = next(figure for figure in figures if figure["id"] == "pairs")
    assert len(pairs["data"]) == 66
    emulator("aarch64")
    (bundle,) = verbs.build(found.run, task="parity", pick="fastest").bundles
    assert (bundle.task, bundle.path.name) == ("parity", f"rpi4-{bundle.arch_id}-parity")
    assert read_manifest(bundle.path / "manifest.json").model.output_shape == [1, 2]
    assert bundle.val_top1 is not None and bundle.predicted_ms is not None
