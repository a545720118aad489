"""Few timings of a device beside what is known of others: in the store, imported, predicted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from natdeploy.devices import load_profile
from natdeploy.devices.retired import retire
from natdeploy.ground.errors import BadInput
from natdeploy.latency import (
    LatencyModel,
    fit_device_model,
    fit_latency_model,
    latency_model_path,
    published_latency_model,
    started_latency_model,
    unmeasured_latency_model,
)
from natdeploy.latency.intervals.quality import point_quality
from natdeploy.latency.transferred.other_devices import Place, known_devices, other_knowledge
from natdeploy.measure import Measurement, MeasurementStore, runtime_toolchain
from natdeploy.measure.publications import import_published
from natdeploy.spaces import Arch, Layer, get_space
from tests.latency.timings import made_up, shipped_for_others, true_ms

MICRO = get_space("mbv3-micro")
HERE = Place("0123456789abcdef", "onnxruntime", {"onnxruntime": "1.0"})
TABLES = Path(__file__).parents[3].parent / "shared" / "data" / "latency"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path / "home"))
    shipped_for_others(tmp_path / "shipped", monkeypatch)
    return tmp_path / "home"


def slower(layers: Sequence[Layer]) -> float:
    """Another made-up processor, to which bytes are dearer."""
    return 0.02 + 1.7 * true_ms(layers) + sum(layer.out_elements for layer in layers) / 8e6


def of(device: str, timings: Sequence[Measurement], **changes: object) -> list[Measurement]:
    return [replace(item, device=device, device_fingerprint=f"{device:>016}", **changes) for item in timings]  # type: ignore[arg-type]


def stocked() -> MeasurementStore:
    store = MeasurementStore()
    store.add_all(of("phone", made_up(90, seed=2, truth=slower)))
    store.add_all(of("board", made_up(80, seed=3, truth=lambda layers: 3 * true_ms(layers))))
    return store


def test_others_are_devices_with_enough_timings_that_are_not_this_one() -> None:
    store = stocked()
    store.add_all(made_up(40, seed=4))
    store.add_all(of("few", made_up(29, seed=5)))
    names = [device.name.split(",")[0] for device in known_devices(MICRO, store, HERE)]
    assert names == ["board (onnxruntime", "phone (onnxruntime"]
    # The same device with other tools is another one, unless its other runtimes are not to count either.
    other_tools = Place(HERE.fingerprint, HERE.runtime, {"onnxruntime": "2.0"})
    names = [device.name.split(" ")[0] for device in known_devices(MICRO, store, other_tools)]
    assert names == ["board", "made-up", "phone"]
    assert len(known_devices(MICRO, store, other_tools, elsewhere=True)) == 2
    retire(f"{'board':>016}")
    names = [device.name.split(" ")[0] for device in known_devices(MICRO, store, HERE)]
    assert names == ["phone"]
    assert known_devices(get_space("nasbench201"), store, HERE) == []
    assert other_knowledge(get_space("nasbench201"), store, HERE) is None


def test_predictors_that_are_shipped_stand_for_their_devices() -> None:
    devices = known_devices(get_space("ofa-mbv3-w1.0"), None, HERE)
    assert {"note10", "pixel4", "i7-8700k"} <= {device.name.split(" ")[0] for device in devices}
    assert {device.kind for device in devices} == {"predicted"}
    assert all(len(device.latency_ms) > 300 for device in devices)


def test_a_predictor_of_a_device_that_was_profiled_elsewhere(home: Path) -> None:
    model = fit_latency_model(of("tablet", made_up(60, seed=6)), MICRO)
    path = home / "latency_models" / model.device_fingerprint / MICRO.name / "onnxruntime.json"
    model.save(path)
    (device,) = known_devices(MICRO, None, HERE)
    assert (device.name, device.kind) == ("tablet (onnxruntime)", "predicted")
    path.write_text("{}")  # whose predictor cannot be read has nothing to teach
    assert known_devices(MICRO, None, HERE) == []


def test_published_networks_that_were_imported_are_a_source(tmp_path: Path) -> None:
    space = get_space("nasbench201")

    def text(arch: Arch) -> str:
        cells = iter(arch.ops)
        nodes = [[f"{next(cells)}~{place}" for place in range(node)] for node in (1, 2, 3)]
        return "+".join(f"|{'|'.join(node)}|" for node in nodes)

    rng = np.random.default_rng(0)
    archs = list(dict.fromkeys(space.sample(rng) for _ in range(60)))[:35]
    rows = [f"pixel3,{batch},{text(arch)},{1 + index}" for batch in (1, 8) for index, arch in enumerate(archs)]
    (tmp_path / "help.csv").write_text("\n".join(["device,batch,arch_str,latency_ms", *rows]))
    import_published("help", tmp_path / "help.csv", "pixel4", named="pixel3")
    found = known_devices(space, None, HERE)
    assert [device.name for device in found] == [f"pixel4 (batch {n}, published as pixel3)" for n in (1, 8)]
    assert found[0].latency_ms[archs[4]] == 5.0
    assert other_knowledge(space, None, HERE) is not None


@pytest.mark.skipif(not TABLES.is_dir(), reason=f"{TABLES} is not there: a published table is needed")
def test_an_imported_table_is_the_devices_model_and_others_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped_for_others(tmp_path / "none", monkeypatch, "ofa-mbv3-w1.2")  # what ships is another test's
    space, phone = get_space("ofa-mbv3-w1.2"), load_profile("galaxy-s23")
    assert published_latency_model(phone, space) is None
    import_published("ofa-lut", TABLES / "ofa_note10_lut.csv", "galaxy-s23")
    model = unmeasured_latency_model(phone, space, phone.runtimes[0])
    assert (model.source, model.device) == ("table", "galaxy-s23")
    assert "published measurements" in model.caution
    names = [device.name for device in known_devices(space, None, HERE)]
    assert f"galaxy-s23 ({model.runtime})" in names
    assert published_latency_model(phone, "nasbench201") is None


def test_few_timings_are_enough_with_others_and_not_without() -> None:
    knowledge = other_knowledge(MICRO, stocked(), HERE)
    timings, judged = made_up(12, seed=7), made_up(60, seed=8, role="holdout")
    with pytest.raises(BadInput, match="12 measured networks of mbv3-micro to train on, at least 30"):
        fit_device_model(timings, MICRO, None)
    model = fit_device_model([*timings, *judged], MICRO, lambda: knowledge)
    assert (model.source, model.quality.training_networks) == ("transferred", 12)
    assert model.quality.within10 > 0.9 and model.quality.coverage > 0.8
    assert set(model.quality.baselines) == {"macs", "lookup table"}
    assert "board (onnxruntime" in model.caution and "12 timed subnets" in model.caution


def test_other_numbers_of_classes_are_predicted_and_learned_from() -> None:
    knowledge = other_knowledge(MICRO, stocked(), HERE)
    model = fit_device_model(made_up(12, seed=7), MICRO, knowledge)
    archs = [item.arch for item in made_up(20, seed=8) if item.arch is not None]
    own, more = model.predict(archs), model.predict(archs, num_classes=1000)
    assert (more.mean_ms > own.mean_ms).all()
    truth = np.array([true_ms(MICRO.layers(arch, 1000)) for arch in archs])
    assert np.mean((more.lower_ms <= truth) & (truth <= more.upper_ms)) > 0.8
    assert np.allclose(model.predict_genomes(np.stack([MICRO.encode(a) for a in archs])).mean_ms, own.mean_ms)
    built = [
        replace(item, role="build", num_classes=1000, latency_ms=ms) for item, ms in zip(made_up(20, seed=8), truth)
    ]
    again = fit_device_model([*made_up(12, seed=7), *built], MICRO, knowledge).predict(archs)
    alike = np.array([true_ms(MICRO.layers(arch)) for arch in archs])
    assert point_quality(alike, again.mean_ms).mape < point_quality(alike, own.mean_ms).mape + 0.02


@pytest.mark.parametrize("count", [30, 60, 150])
def test_knowing_more_never_makes_it_worse(count: int) -> None:
    """The model is within noise of the better of transfer and of the device alone."""
    knowledge = other_knowledge(MICRO, stocked(), HERE)
    timings, judged = made_up(count, seed=9), made_up(150, seed=10, role="holdout")
    chosen = fit_device_model([*timings, *judged], MICRO, knowledge)
    alone = fit_latency_model([*timings, *judged], MICRO)
    assert chosen.quality.mape <= alone.quality.mape * 1.1
    assert chosen.source in ("measured", "transferred")


def test_a_profile_that_was_not_finished_is_worth_something() -> None:
    phone = load_profile("pixel4")
    store, tools = MeasurementStore(), runtime_toolchain("tvm", phone)
    place = Place("x", "tvm", tools)
    assert place.has(made_up(1)[0]) is False
    space = get_space("ofa-mbv3-w1.0")
    from natdeploy.devices import device_fingerprint

    mine = made_up(6, space=space, truth=lambda layers: 20 * true_ms(layers))
    fields = {"device_fingerprint": device_fingerprint(phone), "device": "pixel4", "runtime": "tvm", "toolchain": tools}
    assert started_latency_model(phone, space, "tvm", store) is None
    assert unmeasured_latency_model(phone, space, "tvm").source == "table"
    store.add_all([replace(item, **fields) for item in mine])  # type: ignore[arg-type]
    model = unmeasured_latency_model(phone, space, "tvm")
    assert (model.source, model.runtime, model.quality.training_networks) == ("transferred", "tvm", 6)
    assert not latency_model_path(phone, space, "tvm").exists()


def test_a_transferred_model_is_the_same_after_loading(tmp_path: Path) -> None:
    model = fit_device_model(made_up(9, seed=1), MICRO, other_knowledge(MICRO, stocked(), HERE))
    model.save(tmp_path / "model.json")
    again = LatencyModel.load(tmp_path / "model.json")
    assert again.caution == model.caution and again.source == "transferred"
    archs = [MICRO.smallest(), MICRO.largest()]
    np.testing.assert_allclose(again.predict(archs).upper_ms, model.predict(archs).upper_ms, rtol=1e-9)
