"""Executables of small networks for processors that are not here, made once a session."""

import platform
import shutil
from pathlib import Path

import numpy as np
import pytest

from natdeploy.compiler import Artifact, build_artifacts, make_network_plan
from natdeploy.spaces import Layer, Network, random_network

LAYERS = (
    Layer("a", "conv", ("input",), 3, 8, 8, 16, 4, 4, 3, 2, activation="hswish"),
    Layer("b", "pool", ("a",), 16, 4, 4, 16, 1, 1),
    Layer("c", "linear", ("b",), 16, 1, 1, 5, 1, 1, bias=True),
)
AARCH64 = {"kind": "llvm", "mtriple": "aarch64-linux-gnu", "mcpu": "cortex-a53"}
ARM = {"kind": "llvm", "mtriple": "armv7l-linux-gnueabihf", "mcpu": "cortex-a7", "mattr": ["+neon", "+vfp4"]}
HERE = {
    "kind": "llvm",
    "mtriple": f"{platform.machine()}-linux-gnu",
    "mcpu": "x86-64-v3" if platform.machine() == "x86_64" else "generic",
}


def network() -> Network:
    return random_network(LAYERS, seed=3)


def image(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((1, 3, 8, 8), dtype=np.float32)


def executable(target: dict, folder: Path) -> Artifact:
    plan = make_network_plan(network(), target=target)
    return build_artifacts(plan, folder, kinds=("executable",))["executable"]


def emulator(name: str) -> str:
    """Path of an emulator; skips the test where it is not installed."""
    found = shutil.which(f"qemu-{name}") or shutil.which(f"qemu-{name}-static")
    if found is None:
        pytest.skip(f"qemu-{name} is not installed (Debian: apt install qemu-user-static)")
    return found


def reference(x: np.ndarray) -> np.ndarray:
    weights = network().weights
    padded = np.pad(x[0].astype(np.float64), ((0, 0), (1, 1), (1, 1)))
    out = np.zeros((16, 4, 4))
    for row in range(4):
        for column in range(4):
            patch = padded[:, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
            out[:, row, column] = np.tensordot(weights["a.weight"], patch, 3) + weights["a.bias"]
    out = out * np.clip(out + 3, 0, 6) / 6
    return (weights["c.weight"] @ out.mean(axis=(1, 2)) + weights["c.bias"])[None]
