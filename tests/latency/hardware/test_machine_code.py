"""The prior by machine code: what it adds up, what it says of itself, and what stands in for it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from natdeploy.compiler.kernel_cycles import CoreModel, KernelCost
from natdeploy.compiler.kernel_objects import Progress
from natdeploy.compiler.machine_code import llvm_tool
from natdeploy.devices import load_profile
from natdeploy.ground.errors import ChildFailed
from natdeploy.latency import LatencyModel, prior_latency_model
from natdeploy.latency.any_network import layers_latency
from natdeploy.latency.hardware import machine_code
from natdeploy.latency.hardware.machine_code import FEW, WORK, Machine, MachineCodePredictor
from natdeploy.latency.hardware.prior import PriorPredictor
from natdeploy.latency.hardware.roofline import Processor
from natdeploy.latency.intervals.quality import point_quality
from natdeploy.latency.library import load_prior, own_prior
from natdeploy.runs import load_job
from natdeploy.search import LocalSurroundings
from natdeploy.spaces import Layer, get_space

SPACE = get_space("mbv3-micro")
TARGET = {"kind": "llvm", "mtriple": "aarch64-linux-gnu", "mcpu": "cortex-a76", "num-cores": 4}
MACHINE = Machine(TARGET, CoreModel("neoverse-n1", "llvm-mca 19.1.7", 8.0), Processor(16.0, 2.0, 512, 2048), 10.0)


def made_up_cost(layer: Layer) -> KernelCost:
    """Half of the peak for all of them."""
    moved = 4 * (layer.in_c * layer.in_h * layer.in_w + layer.out_elements)
    weights = 4 * (int(np.prod(layer.weight_shape)) + layer.out_c) if layer.has_weights else 0
    return KernelCost(layer.macs / 4, moved, weights)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many kernels were asked for, each time; made-up answers."""
    counts: list[int] = []

    def answer(layers: list[Layer], *_: object) -> list[KernelCost]:
        counts.append(len(layers))
        return [made_up_cost(layer) for layer in layers]

    monkeypatch.setattr(machine_code, "kernel_costs", answer)
    return counts


def predictor() -> MachineCodePredictor:
    return MachineCodePredictor(load_prior(), MACHINE, SPACE)


def test_few_architectures_and_many_get_the_same_latencies(asked: list[int]) -> None:
    archs = [SPACE.sample(np.random.default_rng(seed)) for seed in range(FEW + 1)]
    many = predictor()
    alone = np.concatenate([predictor().predict([arch], 0.9).mean_ms for arch in archs])
    asked.clear()
    genomes = np.stack([SPACE.encode(arch) for arch in archs])
    np.testing.assert_array_equal(many.predict(genomes, 0.9).mean_ms, alone)
    assert len(asked) == 1  # a space's kernels are compiled all at once
    again = many.predict(archs, 0.9)
    np.testing.assert_array_equal(again.mean_ms, alone)
    assert len(asked) == 1
    factor = np.exp(load_prior().half_width(0.9))
    np.testing.assert_allclose(again.upper_ms / again.mean_ms, factor)
    np.testing.assert_allclose(again.mean_ms / again.lower_ms, factor)


def test_who_asks_for_few_again_gets_all_at_once(asked: list[int]) -> None:
    found = predictor()
    sizes = [SPACE.smallest(), SPACE.largest()]
    first = [found.predict([arch], 0.9).mean_ms[0] for arch in sizes]
    assert len(asked) == 2
    for seed in range(20):
        arch = replace(SPACE.sample(np.random.default_rng(seed)), r=SPACE.largest().r)
        assert first[0] < found.predict([arch], 0.9).mean_ms[0] < first[1]
    assert len(asked) == 2


def test_layers_add_up_to_the_network(asked: list[int]) -> None:
    layers = SPACE.layers(SPACE.largest())
    small = replace(MACHINE, processor=replace(MACHINE.processor, last_kib=512))  # weights do not stay in any cache
    for machine in (MACHINE, small):
        found = MachineCodePredictor(load_prior(), machine, SPACE)
        each, whole = found.of_layers(layers, 0.9)
        assert each.sum() == pytest.approx(whole.mean_ms[0])
        assert (each >= 0).all()
        assert whole.mean_ms[0] == found.predict([SPACE.largest()], 0.9).mean_ms[0]
        assert not any(ms for ms, layer in zip(each, layers) if layer.op == "add")


def test_a_network_takes_its_loops_its_calls_and_its_data() -> None:
    def ms(**amounts: float) -> float:
        return float(MACHINE.ms(np.array([[amounts.get(name, 0.0) for name in WORK]]))[0])

    assert ms(cycles=2e6) == pytest.approx(1.0)  # the model's peak is the profile's: 8 a cycle are 16 a nanosecond
    assert ms(calls=1e4) == pytest.approx(1.0)  # 200 cycles at 2 GHz
    assert ms(bytes=64e6) == pytest.approx(1.0)  # 32 bytes a cycle
    assert ms(memory_bytes=10e6) == pytest.approx(1.0)  # 10 GB/s
    assert ms(weight_bytes=2048 * 1024) == pytest.approx(0, abs=1e-5)  # they stay in the last cache
    assert ms(weight_bytes=2048 * 1024 + 10e6) == pytest.approx(1.0)
    assert ms(bytes=64e6, cycles=2e6, calls=1e4) == pytest.approx(3.0)


def test_a_model_by_machine_code_survives_its_file(
    asked: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Machine, "of", lambda profile: MACHINE)
    model = prior_latency_model(load_profile("rpi5"), SPACE, "tvm")
    assert "a prior: machine code by llvm-mca 19.1.7 (neoverse-n1 for cortex-a76)" in model.caution
    archs = [SPACE.sample(np.random.default_rng(seed)) for seed in range(4)]
    before = model.predict(archs, num_classes=10)
    asked.clear()
    model.save(tmp_path / "model.json")
    again = LatencyModel.load(tmp_path / "model.json", SPACE)
    after = again.predict(archs, num_classes=10)
    for what in ("mean_ms", "lower_ms", "upper_ms"):
        np.testing.assert_array_equal(getattr(before, what), getattr(after, what))
    assert (again.source, again.caution, asked) == ("prior", model.caution, [])


def test_compiling_a_spaces_kernels_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def compile(layers: list[Layer], target: object, model: object, cache: object, tell: Progress) -> list[KernelCost]:
        tell("compiling kernels", 0.25)
        return [made_up_cost(layer) for layer in layers]

    monkeypatch.setattr(Machine, "of", lambda profile: MACHINE)
    monkeypatch.setattr(machine_code, "kernel_costs", compile)
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path))
    config = load_job(None, {"space": SPACE.name, "device": "rpi5", "runtime": "tvm", "latency_ms": 20.0}).run_config()
    said: list[tuple[str, float]] = []
    here = LocalSurroundings(progress=lambda stage, fraction: said.append((stage, fraction)))
    found = here.latency_model(config)
    found.predict([SPACE.smallest()])
    assert said == [("compiling kernels to predict latencies of cortex-a76 by, kept for the next time", 0.25)]
    found.save(tmp_path / "model.json")
    here.load_latency_model(tmp_path / "model.json", config).predict([SPACE.largest()])
    assert len(said) == 2
    LocalSurroundings().latency_model(config).predict([SPACE.smallest()])  # nobody listens
    assert len(said) == 2
    layers = SPACE.layers(SPACE.smallest())
    layers_latency(load_profile("rpi5"), layers, progress=lambda stage, fraction: said.append((stage, fraction)))
    assert len(said) == 3


def test_without_llvm_mca_a_roofline_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = load_profile("rpi5")
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    llvm_tool.cache_clear()
    try:
        model = prior_latency_model(profile, SPACE, "tvm")
    finally:
        llvm_tool.cache_clear()
    assert isinstance(model.predictor, PriorPredictor)
    assert "a prior: roofline (no llvm-mca of LLVM 19 or later on PATH; install it: apt-get install" in model.caution


def test_a_network_with_a_strange_layer_has_a_roofline(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise ChildFailed("kernel compiler: crashed")

    monkeypatch.setattr(Machine, "of", lambda profile: MACHINE)
    monkeypatch.setattr(machine_code, "kernel_costs", fails)
    found = layers_latency(load_profile("rpi5"), SPACE.layers(SPACE.smallest()))
    assert found.source == "prior"
    assert "a prior: roofline (kernel compiler: crashed)" in found.caution
    assert found.layers_ms.sum() == pytest.approx(found.mean_ms)


def test_natdeploys_own_kernels_cost_less_per_operator_than_other_runtimes() -> None:
    """On a network of many small layers that is most of the time, and ranks go by depth instead of by work."""
    processor = Processor(64.0, 4.0, 1024, 8192)
    archs = [SPACE.sample(np.random.default_rng(seed)) for seed in range(100)]
    macs = np.array([sum(layer.macs for layer in SPACE.layers(arch)) for arch in archs], float)
    others, own = (
        PriorPredictor(prior, processor, SPACE).predict(archs, 0.9).mean_ms
        for prior in (load_prior(), own_prior(load_prior()))
    )
    assert point_quality(macs, own).spearman > 0.98 > point_quality(macs, others).spearman
    assert (own < others).all()


def test_other_runtimes_have_a_roofline() -> None:
    profile = load_profile("rpi5")
    both = profile.model_copy(update={"runtimes": ("onnxruntime", "tvm")})
    model = prior_latency_model(both, SPACE, "onnxruntime")
    assert isinstance(model.predictor, PriorPredictor)
    np.testing.assert_array_equal(model.predictor.prior.cost, load_prior().cost)
    assert "a prior: roofline, since onnxruntime" in model.caution
