"""Profiles by kernels: what is timed, what is learned of fusion, and networks predicted from both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from natdeploy.devices import HardwareProfile, device_fingerprint
from natdeploy.ground.errors import BadInput
from natdeploy.latency import LatencyModel, find_latency_model, profile_device
from natdeploy.latency.any_network import layers_latency
from natdeploy.latency.inputs.features import layer_kind
from natdeploy.latency.kernels.chains import empty_chains, joined, kernels_of, pair_chain, random_archs, single_chain
from natdeploy.latency.kernels.fit import fit_kernels, fit_whole
from natdeploy.latency.kernels.predictor import KernelPredictor, KernelSums
from natdeploy.latency.measured.lookup_table import workload_key
from natdeploy.latency.profiling import kernel_profile as kernel_module
from natdeploy.latency.profiling.goal import Goal
from natdeploy.measure.kernel_timing import chain_key
from natdeploy.spaces import INPUT, Arch, Layer, get_space
from tests.latency.profiling.test_profile import Stopwatch, board, stopwatch
from tests.latency.timings import measurement, true_ms

__all__ = ["board", "stopwatch"]
MICRO = get_space("mbv3-micro")
ARCHS = random_archs(MICRO)
CALL_MS = 0.003


def alone_ms(layer: Layer) -> float:
    """A kernel on a made-up processor."""
    return true_ms([layer]) - 0.005


def made_up_ms(layers: Sequence[Layer]) -> float:
    """Layers as a made-up runtime runs them: a sum is computed with what comes before it."""
    total = CALL_MS + sum(alone_ms(layer) for layer in layers)
    for first, second in joined(layers):
        if second.op == "add" and layer_kind(first) in ("dense", "add"):
            total -= min(alone_ms(first), alone_ms(second))
    return total


class Bench:
    """Stands in for ``time_chains``: keeps to its contract, counts, can be stopped."""

    def __init__(self) -> None:
        self.kept: dict[str, float] = {}
        self.timed: list[str] = []
        self.stop_after: int | None = None

    def __call__(self, chains, *, space, profile, runtime, protocol, store, progress, access) -> list:
        found = []
        for chain in chains:
            key = chain_key(chain)
            if key not in self.kept:
                if self.stop_after is not None and len(self.timed) >= self.stop_after:
                    raise KeyboardInterrupt
                noise = np.random.default_rng(int(key[:8], 16)).normal(0, 0.004)
                self.kept[key] = made_up_ms(chain) * float(np.exp(noise))
                self.timed.append(key)
            found.append(replace(measurement(MICRO.smallest(), self.kept[key], "kernel"), arch=None))
        return found


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench = Bench()
    monkeypatch.setattr(kernel_module, "time_chains", bench)
    monkeypatch.setattr("tests.latency.profiling.test_profile.true_ms", lambda layers: 0.01 + 1.1 * made_up_ms(layers))
    return bench


def learned(count: int = 12) -> KernelSums:
    kernels = kernels_of(MICRO, ARCHS)
    singles = [layer for found in kernels.singles.values() for layer in found[:count]]
    pairs = [pair for found in kernels.pairs.values() for pair in found[:3] if pair_chain(*pair)]
    singles = kernel_module.with_parts(singles, pairs)
    splits = [*map(single_chain, singles), *(split for pair in pairs if (split := pair_chain(*pair)))]
    chains = [*empty_chains(), *(chain for split in splits for chain in split.chains)]
    return fit_kernels({chain_key(chain): made_up_ms(chain) for chain in chains}, singles, pairs)


def test_every_chain_ends_in_a_vector_and_reads_what_is_there() -> None:
    kernels = kernels_of(MICRO, ARCHS)
    singles = [single_chain(layer) for found in kernels.singles.values() for layer in found]
    pairs = [split for found in kernels.pairs.values() for pair in found if (split := pair_chain(*pair))]
    assert len(pairs) > 100
    for split in [*singles, *pairs]:
        for chain in split.chains:
            shapes = {INPUT: (chain[0].in_c, chain[0].in_h, chain[0].in_w)}
            for layer in chain:
                assert shapes[layer.inputs[0]] == (layer.in_c, layer.in_h, layer.in_w)
                shapes[layer.name] = (layer.out_c, layer.out_h, layer.out_w)
            assert chain[-1].out_h * chain[-1].out_w == 1
            read = {name for layer in chain for name in layer.inputs}
            assert read >= {layer.name for layer in chain[:-1]}


def test_kernels_and_fusion_are_learned_from_chains() -> None:
    sums = learned()
    assert set(sums.saved) == {("dense", "add")}  # what else a runtime might join, this one does not
    assert sums.saved["dense", "add"] == pytest.approx(1, abs=0.1)
    judged = [MICRO.layers(arch) for arch in ARCHS[100:]]
    ratio = sums.networks_ms(judged)[:, 0] / np.array([made_up_ms(layers) for layers in judged])
    assert np.median(np.abs(ratio / np.median(ratio) - 1)) < 0.03


def test_a_kernel_that_was_never_timed_is_an_error_that_names_it() -> None:
    sums = learned(4)
    grouped = Layer("odd", "conv", (INPUT,), 32, 8, 8, 32, 8, 8, 3, 1, 4)
    with pytest.raises(
        BadInput, match=r"layer 'odd' is of kind grouped, which was never timed.*timed kinds: add, dense"
    ):
        sums.networks_ms([[grouped]])
    assert [layer.name for layer in sums.unknown([*MICRO.layers(ARCHS[0]), grouped])] == ["odd"]


def test_the_whole_beside_the_sum_and_intervals_that_hold() -> None:
    sums = learned()
    rng = np.random.default_rng(0)
    networks = [MICRO.layers(arch) for arch in ARCHS]
    truth = np.array([(0.02 + 1.2 * made_up_ms(layers)) * np.exp(rng.normal(0, 0.02)) for layers in networks])
    predictor, errors = fit_whole(sums, networks[:30], truth[:30], MICRO)
    assert predictor.whole.scale == pytest.approx(1.2, rel=0.15)
    assert np.abs(errors).mean() < 0.06
    found = predictor.predict(ARCHS[30:], 0.9)
    assert np.mean((found.lower_ms <= truth[30:]) & (truth[30:] <= found.upper_ms)) > 0.85
    with pytest.raises(BadInput, match="4 whole networks, at least 5"):
        fit_whole(sums, networks[:4], truth[:4], MICRO)


def fitted(sums: KernelSums, archs: Sequence[Arch]) -> KernelPredictor:
    networks = [MICRO.layers(arch) for arch in archs[:30]]
    return fit_whole(sums, networks, np.array([made_up_ms(layers) for layers in networks]), MICRO)[0]


def test_many_networks_are_sums_of_genes_not_of_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = fitted(learned(), ARCHS)
    listed = predictor.of_sums(predictor.sums.networks_ms([MICRO.layers(arch) for arch in ARCHS]), 0.9)
    genomes = np.stack([MICRO.encode(arch) for arch in ARCHS])
    predictor.predict(genomes, 0.9)  # makes the tables
    assert len(predictor.predict(genomes[:0], 0.9)) == 0
    monkeypatch.setattr(KernelSums, "network_ns", None)
    for asked in (ARCHS, genomes):
        found = predictor.predict(asked, 0.9)
        np.testing.assert_allclose(found.mean_ms, listed.mean_ms, rtol=1e-12)
        np.testing.assert_allclose(found.upper_ms, listed.upper_ms, rtol=1e-12)


def test_networks_are_predicted_as_long_as_all_of_their_kernels_are_known() -> None:
    all_kinds = learned()
    few = replace(all_kinds, kinds={kind: model for kind, model in all_kinds.kinds.items() if kind != "depthwise_k7"})
    small = [replace(arch, ks=(3,) * len(arch.ks)) for arch in ARCHS]
    predictor = fitted(few, small)
    large = next(arch for arch in ARCHS if 7 in arch.ks)
    assert np.isfinite(predictor.predict(small, 0.9).mean_ms).all()
    for asked in ([*small, large], np.stack([MICRO.encode(arch) for arch in (*small, large)])):
        with pytest.raises(BadInput, match=r"layer 'blocks.* is of kind depthwise_k7, which was never timed"):
            predictor.predict(asked, 0.9)


def test_far_shapes_have_wide_intervals() -> None:
    networks = [MICRO.layers(arch) for arch in ARCHS[:30]]
    predictor, _ = fit_whole(learned(4), networks, np.array([made_up_ms(layers) for layers in networks]), MICRO)
    far = Layer("far", "conv", (INPUT,), 2048, 56, 56, 2048, 56, 56)
    _, near_ms = predictor.of_layers(networks[0], 0.9)
    _, far_ms = predictor.of_layers([far], 0.9)
    assert far_ms.upper_ms[0] / far_ms.mean_ms[0] > near_ms.upper_ms[0] / near_ms.mean_ms[0]


def test_a_profile_by_kernels(board: HardwareProfile, stopwatch: Stopwatch, bench: Bench) -> None:
    models = profile_device(board, MICRO, runtimes=["tvm"], holdout=20, level="kernel")
    model = models["tvm"]
    assert isinstance(model.predictor, KernelPredictor) and model.source == "measured"
    assert (model.quality.training_networks, model.quality.networks, model.quality.repeats) == (24, 20, 20)
    assert model.quality.within10 > 0.9
    found = find_latency_model(board, MICRO, "tvm")
    assert found is not None
    assert np.allclose(found.predict(ARCHS[:5]).upper_ms, model.predict(ARCHS[:5]).upper_ms)
    genomes = np.stack([MICRO.encode(arch) for arch in ARCHS[:5]])
    assert np.allclose(found.predict_genomes(genomes).mean_ms, model.predict(ARCHS[:5]).mean_ms)
    layers = MICRO.layers(ARCHS[0])
    estimate = layers_latency(board, layers)
    assert (estimate.source, estimate.runtime) == ("measured", "tvm")
    assert estimate.mean_ms == pytest.approx(float(model.predict(ARCHS[:1]).mean_ms[0]))
    assert "kernels of mbv3-micro timed on this device" in estimate.caution
    with pytest.raises(BadInput, match="no clock_mhz"):  # no kernel of that kind was timed, and there is no prior
        layers_latency(
            board, [replace(layers[0], groups=1), Layer("odd", "conv", (INPUT,), 32, 8, 8, 32, 8, 8, 3, 1, 4)]
        )


def test_both_levels_go_by_the_nearer_one(board: HardwareProfile, stopwatch: Stopwatch, bench: Bench) -> None:
    model = profile_device(board, MICRO, runtimes=["tvm"], networks=60, holdout=20, level="both")["tvm"]
    kernels = find_latency_model(board, MICRO, "tvm", kernels=True)
    assert kernels is not None and isinstance(kernels.predictor, KernelPredictor)
    assert model.quality.training_networks == kernels.quality.training_networks == 60
    assert model.quality.mape <= 1.1 * kernels.quality.mape


def test_a_stopped_profile_by_kernels_goes_on(board: HardwareProfile, stopwatch: Stopwatch, bench: Bench) -> None:
    bench.stop_after = 30
    with pytest.raises(KeyboardInterrupt):
        profile_device(board, MICRO, runtimes=["tvm"], holdout=6, level="kernel")
    assert find_latency_model(board, MICRO, "tvm") is None
    bench.stop_after = None
    profile_device(board, MICRO, runtimes=["tvm"], holdout=6, level="kernel")
    assert len(bench.timed) == len(set(bench.timed))
    assert len(stopwatch.timed) == len(set(stopwatch.timed)) == 24 + 6 + 6


def test_a_goal_ends_the_timing_of_kernels(
    board: HardwareProfile, stopwatch: Stopwatch, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_module, "SURE", 0.0)
    profile_device(board, MICRO, runtimes=["tvm"], holdout=10, level="kernel", goal=Goal(within10=0.5))
    few = len(bench.timed)
    profile_device(board, MICRO, runtimes=["tvm"], holdout=10, level="kernel", goal=Goal(within10=1.0, minutes=1e-6))
    assert len(bench.timed) == few  # late at once: nothing beyond the first round
    monkeypatch.setattr(kernel_module, "MOST", 100)
    profile_device(board, MICRO, runtimes=["tvm"], holdout=10, level="kernel")
    assert len(bench.timed) > few


def test_what_matters_most_and_is_known_least_comes_next() -> None:
    kernels = kernels_of(MICRO, ARCHS)
    sums, timed = learned(4), [layer for found in kernels.singles.values() for layer in found[:4]]
    chosen = kernel_module.least_known(sums, kernels, timed)
    assert len(chosen) == kernel_module.ROUND
    assert not {workload_key(layer) for layer in chosen} & {workload_key(layer) for layer in timed}
    everything = [layer for found in kernels.singles.values() for layer in found]
    assert kernel_module.least_known(sums, kernels, everything) == []


def test_bad_levels(board: HardwareProfile, stopwatch: Stopwatch, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="level is 'layer', expected one of network, kernel, both"):
        profile_device(board, MICRO, level="layer")
    with pytest.raises(BadInput, match="networks is 23, at least 24 whole ones"):
        profile_device(board, MICRO, level="kernel", networks=23)
    assert stopwatch.timed == []
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(BadInput, match="not a latency model"):
        LatencyModel.load(tmp_path / "model.json")


def test_the_fingerprint_is_the_boards(board: HardwareProfile, stopwatch: Stopwatch, bench: Bench) -> None:
    model = profile_device(board, MICRO, runtimes=["tvm"], holdout=6, level="kernel")["tvm"]
    assert model.device_fingerprint == device_fingerprint(board)
