"""Building for a phone that is not here: cross-compiled, verified under emulation, nothing claimed of its latency."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from natdeploy.deploy import BuiltBundle, build, predict_images, verify_bundle
from natdeploy.deploy.verify import read_reference
from natdeploy.devices import load_profile
from natdeploy.devices.catalog import shipped_profiles_dir
from natdeploy.ground.errors import BadInput, DeviceNotReachable, VerificationFailed
from natdeploy.ground.files import read_json, write_json
from natdeploy.measure import MeasurementStore
from natdeploy.runs import RunFolder
from natdeploy.verbs.bundle_info import bundle_info
from tests.compiler.gpu.conftest import reason_against_opencl
from tests.deploy.made_run import make_run, small_archs
from tests.devices.boards import emulator

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    path = tmp_path_factory.mktemp("runs")
    store = MeasurementStore(path / "m.sqlite")
    return make_run(path / "run", load_profile("host"), store, budget_ms=1000.0, speed=1e-4)


@pytest.fixture(scope="module")
def built(run: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> BuiltBundle:
    emulator("aarch64")
    store = MeasurementStore(tmp_path_factory.mktemp("store") / "m.sqlite")
    (bundle,) = build(run, pick=["fastest", small_archs()[0].id], device="pixel4", store=store)
    assert not list(store.query())
    return bundle


def test_built_again_elsewhere_every_byte_is_the_same(
    run: RunFolder, built: BuiltBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another folder, another cache without any compiled kernel, another name of the run: nothing was measured."""
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path / "another-home"))
    copy = RunFolder(shutil.copytree(run.path, tmp_path / "a copy", ignore=shutil.ignore_patterns("bundles*")))
    (again,) = build(copy, pick=["fastest", small_archs()[0].id], device="pixel4", out=tmp_path / "out")
    assert again.path.parent == tmp_path / "out"
    first, second = (set((one.path / "SHA256SUMS").read_text().splitlines()) for one in (built, again))
    assert {line.split("  ")[1] for line in first ^ second} == set()


def test_nothing_is_claimed_of_a_latency(built: BuiltBundle) -> None:
    said = read_json(built.path / "manifest.json", "manifest")
    assert said["name"] == f"pixel4-{small_archs()[0].id}"
    assert (said["latency"]["measured"], said["latency"]["predicted"], said["latency"]["budget_ms"]) == (None,) * 3
    assert said["verification"]["verified"] == "emulated (qemu-aarch64)"
    assert {(one["kind"], one["path"]) for one in said["artifacts"]} == {
        ("onnx", "model.onnx"),
        ("executable", "native/model_run"),
    }
    assert said["device"]["machine"] == "aarch64" and said["provenance"]["picked_as"][-1] == "fastest"
    card = (built.path / "README.md").read_text()
    assert "Verified: emulated (qemu-aarch64)." in card and "none: the device was not here" in card
    info = bundle_info(built.path, built.manifest)
    assert info.measured_ms is info.predicted_ms is info.budget_ms is None and info.test_top1 is not None


def test_the_executable_was_really_run(built: BuiltBundle) -> None:
    checks = {check.path: check for check in built.manifest.verification.checks}
    found = checks["native/model_run"]
    assert found.images == 16 and 0 < found.max_abs_error <= found.allowed
    report = verify_bundle(built.path)
    assert [artifact.path for artifact in report.artifacts] == ["model.onnx", "native/model_run"]


def test_predict_runs_the_executable(built: BuiltBundle, tmp_path: Path) -> None:
    images, _, outputs = read_reference(built.path, built.manifest)
    Image.fromarray(images[0]).save(tmp_path / "digit.png")
    (found,) = predict_images(built.path, [tmp_path / "digit.png"])
    assert found.classes[0][0] == str(np.argmax(outputs[0]))


def test_a_device_is_known_by_its_profile_not_by_what_it_was_asked_for_with(tmp_path: Path) -> None:
    emulator("aarch64")
    file = tmp_path / "my-phone.yaml"
    shipped = (shipped_profiles_dir() / "pixel4.yaml").read_text()
    file.write_text(
        shipped.replace("name: pixel4", "name: my-phone", 1).replace("via: [adb, tvm-rpc, qemu]", "via: [qemu]")
    )
    store = MeasurementStore(tmp_path / "m.sqlite")
    run = make_run(tmp_path / "run", load_profile(str(file)), store, budget_ms=1000.0, speed=1e-4)
    write_json(run.path / "run.json", {**read_json(run.path / "run.json", "run"), "device": str(file)})
    (bundle,) = build(run, pick=small_archs()[0].id, store=store)
    assert bundle.manifest.latency.budget_ms == 1000.0 and bundle.manifest.latency.predicted is not None


def test_a_wrong_executable_stops_the_build(run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    emulator("aarch64")
    from natdeploy.deploy import candidate

    def other_weights(network, **kwargs):
        from natdeploy.compiler import make_network_plan
        from natdeploy.spaces import random_network

        return make_network_plan(random_network(network.layers, seed=9), **kwargs)

    monkeypatch.setattr(candidate, "make_network_plan", other_weights)
    with pytest.raises(VerificationFailed, match=r"native/model_run: outputs differ from the torch module's"):
        build(run, pick="fastest", device="pixel4", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_an_emulator_nothing_is_built(run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeviceNotReachable, match=r"qemu-aarch64: not installed"):
        build(run, pick="fastest", device="pixel4", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_unknown_devices_and_picks(run: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="unknown device 'pixel99'"):
        build(run, device="pixel99", out=tmp_path / "out")
    with pytest.raises(BadInput, match="pick"):
        build(run, pick="zzz", device="pixel4", out=tmp_path / "out")


@pytest.fixture(scope="module")
def built_for_gpu(run: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> BuiltBundle:
    if why := reason_against_opencl():
        pytest.skip(why)
    (bundle,) = build(run, pick=small_archs()[0].id, device="pixel4-gpu", out=tmp_path_factory.mktemp("gpu") / "out")
    return bundle


def test_for_a_graphics_processor_sources_are_packed(built_for_gpu: BuiltBundle) -> None:
    said = read_json(built_for_gpu.path / "manifest.json", "manifest")
    assert re.match(r"emulated \(|on another device \(gpu: ", said["verification"]["verified"])
    assert (said["latency"]["measured"], said["latency"]["predicted"], said["latency"]["budget_ms"]) == (None,) * 3
    assert ("source", "native/kernels.cl") in {(one["kind"], one["path"]) for one in said["artifacts"]}
    assert said["device"]["target"] == {"kind": "opencl", "mtriple": "aarch64-linux-android"}
    written = {path.name for path in (built_for_gpu.path / "native").iterdir()}
    assert {"kernels.cl", "constants.bin", "plan.json", "CMakeLists.txt", "natdeploy_opencl.c"} <= written
    (check,) = [one for one in said["verification"]["checks"] if one["path"] == "native/kernels.cl"]
    assert check["images"] == 16 and 0 < check["max_abs_error"] <= check["allowed"]


def test_they_are_run_again_from_the_bundle(built_for_gpu: BuiltBundle, tmp_path: Path) -> None:
    report = verify_bundle(built_for_gpu.path)
    assert [artifact.path for artifact in report.artifacts] == ["model.onnx", "native/kernels.cl"]


def test_without_opencl_nothing_is_built(run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("natdeploy.devices.opencl.count_platforms", _no_platforms)
    with pytest.raises(DeviceNotReachable, match=r"no OpenCL .*apt install pocl-opencl-icd"):
        build(run, pick="fastest", device="pixel4-gpu", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def _no_platforms() -> int:
    return 0
