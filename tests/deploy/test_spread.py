"""Kernels compiled elsewhere are the ones that a build finds in its cache."""

from pathlib import Path

import pytest

from natdeploy.compiler import KernelCache, build_native, tuning_of
from natdeploy.deploy.spread import compile_on, compile_there
from natdeploy.devices import llvm_target, load_profile
from natdeploy.ground.cluster import connected
from natdeploy.spaces import get_space, random_network

SPACE = get_space("mbv3-micro")


class NothingNew(KernelCache):
    """A cache that is only read."""

    def put(self, key: str, code: bytes) -> None:
        raise AssertionError(f"{key} was compiled again")


def test_a_worker_gives_back_all_kernels_of_a_network(tmp_path: Path) -> None:
    profile = load_profile("host")
    target, tuning = dict(llvm_target(profile)), tuning_of(profile)
    found = compile_there(SPACE.smallest().to_json(), 7, target, tuning)
    cache = KernelCache(tmp_path / "cache")
    for key, code in found.items():
        cache.put(key, code)
    network = random_network(SPACE.layers(SPACE.smallest(), 7))
    built = build_native(network, target=target, folder=tmp_path, cache=NothingNew(cache.root), tuning=tuning)
    assert built.path.is_file() and len(found) > 10


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
