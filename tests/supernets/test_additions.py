"""A toy package that adds a space and its supernet through entry points, as another project would."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from natdeploy.ground.errors import BadInput
from natdeploy.runs import RunConfig
from natdeploy.spaces import SPACES, costs, get_space
from natdeploy.supernets import build_supernet, extract, load_supernet, save_supernet, to_network

MODULE = '''\
"""Two genes: resolution, and the width of the one hidden layer."""

import dataclasses

import numpy as np
import torch
from torch import nn

from natdeploy.ground.errors import BadInput
from natdeploy.spaces import Arch, Layer
from natdeploy.supernets import Subnet

WIDTHS = (4, 8, 16)


@dataclasses.dataclass(frozen=True)
class Toy:
    name: str = "toy"
    resolutions: tuple = (8, 16)
    num_classes: int = 3

    @property
    def gene_sizes(self):
        return (len(self.resolutions), len(WIDTHS))

    def decode(self, genome):
        r, width = (int(gene) for gene in self.repair(genome))
        return Arch(self.name, (), (WIDTHS[width],), (1,), self.resolutions[r], 1.0)

    def encode(self, arch):
        self.check(arch)
        return np.array([self.resolutions.index(arch.r), WIDTHS.index(arch.e[0])], np.int64)

    def repair(self, genome):
        return np.array(genome, np.int64) % np.array(self.gene_sizes)

    def check(self, arch):
        if arch.space != self.name or arch.r not in self.resolutions or arch.e[0] not in WIDTHS:
            raise BadInput(f"space toy: no such architecture: {arch}")

    def sample(self, rng, *, uniform="gene"):
        return self.decode([rng.integers(size) for size in self.gene_sizes])

    def at_resolutions(self, resolutions):
        return dataclasses.replace(self, resolutions=tuple(resolutions)) if resolutions else self

    def smallest(self):
        return self.decode([0, 0])

    def largest(self):
        return self.decode([len(self.resolutions) - 1, len(WIDTHS) - 1])

    def layers(self, arch, num_classes=None):
        c, r, half = arch.e[0], arch.r, arch.r // 2
        classes = num_classes or self.num_classes
        return (
            Layer("stem", "conv", ("input",), 3, r, r, c, half, half, 3, 2, activation="relu", bias=True),
            Layer("pool", "pool", ("stem",), c, half, half, c, 1, 1),
            Layer("head", "linear", ("pool",), c, 1, 1, classes, 1, 1, bias=True),
        )

    def factored(self, arch):
        return np.array([arch.r, arch.e[0]], np.float64)


class Supernet(nn.Module):
    def __init__(self, space, num_classes):
        super().__init__()
        self.space, self.num_classes = space, num_classes
        self.stem = nn.Conv2d(3, WIDTHS[-1], 3, 2, 1)
        self.reset_classifier(num_classes)
        self.set_active(space.largest())

    def reset_classifier(self, num_classes):
        self.num_classes = num_classes
        self.head = nn.Linear(WIDTHS[-1], num_classes)

    def set_active(self, arch):
        self.space.check(arch)
        self.active = arch

    def forward(self, x):
        c = self.active.e[0]
        x = torch.relu(nn.functional.conv2d(x, self.stem.weight[:c], self.stem.bias[:c], 2, 1)).mean((2, 3))
        return nn.functional.linear(x, self.head.weight[:, :c], self.head.bias)

    def extract(self, arch):
        c, subnet = arch.e[0], Subnet(self.space.layers(arch, self.num_classes))
        state = {"stem.conv.weight": self.stem.weight[:c], "stem.conv.bias": self.stem.bias[:c]}
        state |= {"head.weight": self.head.weight[:, :c], "head.bias": self.head.bias}
        subnet.load_state_dict({name: value.detach().clone() for name, value in state.items()})
        return subnet
'''
METADATA = "Metadata-Version: 2.1\nName: toy-nas\nVersion: 1.0\n"
ENTRY_POINTS = "[natdeploy.space]\ntoy = toy_nas:Toy\n[natdeploy.supernet]\ntoy = toy_nas:Supernet\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The toy as pip would leave it: a module, and the metadata beside it."""
    site = tmp_path / "site"
    (site / "toy_nas-1.0.dist-info").mkdir(parents=True)
    (site / "toy_nas.py").write_text(MODULE)
    (site / "toy_nas-1.0.dist-info" / "METADATA").write_text(METADATA)
    (site / "toy_nas-1.0.dist-info" / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(str(site))
    importlib.invalidate_caches()
    yield site
    sys.modules.pop("toy_nas", None)


def test_the_space_is_known_by_its_name(package: Path) -> None:
    assert SPACES.names()[-1] == "toy" and "toy" in RunConfig(space="toy", latency_ms=1, resolutions=[8]).space
    space = get_space("toy")
    rng = np.random.default_rng(0)
    for _ in range(20):
        arch = space.sample(rng)
        assert space.decode(space.encode(arch)) == arch
    assert costs(space.layers(space.largest())).macs > costs(space.layers(space.smallest())).macs


def test_its_supernet_is_built_kept_and_taken_apart(package: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    supernet: Any = build_supernet(get_space("toy"), 5)
    save_supernet(tmp_path / "toy.safetensors", supernet, {"made": "for a test"})
    again: Any = load_supernet(tmp_path / "toy.safetensors")
    assert (again.space.name, again.num_classes) == ("toy", 5)
    for genome in ([0, 0], [1, 1], [1, 2]):
        arch = again.space.decode(genome)
        again.set_active(arch)
        subnet, images = extract(again, arch), torch.rand(2, 3, arch.r, arch.r)
        with torch.inference_mode():
            torch.testing.assert_close(subnet(images), again(images))
        assert to_network(subnet).output_shape == (1, 5)
    assert load_supernet(tmp_path / "toy.safetensors", 7).num_classes == 7


def test_it_is_there_with_its_package_and_gone_without(package: Path) -> None:
    said = "from natdeploy.spaces import get_space; print(get_space('toy').name, len(get_space('toy').gene_sizes))"
    command = [sys.executable, "-c", said]
    found = subprocess.run(command, env={"PYTHONPATH": str(package)}, capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["toy", "2"]
    without = subprocess.run(command, env={}, capture_output=True, text=True, check=False)
    assert "unknown space 'toy'; known: mbv3-micro" in without.stderr


def test_natdeploys_own_names_cannot_be_replaced(package: Path) -> None:
    points = package / "toy_nas-1.0.dist-info" / "entry_points.txt"
    points.write_text("[natdeploy.space]\nmbv3-micro = toy_nas:Toy\n")
    importlib.invalidate_caches()
    assert get_space("mbv3-micro").name == "mbv3-micro" and SPACES.names().count("mbv3-micro") == 1


def test_without_a_supernet_a_space_says_so(package: Path) -> None:
    points = package / "toy_nas-1.0.dist-info" / "entry_points.txt"
    points.write_text("[natdeploy.space]\ntoy = toy_nas:Toy\n")
    importlib.invalidate_caches()
    with pytest.raises(BadInput, match="there is no supernet for this space"):
        build_supernet(get_space("toy"))
