"""A search without torch: accuracy and latency as known functions of the architecture, and their child script."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from natdeploy.devices.power import PowerModel
from natdeploy.ground.files import write_json
from natdeploy.runs import RunConfig
from natdeploy.search import search
from natdeploy.spaces import Arch, get_space

SPACE = get_space("mbv3-micro")
IMAGES = 500


@dataclass(frozen=True)
class Prediction:
    mean_ms: np.ndarray
    lower_ms: np.ndarray
    upper_ms: np.ndarray


class Latency:
    """Each block costs by its kernel and width, times the image's area; the interval is a tenth to both sides.

    The device "deep" takes long for each block, whatever its width. Classes beyond ten cost a thousandth of it each.
    """

    def __init__(self, device: str = "host") -> None:
        self.device = device

    def predict(self, archs: Sequence[Arch], *, num_classes: int | None = None) -> Prediction:
        per_block = 0.5 if self.device == "deep" else 0.0
        classifier = 1e-3 * ((num_classes or 10) - 10)
        mean = np.array([true_latency_ms(arch) + per_block * len(arch.ks) + classifier for arch in archs])
        return Prediction(mean, mean * 0.9, mean * 1.1)

    def save(self, path: Path) -> None:
        write_json(path, {"per_macs": 1e-6})


@dataclass(frozen=True)
class Accuracy:
    top1: float
    loss: float
    images: int = IMAGES


def true_latency_ms(arch: Arch) -> float:
    return (arch.r / 32) ** 2 * (1 + sum(0.02 + 0.1 * e + 0.02 * k for k, e in zip(arch.ks, arch.e)))


def true_accuracy(arch: Arch) -> float:
    """Grows with size, with less and less gain; some genes count more than they cost."""
    genes = SPACE.factored(arch)[2:].reshape(-1, 3)
    gain = (genes[:, 0] * (0.4 + 0.1 * genes[:, 1] + 0.25 * genes[:, 2]) * np.linspace(0.5, 1.5, len(genes))).sum()
    return float(1 - 0.5 * np.exp(-gain / 25) - 0.02 * (32 - arch.r) / 8)


class Weights:
    """Weights that are only a number of adaptations; adapting helps all, and most what is often drawn."""

    def __init__(self, config: RunConfig, drawn: dict[str, int] | None = None, generation: int = 0) -> None:
        self.config, self.generation = config, generation
        self.drawn = drawn or {}
        self.num_classes, self.data_fingerprint = {"many": 500}.get(config.data, 10), "synthetic"
        #: Other data sets are harder, and deep networks gain nothing on those named shallow.
        self.harder = {"digits": 0.0}.get(config.data, 0.05)
        self.evaluated: list[Arch] = []
        self.fail: Callable[[Arch], bool] = lambda arch: False

    def evaluate(self, arch: Arch) -> Accuracy:
        self.evaluated.append(arch)
        if self.fail(arch):
            raise RuntimeError("no such kernel")
        noise = np.random.default_rng([int(arch.id, 16), self.generation]).normal(0, 0.003)
        top1 = true_accuracy(arch) - 0.03 * 0.5**self.generation + noise - self.harder
        if self.config.data == "shallow":
            top1 -= 0.03 * len(arch.ks)
        top1 = round(float(np.clip(top1, 0, 1)) * IMAGES) / IMAGES
        return Accuracy(top1, 2 * (1.01 - top1))

    def warm_up(self, progress: object) -> None:
        self.drawn["warm-up"] = 1

    def adapt(self, iteration: int, sample: Callable[[np.random.Generator], Arch], progress: object) -> None:
        rng = np.random.default_rng([self.config.seed, iteration, 99])
        for _ in range(5):
            arch = sample(rng)
            SPACE.check(arch)
            self.drawn[arch.id] = self.drawn.get(arch.id, 0) + 1
        self.generation += 1

    def save(self, folder: Path) -> None:
        write_json(folder / "supernet.safetensors", {"generation": self.generation, "drawn": self.drawn})


class Synthetic:
    """Surroundings of a synthetic search; ``weights`` is the evaluator last opened."""

    def __init__(self, fail: Callable[[Arch], bool] = lambda arch: False) -> None:
        self.fail, self.opened = fail, 0
        self.weights: Weights | None = None

    def latency_model(self, config: RunConfig) -> Latency:
        return Latency(config.device)

    def load_latency_model(self, path: Path, config: RunConfig) -> Latency:
        assert path.is_file()
        return Latency(config.device)

    def power_model(self, config: RunConfig) -> PowerModel:
        return PowerModel(2.0 if config.device == "host" else 5.0, f"as if of {config.device}")

    def open_evaluator(self, config: RunConfig, state: Path | None) -> Weights:
        saved = {} if state is None else json.loads((state / "supernet.safetensors").read_text())
        self.weights = Weights(config, saved.get("drawn"), saved.get("generation", 0))
        self.weights.fail = self.fail
        self.opened += 1
        return self.weights


SMALL = {"initial": 12, "iterations": 3, "candidates": 4, "archive": 18, "population": 20, "surrogate_evaluations": 200}


def small_config(**fields: object) -> RunConfig:
    search_fields = {**SMALL, **fields.pop("search", {})}
    return RunConfig(**{"latency_ms": 5.0, "seed": 3, "threads": 1, **fields}, search=search_fields)


class KilledWeights(Weights):
    """Kills its own process, as ``kill -9`` would, at the call whose number it was given."""

    left = 0

    def evaluate(self, arch: Arch) -> Accuracy:
        KilledWeights.left -= 1
        if KilledWeights.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().evaluate(arch)


def main(out: str, kill_at: str) -> None:
    """Child process: search in ``out`` and die at evaluation ``kill_at`` (0: never)."""
    KilledWeights.left = int(kill_at)

    class Killed(Synthetic):
        def open_evaluator(self, config: RunConfig, state: Path | None) -> Weights:
            weights = super().open_evaluator(config, state)
            return KilledWeights(config, weights.drawn, weights.generation)

    search(small_config(), out, surroundings=Killed())


if __name__ == "__main__":
    main(*sys.argv[1:])
