"""Chains of layers, built and timed live, and kept."""

from pathlib import Path

import pytest

from natdeploy.devices import HardwareProfile, load_profile
from natdeploy.ground.errors import BadInput
from natdeploy.latency.kernels.chains import empty_chains, pair_chain, single_chain
from natdeploy.measure import MeasurementStore
from natdeploy.measure.kernel_timing import Chain, chain_json, chain_key, read_chain, time_chains
from natdeploy.spaces import INPUT, Layer, get_space
from tests.measure.phones import QUICK

MICRO = get_space("mbv3-micro")
DENSE = Layer("a", "conv", (INPUT,), 32, 14, 14, 48, 14, 14, activation="relu", batch_norm=True, block=3)
DEPTHWISE = Layer("b", "conv", ("a",), 48, 14, 14, 48, 14, 14, 3, 1, 48, "hswish")
SUM = Layer("c", "add", ("a", "b"), 48, 14, 14, 48, 14, 14)
SCALE = Layer("d", "scale", ("a", "b"), 48, 14, 14, 48, 14, 14)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HardwareProfile:
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path / "home"))
    return load_profile("host")


def chains() -> list[Chain]:
    splits = [single_chain(layer) for layer in (DENSE, DEPTHWISE, SUM, SCALE)]
    splits += [split for pair in ((DENSE, DEPTHWISE), (DENSE, SUM)) if (split := pair_chain(*pair))]
    return [*empty_chains(), *(chain for split in splits for chain in split.chains)]


@pytest.mark.parametrize("runtime", ["onnxruntime", "tvm"])
def test_every_chain_is_built_and_timed_once(host: HardwareProfile, runtime: str) -> None:
    store = MeasurementStore()
    asked = chains() if runtime == "onnxruntime" else chains()[:4]

    def run(some: list[Chain]) -> list:
        return time_chains(some, space=MICRO, profile=host, runtime=runtime, protocol=QUICK, store=store)

    found = run(asked)
    assert [chain_key(read_chain(item.conditions["chain"])) for item in found] == [chain_key(chain) for chain in asked]
    assert {(item.role, item.arch, item.runtime) for item in found} == {("kernel", None, runtime)}
    assert all(item.latency_ms > 0 for item in found)
    stored = len(store.query())
    assert stored == len({chain_key(chain) for chain in asked})
    again = run(asked[::-1])
    assert len(store.query()) == stored and again == found[::-1]


def test_a_chain_is_what_it_is_made_of() -> None:
    chain = (DENSE, DEPTHWISE)
    assert read_chain(chain_json(chain)) == chain
    assert chain_key(chain) != chain_key((DENSE, SUM))
    with pytest.raises(BadInput, match="measurement of a kernel: field 'chain'"):
        read_chain([{"name": "a"}])
