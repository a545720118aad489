"""Evaluation of subnets on the machines of a Ray cluster."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from natdeploy.ground.cluster import Cluster, Task
from natdeploy.ground.files import sha256_bytes
from natdeploy.runs import RunConfig
from natdeploy.search.evaluator import Accuracy, SupernetEvaluator
from natdeploy.spaces import Arch

if TYPE_CHECKING:
    from natdeploy.data import Dataset
    from natdeploy.supernets import MobileNetV3Supernet
    from natdeploy.transfer import Accuracy as Measured
    from natdeploy.transfer import Adaptation


class SpreadEvaluator(SupernetEvaluator):
    """A supernet that adapts here and whose subnets are evaluated on a cluster.

    Each machine reads the images by itself, from the same path. Evaluation there takes one processor; sums, and so the
    last digits of a loss, depend on their number.
    """

    def __init__(self, adaptation: Adaptation, dataset: Dataset, config: RunConfig, cluster: Cluster) -> None:
        super().__init__(adaptation, dataset, config)
        self._cluster = cluster
        self._under_way: dict[Arch, Task[tuple[Measured, list[str]]]] = {}

    def prepare(self, archs: Sequence[Arch]) -> None:
        """Hand out the evaluation of all, with the present weights."""
        from natdeploy.supernets import save_supernet

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "supernet.safetensors"
            save_supernet(path, self._adaptation.evaluated, {})
            weights = path.read_bytes()
        job = self._cluster.share((weights, sha256_bytes(weights), self._config.model_dump(mode="json"), os.getcwd()))
        fingerprint = self._dataset.fingerprint
        self._under_way = {
            arch: self._cluster.submit(evaluate_there, job, arch.to_json(), fingerprint) for arch in archs
        }

    def evaluate(self, arch: Arch) -> Accuracy:
        """What the cluster found; here, where it was not asked or its answer has been taken before."""
        task = self._under_way.pop(arch, None)
        if task is None:
            return super().evaluate(arch)
        found, told = task.result()
        for what in told:
            self._say(f"on the cluster: {what}")
        return found


def evaluate_there(job: tuple[bytes, str, Any, str], arch: Any, fingerprint: str) -> tuple[Measured, list[str]]:
    """On a worker: accuracy of one subnet, and what was said. Raises BadInput where the images are not the same."""
    import torch

    from natdeploy.ground.errors import BadInput
    from natdeploy.transfer import Calibration, evaluate_arch, shows_mirrored

    weights, digest, value, folder = job
    config = RunConfig(**value)
    torch.set_num_threads(1)
    if Path(folder).is_dir():
        os.chdir(folder)  # paths are the searching process's
    dataset = _dataset(config.data, config.seed)
    if dataset.fingerprint != fingerprint:
        raise BadInput(f"data {config.data!r}: other images on a machine of the cluster than where the search runs")
    supernet = _Supernets.get(weights, digest, config)
    calibration, told = Calibration.of(config.adapt, config.seed), list[str]()
    mirrored = shows_mirrored(config.adapt, dataset)
    found = evaluate_arch(supernet, Arch.from_json(arch), dataset, calibration, mirrored=mirrored, say=told.append)
    return found, told


@lru_cache(maxsize=12)
def _dataset(source: str, seed: int) -> Dataset:
    from natdeploy.data import load_dataset

    return load_dataset(source, seed=seed)


class _Supernets:
    """The last weights that this worker was given: it evaluates many subnets of one generation."""

    _digest = ""
    _supernet: MobileNetV3Supernet | None = None

    @classmethod
    def get(cls, weights: bytes, digest: str, config: RunConfig) -> MobileNetV3Supernet:
        """The supernet of these weights."""
        from natdeploy.supernets import load_supernet

        if cls._supernet is None or cls._digest != digest:
            with tempfile.NamedTemporaryFile(suffix=".safetensors") as file:
                file.write(weights)
                file.flush()
                cls._supernet = load_supernet(file.name, resolutions=config.resolutions)
            cls._digest = digest
        return cls._supernet
