"""What compile_time.py compares its artifacts with, and the subnets that all benchmarks of the compiler take."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmarks.compile_time import arena_ratio, extra_bytes
from benchmarks.subnets import RESOLUTIONS, SPACES, every_workload, random_archs, random_subnets, wider_space
from natdeploy.compiler.kernels.producer import PRODUCER
from natdeploy.spaces import get_space, random_network


def workloads(networks) -> set[str]:
    return {repr(sorted(step.workload.items())) for layers in networks for step in PRODUCER.steps(layers)}


@pytest.mark.parametrize("space", SPACES)
def test_uniform_networks_have_every_workload_of_a_space(space: str) -> None:
    everything = workloads(every_workload(space, 224))
    rng = np.random.default_rng(0)
    layers = [get_space(space).layers(get_space(space).decode(at_224(space, rng))) for _ in range(30)]
    assert workloads(layers) <= everything
    assert len(everything) > 100 and everything != workloads(every_workload(space, 192))


def at_224(space: str, rng: np.random.Generator) -> np.ndarray:
    genome = get_space(space).encode(get_space(space).sample(rng)).copy()
    genome[0] = get_space(space).resolutions.index(224)
    return genome


def test_archs_take_turns() -> None:
    archs = random_archs(12, seed=4)
    assert {(arch.w, arch.r) for arch in archs} == {(w, r) for w in (1.0, 1.2) for r in RESOLUTIONS}
    assert archs == random_archs(12, seed=4) != random_archs(12, seed=5)
    assert {arch.r for arch in random_archs(5, 0, (160,))} == {160}


def test_subnets_give_torchs_logits_and_are_seeded() -> None:
    archs = random_archs(1, 3, (160,))
    (one,), (again,) = list(random_subnets(archs, 3)), list(random_subnets(archs, 3))
    assert one.image.shape == (1, 3, 160, 160) and np.array_equal(one.image, again.image)
    for name, weight in one.network.weights.items():
        assert np.array_equal(weight, again.network.weights[name])
    with torch.no_grad():
        logits = one.module(torch.from_numpy(one.image)).numpy()
    assert 0.01 < logits.std() < 100  # of a size that a comparison can be relative to
    assert one.network.layers == wider_space(SPACES[0]).layers(archs[0])


def test_excess_is_over_what_a_network_needs(tmp_path: Path) -> None:
    space = get_space("mbv3-micro")
    network = random_network(space.layers(space.smallest()))
    (tmp_path / "model_run").write_bytes(bytes(sum(w.size for w in network.weights.values()) * 4 + 17))
    assert extra_bytes(tmp_path / "model_run", network) == 17
    outputs = {layer.name: layer.out_elements for layer in network.layers}
    assert 1 <= arena_ratio(SimpleNamespace(arena_bytes=4 * sum(outputs.values())), network) < len(outputs)
