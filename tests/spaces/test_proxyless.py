"""ProxylessNAS's space: genomes, and the networks that Once-for-All released."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from natdeploy.compiler import make_network_plan
from natdeploy.ground.errors import BadInput
from natdeploy.spaces import Arch, blocks, costs, get_space, random_network

SPACE = get_space("ofa-proxyless")
RELEASED = Path(__file__).parents[2].parent / "shared" / "data" / "latency" / "ofa_specialized_nets.csv"


@given(st.integers(0, 2**32 - 1))
def test_genomes_decode_encode_and_repair(seed: int) -> None:
    rng = np.random.default_rng(seed)
    raw = rng.integers(SPACE.gene_sizes)
    genome = SPACE.repair(raw)
    assert np.array_equal(SPACE.repair(genome), genome)
    arch = SPACE.decode(genome)
    assert np.array_equal(SPACE.encode(arch), genome) and SPACE.decode(SPACE.encode(arch)) == arch
    assert Arch.from_json(arch.to_json()) == arch and arch.d[5] == 1
    other = SPACE.sample(rng, uniform="phenotype")
    assert (other == arch) == np.array_equal(SPACE.encode(other), genome)


def test_the_last_stage_has_one_block_whatever_the_genome_says() -> None:
    assert len(SPACE.gene_sizes) == 2 + 5 * 4 + 1
    assert SPACE.smallest().d == (2, 2, 2, 2, 2, 1) and SPACE.largest().d == (4, 4, 4, 4, 4, 1)
    with pytest.raises(BadInput, match="field 'd'"):
        SPACE.check(Arch(SPACE.name, (3,) * 12, (3,) * 12, (2,) * 6, 224, 1.3))


def test_the_space_is_as_large_as_it_should_be() -> None:
    """7,371 choices of each elastic stage, nine of the last: phenotype-uniform depths follow."""
    rng = np.random.default_rng(0)
    depths = np.array([SPACE.sample(rng, uniform="phenotype").d for _ in range(2000)])
    assert abs((depths[:, :5] == 4).mean() - 6561 / 7371) < 0.02 and (depths[:, 5] == 1).all()


def test_the_released_networks_have_their_published_size_and_blocks() -> None:
    if not RELEASED.is_file():
        pytest.skip("the table of released networks is not beside the checkout")
    rows = [row for row in csv.DictReader(RELEASED.open()) if row["family"] == "ProxylessNASNets"]
    assert len(rows) == 13
    for row in rows:
        ks, e, d = ([int(item) for item in row[name].split("-")] for name in ("kernels", "expands", "depths"))
        arch = Arch(SPACE.name, tuple(ks[1:]), tuple(e[1:]), tuple(d), int(row["image_size"]), 1.3)
        layers = SPACE.layers(arch)
        found = costs(layers)
        assert found.macs / 1e6 == pytest.approx(float(row["madds_m"]), rel=0.01)
        assert found.params / 1e6 == pytest.approx(float(row["params_m"]), abs=0.06)
        published = json.loads(row["blocks"])
        own = [block for block in blocks(layers) if block.op == "mbconv"]
        assert [(b.in_c, b.out_c, b.kernel, b.stride, b.mid_c, int(b.skip)) for b in own] == [
            (b["in_c"], b["out_c"], b["k"], b["s"], b["mid"], b["id"]) for b in published
        ]
        assert (layers[0].out_c, layers[-1].in_c) == (int(row["stem_c"]), int(row["last_c"]))


def test_its_networks_are_described_and_not_built() -> None:
    network = random_network(SPACE.layers(SPACE.smallest()))
    with pytest.raises(BadInput, match="activation"):
        make_network_plan(network, target={"kind": "llvm", "mtriple": "x86_64-linux-gnu"})
