"""The real rooms, end to end: real weights, real compilers, real runners, real timing."""

import contextlib
import dataclasses
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from natdeploy.data import load_dataset
from natdeploy.deploy import BuiltBundle, build, predict_images, verify_bundle
from natdeploy.deploy.artifacts import run_in_child
from natdeploy.deploy.bundle import weights_digest
from natdeploy.deploy.layers import read_layer_times
from natdeploy.deploy.manifest import MEASUREMENT_FILES
from natdeploy.deploy.verify import read_reference, runnable_of
from natdeploy.devices import HardwareProfile, load_profile
from natdeploy.ground.errors import BadInput, BudgetNotMet, DeviceNotReachable, VerificationFailed
from natdeploy.ground.files import cache_root, read_json, write_json
from natdeploy.measure import MeasurementStore, TimingProtocol, protocol_for
from natdeploy.runs import RunFolder
from natdeploy.supernets import Subnet, load_supernet, to_network
from natdeploy.transfer import Calibration, FineTuned, calibrated_subnet, finetune
from tests.deploy.made_run import made_up_timings, make_run, small_archs

pytestmark = pytest.mark.usefixtures("home")

#: Milliseconds per million MACs that the latency model believes in: a machine much faster than any.
FAST = 1e-4


@pytest.fixture(scope="module", autouse=True)
def _visits_follow_each_other() -> Iterator[None]:
    """Models are timed with as many visits as ever, not spread over seconds."""

    def at_once(profile: HardwareProfile) -> TimingProtocol:
        return dataclasses.replace(protocol_for(profile), spread_ms=0.0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("natdeploy.measure.timing.protocol_for", at_once)
        yield


@pytest.fixture(scope="module")
def profile() -> HardwareProfile:
    return load_profile("host")


@pytest.fixture(scope="module")
def run(profile: HardwareProfile, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    path = tmp_path_factory.mktemp("runs")
    return make_run(path / "run", profile, MeasurementStore(path / "m.sqlite"), budget_ms=1000.0, speed=FAST)


@pytest.fixture(scope="module")
def built(run: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> list[BuiltBundle]:
    stages: list[tuple[str, float]] = []
    store = MeasurementStore(tmp_path_factory.mktemp("store") / "m.sqlite")
    bundles = build(
        run, pick=["best", "fastest", small_archs()[2].id], store=store, progress=lambda *told: stages.append(told)
    )
    assert [fraction for _, fraction in stages] == sorted(fraction for _, fraction in stages)
    assert stages[-1] == ("done", 1.0)
    assert {measurement.role for measurement in store.query()} == {"build"}
    assert {measurement.runtime for measurement in store.query()} == {"tvm", "onnxruntime"}
    return bundles


def test_picks_that_choose_one_architecture_share_a_bundle(run: RunFolder, built: list[BuiltBundle]) -> None:
    first, second = small_archs()[2].id, small_archs()[0].id
    picked = [(bundle.manifest.model.arch_id, bundle.manifest.provenance.picked_as) for bundle in built]
    assert picked == [(first, sorted(["best", first])), (second, ["fastest"])]
    assert sorted(path.name for path in (run.path / "bundles").iterdir()) == sorted(b.manifest.name for b in built)


@pytest.mark.parametrize("better", [True, False])
def test_what_is_fine_tuned_says_so(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, better: bool
) -> None:
    from natdeploy.deploy import candidate

    stages: list[tuple[str, float]] = []
    asked: list[dict[str, object]] = []
    real = candidate.fine_tune

    def fine_tune(subnet: Subnet, *given: Any, **more: Any) -> FineTuned:
        asked.append(more)
        found = real(subnet, *given, **more)
        return FineTuned(found.subnet, 1, 0.4, 0.5) if better else FineTuned(subnet, 0, 0.5, 0.4)

    monkeypatch.setattr(candidate, "fine_tune", fine_tune)
    store = MeasurementStore(tmp_path / "m.sqlite")
    adapt = read_json(run.path / "run.json", "run")["adapt"]
    with changed(run.path / "run.json", adapt={**adapt, "augmentation": "crop-flip"}):
        (bundle,) = build(
            run,
            pick="fastest",
            out=tmp_path / "out",
            store=store,
            finetune_epochs=1,
            progress=lambda *told: stages.append(told),
        )
    assert [more["augmentation"] for more in asked] == ["crop-flip"]  # the run's
    assert [more["calibration"] for more in asked] == [Calibration(256, "crop-flip")]
    assert [fraction for _, fraction in stages] == sorted(fraction for _, fraction in stages)
    told = next(stage for stage, _ in stages if stage.startswith("fine-tuned"))
    assert bundle.manifest.model.arch_id in told
    assert told.endswith("it stays as it was") != better
    came_of_it = (
        "fine-tuned for 1 + 1 epochs (validation top-1 40.00% before, 50.00% after)"
        if better
        else "as searched (fine-tuning for 1 + 1 epochs made it worse: validation top-1 50.00% before, 40.00% after)"
    )
    assert all(came_of_it in accuracy.weights for accuracy in bundle.manifest.accuracy)
    assert verify_bundle(bundle.path).manifest == bundle.manifest


def test_what_diverges_when_fine_tuned_stays_as_it_was(
    run: RunFolder, built: list[BuiltBundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finetune, "LR", 1e30)
    stages: list[str] = []
    (bundle,) = build(
        run,
        pick="fastest",
        out=tmp_path / "out",
        store=MeasurementStore(tmp_path / "m.sqlite"),
        finetune_epochs=1,
        progress=lambda stage, _: stages.append(stage),
    )
    assert any(re.match(r"fine-tuning diverged: loss .*stays as it was$", stage) for stage in stages)
    same = next(one for one in built if one.manifest.model.arch_id == bundle.manifest.model.arch_id)
    assert (bundle.path / "model.onnx").read_bytes() == (same.path / "model.onnx").read_bytes()
    assert all("as searched (fine-tuning diverged" in accuracy.weights for accuracy in bundle.manifest.accuracy)


def test_the_library_was_timed_layer_by_layer(built: list[BuiltBundle]) -> None:
    for bundle in built:
        times = read_layer_times(bundle.path)
        assert times is not None
        plan = read_json(bundle.path / "native" / "plan.json", "plan")
        assert [one.layer for one in times.layers] == [call["layer"] for call in plan["calls"]]
        assert all(one.measured_ms > 0 for one in times.layers if "conv" in one.layer)
        assert times.networks == 0 and times.layers[0].predicted_ms is None  # the store knew no timings of others


def test_what_ships_is_measured_within_the_budget_and_verifies(built: list[BuiltBundle]) -> None:
    for bundle in built:
        report = verify_bundle(bundle.path)
        assert report.manifest == bundle.manifest
        assert [artifact.path for artifact in report.artifacts] == ["model.onnx", "native/libmodel.so"]
        measured = bundle.manifest.measured_for_budget()
        assert measured is not None and 0 < measured.latency_ms <= bundle.manifest.latency.budget_ms
        native = next(artifact for artifact in bundle.manifest.artifacts if artifact.kind == "native")
        assert measured.artifact_digest == native.digest
        samples = read_json(bundle.path / "profile.json", "profile")["measurements"]
        assert [len(found["samples_ms"]) for found in samples] == [
            found.samples for found in bundle.manifest.latency.measured
        ]


def test_the_bundle_computes_what_the_subnet_computes(run: RunFolder, built: list[BuiltBundle]) -> None:
    bundle, arch = built[0], small_archs()[2]
    dataset = load_dataset("digits", seed=0)
    torch.set_num_threads(1)
    subnet = calibrated_subnet(load_supernet(run.supernet_path), arch, dataset, Calibration(256))
    assert weights_digest(to_network(subnet)) == bundle.manifest.model.weights_sha256
    images = dataset.test.at(arch.r)
    inputs = dataset.preprocessing(arch.r)(images)
    with torch.inference_mode():
        logits = subnet(torch.from_numpy(inputs)).numpy()
    for artifact in bundle.manifest.artifacts:
        found = run_in_child(artifact.runtime, runnable_of(bundle.path, bundle.manifest, artifact), inputs[:8])
        assert np.abs(found - logits[:8]).max() < 1e-4 * max(1, np.abs(logits).max())
    test = bundle.manifest.accuracy_of("test")
    assert test is not None and test.images == len(images)
    assert test.top1 == pytest.approx((logits.argmax(1) == dataset.test.labels).mean(), abs=2 / len(images))
    reference = read_reference(bundle.path, bundle.manifest)[0]
    assert np.array_equal(reference, dataset.val.at(arch.r)[: len(reference)])


def test_predict_uses_the_compiled_model(built: list[BuiltBundle], tmp_path: Path) -> None:
    bundle = built[0]
    images, _, outputs = read_reference(bundle.path, bundle.manifest)
    Image.fromarray(images[0]).save(tmp_path / "digit.png")
    for runtime in (None, "onnxruntime"):
        (found,) = predict_images(bundle.path, [tmp_path / "digit.png"], runtime=runtime)
        assert len(found.classes) == 5
        assert found.classes[0][0] == str(outputs[0].argmax())


def test_a_changed_byte_of_a_real_artifact_is_found(built: list[BuiltBundle], tmp_path: Path) -> None:
    for name in ("native/libmodel.so", "native/plan.json", "model.onnx", "reference.safetensors"):
        bundle = Path(shutil.copytree(built[0].path, tmp_path / "bundle"))
        data = bytearray((bundle / name).read_bytes())
        data[len(data) // 2] ^= 1
        (bundle / name).write_bytes(data)
        with pytest.raises(VerificationFailed, match=name):
            verify_bundle(bundle)
        shutil.rmtree(bundle)


def test_building_again_elsewhere_changes_measurements_only(
    run: RunFolder, built: list[BuiltBundle], tmp_path: Path
) -> None:
    again = build(run, pick=small_archs()[2].id, out=tmp_path / "out", store=MeasurementStore(tmp_path / "m.sqlite"))
    assert [bundle.path.parent for bundle in again] == [tmp_path / "out"]
    first, second = built[0].manifest, again[0].manifest
    second = second.model_copy(
        update={"provenance": second.provenance.model_copy(update={"picked_as": first.provenance.picked_as})}
    )
    assert first.reproducible_part() == second.reproducible_part()
    sums = [set((bundle.path / "SHA256SUMS").read_text().splitlines()) for bundle in (built[0], again[0])]
    differing = {line.split("  ")[1] for line in sums[0] ^ sums[1]}
    assert differing <= {"manifest.json", *MEASUREMENT_FILES}


def test_no_bundle_when_nothing_measures_within_the_budget(
    run: RunFolder, profile: HardwareProfile, tmp_path: Path
) -> None:
    store = MeasurementStore(tmp_path / "m.sqlite")
    store.add_all(made_up_timings(profile, FAST))
    run = RunFolder(shutil.copytree(run.path, tmp_path / "run", ignore=shutil.ignore_patterns("bundles")))
    write_json(run.path / "run.json", {**read_json(run.path / "run.json", "run"), "latency_ms": 0.001})
    with pytest.raises(BudgetNotMet, match=r"pick best: none of \d built .* 0\.001 ms; the nearest, \w+, took"):
        build(run, store=store, attempts=2)
    assert not (run.path / "bundles").exists()
    assert any(measurement.role == "build" for measurement in store.query())
    assert not any((cache_root() / "scratch").iterdir())


def test_an_artifact_that_disagrees_with_torch_stops_the_build(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from natdeploy.deploy import candidate

    right = candidate.build_onnx

    def wrong(network, folder):  # a compiler that gets one bias wrong
        weights = dict(network.weights)
        weights["classifier.bias"] = weights["classifier.bias"] + np.float32(0.01)
        return right(dataclasses.replace(network, weights=weights), folder)

    monkeypatch.setattr(candidate, "build_onnx", wrong)
    with pytest.raises(VerificationFailed, match=r"model\.onnx: outputs differ from the torch module's"):
        build(run, out=tmp_path / "out", store=MeasurementStore(tmp_path / "m.sqlite"))
    assert not (tmp_path / "out").exists()


@contextlib.contextmanager
def changed(path: Path, **fields: object) -> Iterator[None]:
    kept = read_json(path, "file")
    write_json(path, {**kept, **fields})
    try:
        yield
    finally:
        write_json(path, kept)


def test_runs_that_cannot_be_built_from(run: RunFolder, tmp_path: Path) -> None:
    store = MeasurementStore(tmp_path / "m.sqlite")
    with (
        changed(run.result_path / "summary.json", data_fingerprint="0" * 64),
        pytest.raises(BadInput, match="has changed since the search"),
    ):
        build(run, store=store)
    with pytest.raises(BadInput, match="'zz'"):
        build(run, pick="zz", store=store)
    with pytest.raises(BadInput, match="nothing asked for"):
        build(run, pick=[], store=store)
    with pytest.raises(BadInput, match="attempts"):
        build(run, attempts=0, store=store)
    unfinished = Path(shutil.copytree(run.path, tmp_path / "run"))
    (unfinished / "result" / "summary.json").unlink()
    with pytest.raises(BadInput, match="has not finished"):
        build(RunFolder(unfinished), store=store)


def test_a_run_for_another_machine_is_not_built_here(run: RunFolder, profile: HardwareProfile, tmp_path: Path) -> None:
    from natdeploy.latency import LatencyModel

    other = Path(shutil.copytree(run.path, tmp_path / "run"))
    model = LatencyModel.load(run.latency_model_path)
    dataclasses.replace(model, device_fingerprint="another").save(other / "latency_model.json")
    with pytest.raises(DeviceNotReachable, match="search was for host with fingerprint another"):
        build(RunFolder(other), store=MeasurementStore(tmp_path / "m.sqlite"))
    dataclasses.replace(model, device_fingerprint=retire_another()).save(other / "latency_model.json")
    with pytest.raises(BadInput, match="the timings of host that its budget is in terms of were retired; search again"):
        build(RunFolder(other), store=MeasurementStore(tmp_path / "m.sqlite"))


def retire_another() -> str:
    """A fingerprint that was retired, and not this machine's."""
    from natdeploy.devices.retired import retire

    retire("a-machine-before")
    return "a-machine-before"
