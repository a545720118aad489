"""A search whose subnets are evaluated on a Ray cluster finds what it finds without one."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from natdeploy.ground.cluster import connected
from natdeploy.ground.errors import BadInput
from natdeploy.runs import RunConfig, RunFolder
from natdeploy.search import search
from natdeploy.search.spread import evaluate_there
from natdeploy.spaces import get_space
from natdeploy.supernets import build_supernet, save_supernet
from tests.search.test_supernet_evaluator import Here


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    images = rng.integers(0, 120, (90, 12, 12, 3), dtype=np.uint8) + (labels * 60).astype(np.uint8)[:, None, None, None]
    np.savez(tmp_path / "shades.npz", images=images, labels=labels)
    torch.manual_seed(0)
    save_supernet(tmp_path / "supernet.safetensors", build_supernet(get_space("mbv3-micro"), 3), {})
    sizes = {"initial": 6, "iterations": 1, "candidates": 2, "archive": 6, "population": 8, "surrogate_evaluations": 16}
    return RunConfig(
        data=str(tmp_path / "shades.npz"),
        supernet=str(tmp_path / "supernet.safetensors"),
        latency_ms=5.0,
        threads=1,
        search={**sizes, "surrogate": "ridge", "random_baseline": False},
        adapt={"warm_up_epochs": 1, "epochs_per_iteration": 1, "calibration_images": 20},
    )


def found(run: RunFolder) -> list[tuple[str, float, int]]:
    return [(entry.arch.id, entry.top1, entry.generation) for entry in run.archive()]


@pytest.mark.slow  # the workers import torch
def test_workers_that_are_killed_lose_nothing(config: RunConfig, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    alone = search(config, tmp_path / "alone", surroundings=Here())
    killed: list[int] = []
    over = threading.Event()

    def kill_some() -> None:
        while not over.wait(0.05) and len(killed) < 2:
            for process in psutil.Process().children(recursive=True):
                try:
                    if "evaluate_there" in " ".join(process.cmdline()) and process.pid not in killed:
                        process.kill()
                        killed.append(process.pid)
                        break
                except psutil.Error:
                    continue

    with connected("local") as cluster:
        killer = threading.Thread(target=kill_some)
        killer.start()
        try:
            together = search(config, tmp_path / "together", surroundings=Here(cluster))
        finally:
            over.set()
            killer.join()
    assert len(killed) == 2
    assert found(together) == found(alone)
    assert together.summary()["failed"] == []


class Gone:
    """A cluster whose every task is lost for good."""

    def share(self, value: object) -> object:
        return value

    def submit(self, function: object, *arguments: object) -> Gone:
        return self

    def result(self) -> None:
        raise RuntimeError("evaluate_there: the worker died six times")


def test_what_a_cluster_loses_for_good_is_evaluated_here(config: RunConfig, tmp_path: Path) -> None:
    alone = search(config, tmp_path / "alone", surroundings=Here())
    lost = search(config, tmp_path / "lost", surroundings=Here(Gone()))  # type: ignore[arg-type]
    assert found(lost) == found(alone) and lost.summary()["failed"] == []


def test_other_images_on_a_worker_are_refused(config: RunConfig, tmp_path: Path) -> None:
    weights = (tmp_path / "supernet.safetensors").read_bytes()
    job = (weights, "digest", config.model_dump(mode="json"), str(tmp_path))
    arch = get_space("mbv3-micro").smallest().to_json()
    with pytest.raises(BadInput, match="other images on a machine of the cluster"):
        evaluate_there(job, arch, "another fingerprint")
