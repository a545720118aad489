"""Latencies of devices that nobody measured."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from natdeploy.devices import list_profiles, load_profile
from natdeploy.ground.errors import BadInput, DeviceNotReachable
from natdeploy.latency import LatencyModel, prior_latency_model, unmeasured_latency_model
from natdeploy.latency.hardware.prior import EXPECTED, DeviceTimes, fit_costs, fit_prior
from natdeploy.latency.hardware.roofline import WORK, Processor, processor_of, work
from natdeploy.latency.library import load_prior, save_prior
from natdeploy.latency.published.block_layers import block_layers
from natdeploy.runs import load_job
from natdeploy.search import LocalSurroundings
from natdeploy.spaces import blocks, get_space
from natdeploy.verbs.job import ensure_latency_model

SPACE = get_space("ofa-mbv3-w1.0")
SLOW, FAST = Processor(4.0, 1.0, 256, 1024), Processor(64.0, 4.0, 1024, 8192)


pytestmark = pytest.mark.usefixtures("without_llvm_mca")


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path / "home"))


def made_up(processor: Processor, factor: float, seed: int, networks: int = 40) -> DeviceTimes:
    """A device that costs what is expected, times a factor, with 5 % of noise."""
    rng = np.random.default_rng(seed)
    layers = [SPACE.layers(SPACE.sample(rng)) for _ in range(networks)]
    amounts = np.stack([work(network, processor) for network in layers])
    latency_ms = factor * amounts @ (np.array(EXPECTED) * processor.ms_per_unit())
    return DeviceTimes.of(processor, layers, (latency_ms * np.exp(0.05 * rng.standard_normal(networks))).tolist())


def made_up_devices() -> dict[str, DeviceTimes]:
    factors = (0.7, 0.9, 1.0, 1.2, 1.4)
    return {f"device{place}": made_up((SLOW, FAST)[place % 2], factor, place) for place, factor in enumerate(factors)}


def test_a_blocks_layers_are_the_networks_own() -> None:
    for seed in range(5):
        network = SPACE.layers(SPACE.sample(np.random.default_rng(seed)))
        rebuilt = [layer for block in blocks(network) for layer in block_layers(block)]
        assert [layer.workload()["op"] for layer in rebuilt] == [layer.op for layer in network]
        np.testing.assert_array_equal(work(rebuilt, SLOW), work(network, SLOW))


def test_what_does_not_fit_a_cache_counts_as_beyond_it() -> None:
    network = SPACE.layers(SPACE.largest())
    small, large = (dict(zip(WORK, work(network, processor))) for processor in (SLOW, FAST))
    levels = ("near_elements", "far_elements", "memory_elements")
    assert sum(small[level] for level in levels) == sum(large[level] for level in levels)
    assert small["near_elements"] < large["near_elements"]
    assert small["memory_elements"] > large["memory_elements"]
    assert small["dense_macs"] + small["depthwise_macs"] + small["spatial_macs"] + small["vector_weights"] == sum(
        layer.macs for layer in network
    )


def test_costs_are_learned_whatever_the_devices_factors() -> None:
    cost = fit_costs(list(made_up_devices().values()))
    predicted = made_up(FAST, 1.0, 99).predicted_ms(cost)
    ratio = predicted / made_up(FAST, 1.0, 99).latency_ms
    assert np.std(np.log(ratio)) < 0.1  # ranks and proportions hold; the level is that of a middling device
    assert 0.8 < np.exp(np.mean(np.log(ratio))) < 1.3


def test_a_prior_says_how_far_devices_are_off() -> None:
    devices = made_up_devices()
    prior = fit_prior(devices)
    assert prior.figures["coverage"] >= 0.8
    assert prior.half_width(0.8) < prior.half_width(0.9) < prior.half_width(0.95)
    alike = {name: made_up(device.processor, 1.0, place) for place, (name, device) in enumerate(devices.items())}
    assert fit_prior(alike).half_width(0.9) < 0.5 * prior.half_width(0.9)
    with pytest.raises(BadInput, match="3 devices, at least 4"):
        fit_prior(dict(list(devices.items())[:3]))
    with pytest.raises(BadInput, match="between 0 and 1"):
        prior.half_width(1.0)


def test_a_prior_is_kept_and_a_damaged_one_refused(tmp_path: Path) -> None:
    path = tmp_path / "prior.json"
    save_prior(load_prior(), path)
    assert load_prior(path).to_json() == load_prior().to_json()
    path.write_text(path.read_text().replace('"dense_macs":1', '"dense_macs":2'))
    with pytest.raises(BadInput, match="damaged"):
        load_prior(path)


@pytest.mark.parametrize("profile", list_profiles(), ids=lambda profile: profile.name)
def test_every_profile_has_a_prior_or_says_what_it_lacks(profile) -> None:
    try:
        model = prior_latency_model(profile, SPACE, profile.runtimes[0])
    except BadInput as error:
        assert profile.name in str(error)
        assert any(field in str(error) for field in ("clock_mhz", "fmas_per_cycle", "caches", "gpu", "filled in"))
        return
    assert model.source == "prior"
    assert "prior" in model.caution
    assert profile.name in model.caution
    assert "a prior: roofline (no llvm-mca in this test)" in model.caution
    found = model.predict([SPACE.smallest(), SPACE.largest()])
    assert (found.lower_ms < found.mean_ms).all()
    assert (found.mean_ms < found.upper_ms).all()
    assert found.mean_ms[0] < found.mean_ms[1]


def test_a_prior_survives_its_file(tmp_path: Path) -> None:
    model = prior_latency_model(load_profile("rpi5"), SPACE, "tvm")
    model.save(tmp_path / "model.json")
    again = LatencyModel.load(tmp_path / "model.json", SPACE)
    archs = [SPACE.sample(np.random.default_rng(seed)) for seed in range(4)]
    for what in ("mean_ms", "lower_ms", "upper_ms"):
        np.testing.assert_array_equal(
            getattr(model.predict(archs, num_classes=10), what), getattr(again.predict(archs, num_classes=10), what)
        )
    assert (again.source, again.caution) == ("prior", model.caution)
    layers = SPACE.layers(archs[0])
    each, whole = model.predictor.of_layers(layers, 0.9)
    assert each.sum() == pytest.approx(whole.mean_ms[0])
    assert whole.mean_ms[0] == pytest.approx(model.predict(archs[:1]).mean_ms[0])


def test_a_faster_clock_and_wider_vectors_are_faster() -> None:
    rpi5 = processor_of(load_profile("rpi5"))
    network = SPACE.layers(SPACE.largest())

    def predicted_ms(processor: Processor) -> float:
        return float(work(network, processor) @ (load_prior().cost * processor.ms_per_unit()))

    assert predicted_ms(replace(rpi5, clock_ghz=2 * rpi5.clock_ghz)) < predicted_ms(rpi5)
    assert predicted_ms(replace(rpi5, macs_per_ns=2 * rpi5.macs_per_ns)) < predicted_ms(rpi5)
    assert predicted_ms(replace(rpi5, last_kib=16 * rpi5.last_kib)) < predicted_ms(rpi5)


def test_an_unmeasured_device_has_what_was_published_else_a_prior() -> None:
    sources = {
        name: unmeasured_latency_model(load_profile(name), "ofa-mbv3-w1.0", "tvm").source for name in ("note10", "rpi5")
    }
    assert sources == {"note10": "table", "rpi5": "prior"}
    with pytest.raises(BadInput, match=r"jetson-xavier.*fmas_per_cycle"):
        unmeasured_latency_model(load_profile("jetson-xavier"), "ofa-mbv3-w1.0", "tvm")


def test_a_search_for_a_device_that_cannot_be_reached_has_a_prior(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise DeviceNotReachable("nobody answers")

    monkeypatch.setattr(sys.modules["natdeploy.verbs.profile"], "profile_with", unreachable)
    said: list[str] = []
    fields = {"data": "digits", "space": "ofa-mbv3-w1.0", "latency_ms": 20}
    job = load_job(None, {**fields, "device": "rpi5"})
    model = ensure_latency_model(job, load_profile("rpi5"), lambda stage, _: said.append(stage))
    assert model.source == "prior"
    assert "rpi5 are a prior" in said[0]
    assert "nobody answers" in said[0]
    found = LocalSurroundings().latency_model(job.run_config(20.0))
    assert isinstance(found, LatencyModel)
    assert found.source == "prior"
    lacking = load_job(None, {**fields, "device": "jetson-xavier"})
    with pytest.raises(DeviceNotReachable, match=r"nobody answers; nor is there a prior: .*fmas_per_cycle"):
        ensure_latency_model(lacking, load_profile("jetson-xavier"), None)
