"""What a job reads, as digests: every data set counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from natdeploy.runs import JobConfig
from natdeploy.verbs.ci.inputs import job_inputs
from tests.measure.phones import own_home


def write(path: Path, seed: int) -> str:
    pixels = np.random.default_rng(seed).integers(0, 256, (30, 8, 8, 3), np.uint8)
    np.savez(path, images=pixels, labels=np.arange(30) % 3)
    return str(path)


def test_other_images_of_any_data_set_are_other_inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_home(tmp_path / "home", monkeypatch)
    own, further = write(tmp_path / "own.npz", 0), write(tmp_path / "further.npz", 1)
    alone = job_inputs(JobConfig(latency_ms=2, data=own))
    both = JobConfig(latency_ms=2, data=own, further_data={"more": further})
    before = job_inputs(both)
    assert before == job_inputs(both) and before.data != alone.data
    write(tmp_path / "further.npz", 2)
    after = job_inputs(both)
    assert after.data not in (before.data, alone.data) and after.supernet == before.supernet
