"""The path of a user with Once-for-All's own checkpoint: the full-size space, from a file under its names."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from natdeploy.runs import RunFolder
from natdeploy.spaces import get_space
from natdeploy.supernets import build_supernet, save_supernet

SAMPLE = Path(__file__).parents[2].parent / "shared" / "data" / "imagenet_sample"
MOST_BYTES = 24 << 30
MOST_SECONDS = 3600


@pytest.mark.slow  # some ten minutes on one core
@pytest.mark.skipif(not SAMPLE.is_dir(), reason="the sample of ImageNet is not beside the checkout")
@pytest.mark.timeout(2 * MOST_SECONDS)
def test_an_iteration_over_the_full_size_space_fits_in_memory_and_survives_a_kill(tmp_path: Path) -> None:
    """200 pictures of ImageNet, random weights; killed within the adaptation, then continued to the end."""
    divide(tmp_path / "images")
    torch.manual_seed(0)
    save_supernet(tmp_path / "weights.safetensors", build_supernet(get_space("ofa-mbv3-w1.0")), {})
    run = tmp_path / "run"
    options = ["--space", "ofa-mbv3-w1.0", "--device", "note10", "--latency-ms", "60", "--out", run]
    options += ["--data", tmp_path / "images", "--supernet", tmp_path / "weights.safetensors"]
    fields = {"initial": 6, "iterations": 1, "candidates": 2, "population": 20, "surrogate_evaluations": 200}
    options += [f"--set=search.{name}={value}" for name, value in fields.items()]
    options += [
        "--set=search.random_baseline=false",
        "--set=adapt.warm_up_epochs=0",
        "--set=adapt.calibration_images=64",
    ]
    options += ["--set=adapt.epochs_per_iteration=1", "--set=adapt.batch_size=32", "--json"]
    command = [sys.executable, "-m", "natdeploy.cli.main", "search", *map(str, options)]
    environment = {**os.environ, "NATDEPLOY_HOME": str(tmp_path / "home")}

    first = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        wait_for_steps(first, run, 2)  # the initial archive and the candidates are evaluated
        time.sleep(10)  # well within the adaptation
    finally:
        first.kill()
        first.communicate()
    assert first.returncode == -signal.SIGKILL
    evaluated = len(json.loads((run / "state" / "archive.json").read_text()))
    assert evaluated == 8 and not RunFolder(run).is_finished

    second = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=MOST_SECONDS)
    assert second.returncode == 0, second.stderr
    assert "evaluating the initial archive" not in second.stderr  # that step was finished before
    found = RunFolder(run)
    assert found.is_finished and found.summary()["evaluations"] == 8 and found.summary()["generation"] == 1
    assert all(0 <= entry.top1 <= 1 and entry.latency_upper_ms <= 60 for entry in found.front())
    assert 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < MOST_BYTES
    print(json.loads(second.stdout)["seconds"], resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20, "GiB")


def divide(folder: Path) -> None:
    """160 pictures to train on, 20 to validate, 20 to test; one a class, so they come divided."""
    folder.mkdir()
    names = [item["wnid"] for item in json.loads((SAMPLE / "classes.json").read_text())]
    with np.load(SAMPLE / "images.npz") as arrays:
        blob, offsets, labels = arrays["blob"], arrays["off"].astype(np.int64), arrays["label"]
    order = np.random.default_rng(0).permutation(len(labels))[:200]
    for part, chosen in (("train", order[:160]), ("val", order[160:180]), ("test", order[180:])):
        pieces = [blob[offsets[index] : offsets[index + 1]] for index in chosen]
        ends = np.cumsum([0, *(len(piece) for piece in pieces)])
        np.savez(folder / f"{part}.npz", blob=np.concatenate(pieces), off=ends, label=labels[chosen], classes=names)


def wait_for_steps(process: subprocess.Popen, run: Path, steps: int) -> None:
    """Until so many steps of the search are on disk."""
    ends = time.monotonic() + MOST_SECONDS
    while time.monotonic() < ends:
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        try:
            if json.loads((run / "state" / "state.json").read_text())["steps_done"] >= steps:
                return
        except (FileNotFoundError, ValueError):
            pass
        time.sleep(0.2)
    raise AssertionError(f"{steps} steps were not done in {MOST_SECONDS} s")
