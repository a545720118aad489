"""Kernels compiled elsewhere are the ones that a build finds in its cache."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from natdeploy.compiler import KernelCache, build_native, tuning_of
from natdeploy.deploy.spread import compile_on, compile_there, first_choices
from natdeploy.devices import llvm_target, load_profile
from natdeploy.ground.cluster import connected
from natdeploy.ground.errors import BadInput
from natdeploy.runs import ArchiveEntry
from natdeploy.spaces import get_space, random_network

SPACE = get_space("mbv3-micro")


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path_factory.mktemp("home")))


class NothingNew(KernelCache):
    """A cache that is only read."""

    def put(self, key: str, code: bytes) -> None:
        raise AssertionError(f"{key} was compiled again")


def test_a_worker_gives_back_all_kernels_of_a_network(tmp_path: Path) -> None:
    profile = load_profile("host")
    target, tuning = dict(llvm_target(profile)), tuning_of(profile)
    found = compile_there(SPACE.smallest().to_json(), 7, target, tuning)
    assert compile_there(SPACE.smallest().to_json(), 7, target, tuning) == found  # from its own cache
    cache = KernelCache(tmp_path / "cache")
    for key, code in found.items():
        cache.put(key, code)
    network = random_network(SPACE.layers(SPACE.smallest(), 7))
    built = build_native(network, target=target, folder=tmp_path, cache=NothingNew(cache.root), tuning=tuning)
    assert built.path.is_file() and len(found) > 10


def test_each_architecture_that_a_build_begins_with_is_compiled_once(tmp_path: Path) -> None:
    archs = [replace(SPACE.smallest(), r=resolution) for resolution in SPACE.resolutions]
    figures = {"loss": 0.5, "val_images": 100, "macs": 1, "params": 1, "peak_activation_bytes": 1, "generation": 1}
    entries = [
        ArchiveEntry(
            arch=arch,
            top1=top1,
            latency_ms=top1,
            latency_lower_ms=top1,
            latency_upper_ms=top1,
            feasible=True,
            **figures,
        )
        for arch, top1 in zip(archs, (0.8, 0.9, 0.7))
    ]
    config = SimpleNamespace(latency_ms=1.0)
    run = SimpleNamespace(front=lambda: entries, archive=lambda: entries, config=lambda: config)
    front = [entry.arch for entry in run.front()]
    assert len(front) > 1
    assert first_choices(run, ["front"]) == front
    best = archs[1]
    assert first_choices(run, ["best"]) == first_choices(run, ["best", best.id]) == [best]
    assert set(first_choices(run, ["best", "front"])) == set(front)
    with pytest.raises(BadInput, match="nonsense"):
        first_choices(run, ["nonsense"])


def test_kernels_of_graphics_processors_are_left_to_the_build() -> None:
    assert compile_on(SimpleNamespace(), [SPACE.smallest()], 7, load_profile("pixel4-gpu")) == 0


@pytest.mark.slow
def test_a_cluster_compiles_several_networks(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    profile = load_profile("host")
    cache = KernelCache(tmp_path)
    with connected("local") as cluster:
        assert cluster is not None
        count = compile_on(cluster, [SPACE.smallest(), SPACE.largest()], 7, profile, cache)
    assert count == len(list(tmp_path.rglob("*.o")))
    network = random_network(SPACE.layers(SPACE.largest(), 7))
    options = {"target": llvm_target(profile), "cache": NothingNew(tmp_path), "tuning": tuning_of(profile)}
    assert build_native(network, folder=tmp_path / "built", **options).path.is_file()
