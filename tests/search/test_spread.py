"""A search whose subnets are evaluated on a Ray cluster finds what it finds without one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch

from natdeploy.ground.cluster import connected
from natdeploy.ground.errors import BadInput
from natdeploy.runs import RunConfig, RunFolder
from natdeploy.search import search
from natdeploy.search.evaluation import evaluate_all
from natdeploy.search.spread import SpreadEvaluator, evaluate_there
from natdeploy.spaces import get_space
from natdeploy.supernets import Subnet
from tests.search.make import estimator
from tests.search.small_run import small_run
from tests.search.test_supernet_evaluator import Here


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    sizes = {"initial": 6, "candidates": 2, "archive": 6, "random_baseline": False}
    return small_run(tmp_path, images=90, classes=3, **sizes)


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
    assert killed
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


class Direct:
    """A cluster of this very process."""

    def share(self, value: object) -> object:
        return value

    def submit(self, function: Callable, *arguments: object) -> SimpleNamespace:
        return SimpleNamespace(result=lambda: function(*arguments))


def test_what_a_worker_has_to_say_is_said_here(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker is short of memory; its accuracy counts all the same."""
    real = Subnet.forward

    def forward(network: Subnet, images: torch.Tensor) -> torch.Tensor:
        if len(images) > 10:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(network, images)

    told: list[str] = []
    evaluator = Here(Direct()).open_evaluator(config, None)  # type: ignore[arg-type]
    arch = get_space("mbv3-micro").smallest()
    monkeypatch.setattr(Subnet, "forward", forward)
    entries, failures = evaluate_all(
        evaluator, estimator()([arch]), generation=0, stage="x", progress=lambda what, _: told.append(what)
    )
    assert len(entries) == 1 and not failures
    assert told[0] == f"x: on the cluster: out of memory while calibrating {arch.id}: on with batches of 10 images"
    here = Here().open_evaluator(config, None).evaluate(arch)
    assert (entries[0].top1, entries[0].loss) == (here.top1, pytest.approx(here.loss))


def test_other_images_on_a_worker_are_refused(config: RunConfig, tmp_path: Path) -> None:
    weights = (tmp_path / "supernet.safetensors").read_bytes()
    job = (weights, "digest", config.model_dump(mode="json"), str(tmp_path))
    arch = get_space("mbv3-micro").smallest().to_json()
    with pytest.raises(BadInput, match="other images on a machine of the cluster"):
        evaluate_there(job, arch, "another fingerprint")


def test_mirror_images_are_validated_on_a_worker_as_here(config: RunConfig) -> None:
    adapt = config.adapt.model_copy(update={"augmentation": "crop-flip", "validate_on": "mirrored"})
    mirrored = config.model_copy(update={"adapt": adapt})
    plain = mirrored.model_copy(update={"adapt": adapt.model_copy(update={"validate_on": "plain"})})
    arch = get_space("mbv3-micro").smallest()
    there = Here(Direct()).open_evaluator(mirrored, None)  # type: ignore[arg-type]
    assert isinstance(there, SpreadEvaluator)
    there.prepare([arch])
    here = Here().open_evaluator(mirrored, None).evaluate(arch)
    assert there.evaluate(arch).loss == pytest.approx(here.loss)
    assert here.loss != pytest.approx(Here().open_evaluator(plain, None).evaluate(arch).loss, rel=1e-6)
