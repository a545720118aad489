"""Whole networks through natdeploy's own kernels: outputs, threads, what is refused, who chooses tiles."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from natdeploy.compiler import (
    KernelCache,
    TuningRecord,
    build_artifacts,
    build_native,
    compile_layers,
    make_network_plan,
)
from natdeploy.compiler.kernels.kind import candidate_schedules
from natdeploy.compiler.kernels.objects import isa_for
from natdeploy.compiler.target import check_target
from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import canonical_json
from natdeploy.spaces import Layer, Network, costs, get_space, random_network
from tests.compiler.conftest import TARGET, odd_network
from tests.compiler.library import Library, run_library
from tests.compiler.records import tuned
from tests.compiler.reference import reference, relative_error


def image_for(network: Network) -> np.ndarray:
    return np.random.default_rng(5).standard_normal(network.input_shape, dtype=np.float32)


def micro(seed: int, resolution: int) -> tuple[Layer, ...]:
    space = get_space("mbv3-micro")
    return space.layers(replace(space.sample(np.random.default_rng(seed)), r=resolution))


@pytest.fixture(scope="module")
def own_cache(home: Path, tiny: Network) -> KernelCache:
    """The kernels of all networks below, compiled together."""
    networks = [tiny.layers, odd_network("odd depthwise").layers, micro(1, get_space("mbv3-micro").resolutions[0])]
    compile_layers(networks, target=TARGET, producer="kernels")
    return KernelCache()


def test_outputs_equal_the_reference_whatever_the_threads(
    own_cache: KernelCache, tiny: Network, tmp_path: Path
) -> None:
    subnet = random_network(micro(1, get_space("mbv3-micro").resolutions[0]), 3)
    for index, network in enumerate((tiny, odd_network("odd depthwise"), subnet)):
        folder = tmp_path / str(index)
        path = build_native(network, target=TARGET, folder=folder, cache=own_cache, producer="kernels").path
        image, classes = image_for(network), network.output_shape[1]
        out = run_library(path, image, classes)
        assert relative_error(out, reference(network, image)) < 1e-5, index
        library = Library(path)
        instance = library.create(min(2, library.c.natdeploy_max_threads(library.model)))
        assert np.array_equal(library.run(instance, image, classes), out)
        library.c.natdeploy_destroy(instance)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mbv3-micro", "ofa-mbv3-w1.0", "ofa-mbv3-w1.2"])
def test_random_subnets_equal_the_reference(name: str, own_cache: KernelCache, tmp_path: Path) -> None:
    space, rng = get_space(name), np.random.default_rng(2)
    archs = [replace(space.sample(rng), r=r) for r in rng.choice(space.resolutions, 3).tolist()]
    compile_layers([space.layers(arch) for arch in archs], target=TARGET, cache=own_cache, producer="kernels")
    for seed, arch in enumerate(archs):
        network = random_network(space.layers(arch), seed)
        folder = tmp_path / str(seed)
        path = build_native(network, target=TARGET, folder=folder, cache=own_cache, producer="kernels").path
        image = image_for(network)
        error = relative_error(run_library(path, image, space.num_classes), reference(network, image))
        # Random weights make deep networks amplify rounding: torch's own float32 is off by 2e-5 on full-size ones.
        assert error < (1e-5 if name == "mbv3-micro" else 1e-4), arch


def test_nan_and_infinity_reach_the_output_as_in_torch(own_cache: KernelCache, tiny: Network, tmp_path: Path) -> None:
    path = build_native(tiny, target=TARGET, folder=tmp_path, cache=own_cache, producer="kernels").path
    for bad in (np.nan, np.inf):
        image = image_for(tiny)
        image[0, 1, 4, 3] = bad
        expected = reference(tiny, image)
        assert np.array_equal(np.isnan(run_library(path, image, 11)), np.isnan(expected))


def test_tiles_come_from_the_record(own_cache: KernelCache, tiny: Network, tmp_path: Path) -> None:
    """A record of one workload changes that kernel's code and nothing else, and the plan says so."""
    default = make_network_plan(tiny, target=TARGET, cache=own_cache)
    workload = {"kind": "gemm", "m": 20, "k": 8, "n": 8, "activation": "none", "residual": True}
    record = TuningRecord("device", TARGET, tmp_path)
    isa = isa_for(check_target(TARGET), own_cache)
    rule, other, *_ = candidate_schedules(workload, isa)
    record.keep(tuned(workload, isa, rule, chosen=rule))
    same = make_network_plan(tiny, target=TARGET, cache=own_cache, tuning=record)
    assert canonical_json(same.to_json()) == canonical_json(default.to_json())
    record.keep(tuned(workload, isa, rule, chosen=other))
    plan = make_network_plan(tiny, target=TARGET, cache=own_cache, tuning=TuningRecord("device", TARGET, tmp_path))
    changed = [a.layer for a, b in zip(plan.calls, default.calls) if a.kernel != b.kernel]
    assert changed == ["shortcut"]  # the only 1x1 convolution of a map, and the sum that it computes
    assert [kernel.tuned for kernel in plan.kernels].count(True) == 1 and plan.tuning == record.identity != "rules"
    assert plan.macs == default.macs == sum(layer.macs for layer in tiny.layers)
    artifact = build_artifacts(plan, tmp_path / "out", kinds=("native",))["native"]
    assert artifact.toolchain["natdeploy-tuning"] == record.identity
    image = image_for(tiny)
    assert relative_error(run_library(artifact.path, image, 11), reference(tiny, image)) < 1e-5
    assert "record" in plan.table() and "record" not in default.table()


def test_the_widest_maps_are_never_written(own_cache: KernelCache) -> None:
    """One kernel computes the expansion and the depthwise convolution; the sums of both layers stay the plan's."""
    shape = (24, 64, 64, 24, 64, 64)
    layers = (
        Layer("stem", "conv", ("input",), 3, 128, 128, 24, 64, 64, kernel=3, stride=2, activation="relu"),
        Layer("expand", "conv", ("stem",), 24, 64, 64, 96, 64, 64, activation="relu"),
        Layer("depth", "conv", ("expand",), 96, 64, 64, 96, 64, 64, kernel=5, groups=96, activation="relu"),
        Layer("project", "conv", ("depth",), 96, 64, 64, 24, 64, 64),
        Layer("sum", "add", ("project", "stem"), *shape),
        Layer("pool", "pool", ("sum",), 24, 64, 64, 24, 1, 1),
        Layer("classifier", "linear", ("pool",), 24, 1, 1, 5, 1, 1),
    )
    network = random_network(layers)
    plan = make_network_plan(network, target=TARGET, cache=own_cache)
    assert [call.layer for call in plan.calls] == ["stem", "depth", "sum", "pool", "classifier"]
    assert plan.macs == costs(layers).macs
    assert plan.arena_bytes < 0.8 * costs(layers).peak_activation_bytes
    other = tuple(replace(layer, activation="hswish") if layer.name == "depth" else layer for layer in layers)
    plan = make_network_plan(random_network(other), target=TARGET, cache=own_cache)
    assert "expand" in [call.layer for call in plan.calls]  # its kernel knows one activation


def test_an_unknown_processor_is_refused(own_cache: KernelCache, tiny: Network) -> None:
    with pytest.raises(BadInput, match="field 'mcpu': LLVM knows no 'zen99'"):
        make_network_plan(tiny, target={**TARGET, "mcpu": "zen99"}, cache=own_cache, producer="kernels")
