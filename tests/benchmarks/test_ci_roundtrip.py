"""The benchmark of the way through CI: its pipelines are valid, its quick form runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.ci_roundtrip import pipeline_of, write_pipeline
from natdeploy.runs.pipeline import load_pipeline

CHECKOUT = Path(__file__).parents[2]


@pytest.mark.parametrize(("quick", "devices"), [(False, ["host", "pixel4", "rpi4"]), (True, ["host"])])
def test_its_pipelines_are_valid(tmp_path: Path, quick: bool, devices: list[str]) -> None:
    write_pipeline(tmp_path, pipeline_of(seed=5, quick=quick))
    pipeline = load_pipeline(tmp_path / "natdeploy.yaml")
    assert [entry.device for entry in pipeline.entries] == devices
    assert {entry.job.seed for entry in pipeline.entries} == {5}
    assert pipeline.entries[0].job.search.iterations == 1


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_its_quick_form_passes_every_gate() -> None:
    command = [sys.executable, str(CHECKOUT / "benchmarks" / "ci_roundtrip.py"), "--quick", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)["figures"]
    assert figures["bundles"] == 1
    assert (figures["gate_exit_same"], figures["gate_exit_worse"], figures["gates_remeasured_green"]) == (0, 6, 5)
    assert figures["speedup_unchanged"] > 1
