import os
import shutil
import signal
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from natdeploy.deploy import verify_bundle
from natdeploy.deploy.artifacts import RunnableFile
from natdeploy.deploy.integrity import plain_files, write_sums
from natdeploy.ground.errors import BadInput, DeviceNotReachable, VerificationFailed
from natdeploy.ground.files import read_json, write_json
from tests.deploy.stand_ins import make_bundle, run_matrix


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundles") / "bundle"
    make_bundle(path)
    return path


@pytest.fixture
def bundle(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "bundle"))


def refused(bundle: Path, *names: str) -> str:
    with pytest.raises(VerificationFailed) as caught:
        verify_bundle(bundle, run=run_matrix)
    message = str(caught.value)
    assert "\n" not in message
    for name in names:
        assert name in message
    return message


def test_a_good_bundle(bundle: Path) -> None:
    report = verify_bundle(bundle, run=run_matrix)
    assert report.files == len(plain_files(bundle)) == 20
    assert [artifact.runtime for artifact in report.artifacts] == ["onnxruntime", "tvm"]
    assert all(artifact.max_abs_error <= artifact.allowed for artifact in report.artifacts)
    assert report.to_json()["artifacts"][0]["images"] == 4


def test_sha256sum_reads_the_sums(bundle: Path) -> None:
    assert shutil.which("sha256sum"), "coreutils are part of every Linux"
    assert os.system(f"cd '{bundle}' && sha256sum --check --strict --quiet SHA256SUMS") == 0


NAMES = (
    "README.md",
    "SHA256SUMS",
    "examples/android/Classifier.kt",
    "examples/android/classifier_jni.c",
    "examples/cpp/CMakeLists.txt",
    "examples/cpp/classify.cpp",
    "examples/cpp/model_info.h",
    "labels.json",
    "layers.json",
    "manifest.json",
    "model.onnx",
    "native/libmodel.so",
    "native/plan.json",
    "preprocess.json",
    "profile.json",
    "reference.safetensors",
    "run.py",
    "sbom.cdx.json",
    "subnet.json",
    "verify.json",
)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_a_changed_byte_is_found_and_the_file_named(original: Path, name: str, where: float, flip: int) -> None:
    path = original / name
    data = path.read_bytes()
    changed = bytearray(data)
    changed[int(where * len(data))] ^= flip
    path.write_bytes(changed)
    try:
        refused(original, name)
    finally:
        path.write_bytes(data)


def test_the_names_above_are_all_there_are(original: Path) -> None:
    assert tuple(plain_files(original)) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file_is_named(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    refused(bundle, name, "missing")


def test_a_file_cut_off_is_named(bundle: Path) -> None:
    for name in NAMES:
        data = (bundle / name).read_bytes()
        (bundle / name).write_bytes(data[:-1])
        refused(bundle, name)
        (bundle / name).write_bytes(b"")
        refused(bundle, name)
        (bundle / name).write_bytes(data)
    verify_bundle(bundle, run=run_matrix)


def test_an_added_file_is_named(bundle: Path) -> None:
    (bundle / "native" / "extra.so").write_bytes(b"x")
    refused(bundle, "native/extra.so", "not listed")


def test_links_and_pipes_are_refused_and_not_followed(bundle: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes((bundle / "labels.json").read_bytes())
    (bundle / "labels.json").unlink()
    (bundle / "labels.json").symlink_to(outside)
    refused(bundle, "labels.json", "symbolic link")
    (bundle / "labels.json").unlink()
    os.mkfifo(bundle / "labels.json")
    refused(bundle, "labels.json", "not a plain file")


@pytest.mark.parametrize(
    "path", ["../outside", "/etc/passwd", "native/../../outside", "native//plan.json", "./model.onnx"]
)
def test_sums_cannot_point_outside(bundle: Path, path: str) -> None:
    with open(bundle / "SHA256SUMS", "a") as file:
        file.write(f"{'0' * 64}  {path}\n")
    refused(bundle, "SHA256SUMS", path)


def test_a_folder_that_is_no_bundle_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"nowhere.*no such folder"):
        verify_bundle(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="not a folder"):
        verify_bundle(tmp_path / "file")
    with pytest.raises(BadInput, match="not a bundle"):
        verify_bundle(tmp_path)
    (tmp_path / "file").unlink()
    (tmp_path / "manifest.json").write_text("{}")
    for _ in range(2):  # without and with digests
        with pytest.raises(BadInput, match=r"manifest\.json: no bundle's manifest: field 'schema_version' is"):
            verify_bundle(tmp_path)
        write_sums(tmp_path)


def change(bundle: Path, name: str, **fields: object) -> None:
    """Change a JSON file and make all digests fit again."""
    if fields:
        write_json(bundle / name, {**read_json(bundle / name, name), **fields})
    manifest = read_json(bundle / "manifest.json", "manifest")
    from natdeploy.ground.files import sha256_file

    for listed in manifest["files"]:
        listed["sha256"] = sha256_file(bundle / listed["path"])
    if name != "manifest.json" or not fields:
        write_json(bundle / "manifest.json", manifest)
    write_sums(bundle)


def test_a_manifest_of_another_schema_or_with_unknown_fields(bundle: Path) -> None:
    change(bundle, "manifest.json", schema_version=2)
    refused(bundle, "manifest.json", "'schema_version' is 2")
    change(bundle, "manifest.json", schema_version=1, surprise=1)
    refused(bundle, "manifest.json", "surprise")


def test_a_manifest_cannot_point_outside(bundle: Path, tmp_path: Path) -> None:
    shutil.copyfile(bundle / "model.onnx", tmp_path / "outside.onnx")
    artifacts = read_json(bundle / "manifest.json", "manifest")["artifacts"]
    change(bundle, "manifest.json", artifacts=[{**artifacts[0], "path": "../outside.onnx"}])
    refused(bundle, "manifest.json", "'artifacts.path' names '../outside.onnx'")


def test_companions_must_say_what_the_manifest_says(bundle: Path) -> None:
    change(bundle, "preprocess.json", mean=[0.1, 0.1, 0.1])
    refused(bundle, "preprocess.json", "differs from field 'preprocessing'")


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("verify.json", {"tolerance": 0.009}, "differs from field 'verification'"),
        ("verify.json", {"checks": []}, "differs from field 'verification'"),
        ("profile.json", {"measurements": []}, "differs from field 'latency.measured'"),
        ("profile.json", {"measurements": {}}, "field 'measurements' is not a list"),
        ("profile.json", {"measurements": [{"latency_ms": 1.0}]}, "measurement: field"),
    ],
)
def test_what_was_verified_and_timed_must_be_what_the_manifest_says(
    bundle: Path, name: str, fields: dict[str, object], message: str
) -> None:
    change(bundle, name, **fields)
    refused(bundle, name, message)


def test_a_faster_timing_than_the_manifest_tells_is_found(bundle: Path) -> None:
    measurement = read_json(bundle / "profile.json", "profile")["measurements"][0]
    change(bundle, "profile.json", measurements=[{**measurement, "latency_ms": 0.5}])
    refused(bundle, "profile.json", "differs from field 'latency.measured'")


def test_preprocessing_must_make_the_recorded_inputs(bundle: Path) -> None:
    other = {**read_json(bundle / "preprocess.json", "file"), "mean": [0.1, 0.1, 0.1]}
    change(bundle, "manifest.json", preprocessing=other)
    change(bundle, "preprocess.json", mean=[0.1, 0.1, 0.1])
    refused(bundle, "reference.safetensors", "preprocess.json")


def test_another_architecture(bundle: Path) -> None:
    subnet = read_json(bundle / "subnet.json", "subnet")
    change(bundle, "subnet.json", ks=[10 - kernel if kernel != 5 else 3 for kernel in subnet["ks"]])
    refused(bundle, "subnet.json", "not the architecture")


def test_outputs_that_differ_are_found(tmp_path: Path) -> None:
    make_bundle(tmp_path / "bundle", artifact_error=0.01)
    message = refused(tmp_path / "bundle", "native/libmodel.so", "outputs differ")
    assert "model.onnx" not in message


def test_outputs_that_are_not_finite_or_of_another_shape_are_found(bundle: Path) -> None:
    def nan(runtime: str, artifact: RunnableFile, inputs: np.ndarray) -> np.ndarray:
        return np.full((len(inputs), artifact.output_shape[1]), np.nan, np.float32)

    def flat(runtime: str, artifact: RunnableFile, inputs: np.ndarray) -> np.ndarray:
        return np.zeros(len(inputs), np.float32)

    with pytest.raises(VerificationFailed, match=r"model.onnx: .*not finite"):
        verify_bundle(bundle, run=nan)
    with pytest.raises(VerificationFailed, match=r"model.onnx: .*shape"):
        verify_bundle(bundle, run=flat)


def test_a_library_for_another_machine_is_not_run(bundle: Path) -> None:
    device = read_json(bundle / "manifest.json", "manifest")["device"]
    change(bundle, "manifest.json", device={**device, "machine": "riscv128"})
    with pytest.raises(DeviceNotReachable, match=r"libmodel.so: compiled for riscv128"):
        verify_bundle(bundle, run=run_matrix)


def die(number: int, runtime: str, artifact: RunnableFile, inputs: np.ndarray) -> np.ndarray:
    """What an instruction does that the processor does not have."""
    os.kill(os.getpid(), number)
    return inputs


@pytest.mark.parametrize(
    ("number", "error", "message"),
    [
        (signal.SIGILL, DeviceNotReachable, r"model\.onnx: this machine's processor lacks instructions"),
        (signal.SIGSEGV, VerificationFailed, r"model\.onnx: cannot be run; .*died by signal 11"),
    ],
)
def test_artifacts_that_die(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, number: int, error: type[Exception], message: str
) -> None:
    monkeypatch.setattr("natdeploy.deploy.artifacts._run", partial(die, int(number)))
    with pytest.raises(error, match=message):
        verify_bundle(bundle)


def test_an_artifact_that_cannot_be_loaded_is_named(bundle: Path) -> None:
    # With the real runners: the stand-in artifacts are neither ONNX nor a library.
    with pytest.raises(VerificationFailed, match=r"model\.onnx: ONNX Runtime cannot load it"):
        verify_bundle(bundle)
