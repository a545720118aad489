"""What a bundle brings for programs without natdeploy, used the way those would use it."""

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from natdeploy.compiler import build_native, build_onnx
from natdeploy.data import read_image
from natdeploy.deploy import predict_images, verify_bundle
from natdeploy.deploy.bundle import Reference, write_bundle
from natdeploy.deploy.consume import model_info
from natdeploy.deploy.integrity import check_files, write_sums
from natdeploy.devices import llvm_target, load_profile
from natdeploy.ground.files import read_json, write_json
from natdeploy.spaces import Arch, random_network
from tests.deploy.stand_ins import CLASSES, PREPROCESSING, SPACE, archs, make_bundle, manifest_of

#: Runs a script in a Python that has neither natdeploy nor anything else beyond what the bundle asks for.
_WITHOUT = (
    "import runpy, sys\n"
    "for name in ('natdeploy', 'torch', 'tvm', 'onnx', 'safetensors', 'scipy', 'pydantic'): sys.modules[name] = None\n"
    "sys.argv = sys.argv[1:]\n"
    "runpy.run_path(sys.argv[0], run_name='__main__')\n"
)


@pytest.fixture(scope="module")
def bundle(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with a real library and a real ONNX file of one network with random weights."""
    path = tmp_path_factory.mktemp("consume")
    least = SPACE.smallest()
    arch = Arch(least.space, least.ks, least.e, least.d, PREPROCESSING.resolution, least.w)
    network = random_network(SPACE.layers(arch, len(CLASSES)))
    artifacts = path / "artifacts"
    build_onnx(network, artifacts)
    build_native(network, target=llvm_target(load_profile("host")), folder=artifacts / "native")
    images = np.random.default_rng(0).integers(0, 256, (3, arch.r, arch.r, 3), np.uint8)
    inputs = PREPROCESSING(images)
    import onnxruntime

    session = onnxruntime.InferenceSession(str(artifacts / "model.onnx"), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    outputs = np.concatenate([session.run(None, {name: one[None]})[0] for one in inputs])
    manifest = manifest_of(arch, folder=artifacts)
    write_bundle(
        path / "bundle",
        manifest.model_copy(update={"latency": manifest.latency.model_copy(update={"measured": None})}),
        artifacts=artifacts,
        arch=arch,
        labels=CLASSES,
        preprocessing=PREPROCESSING,
        reference=Reference(images, inputs, outputs),
        measurements=[],
    )
    return path / "bundle"


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Neither square nor small, with structure that a wrong crop or filter would lose."""
    y, x = np.mgrid[0:301, 0:417]
    waves = [128 + 100 * np.sin(x / 31 + y / 17), 255 * (x > y), (3 * x + 5 * y) % 256]
    path = tmp_path_factory.mktemp("pictures") / "waves.png"
    Image.fromarray(np.stack(waves, 2).astype(np.uint8)).save(path)
    return path


def run_py(bundle: Path, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-c", _WITHOUT, str(bundle / "run.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=cwd)


def test_run_py_classifies_as_natdeploy_does(bundle: Path, picture: Path, tmp_path: Path) -> None:
    done = run_py(bundle, str(picture), "--json", "--top", "7", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout).values()
    (expected,) = predict_images(bundle, [picture], top=7, runtime="onnxruntime")
    assert [one["label"] for one in found] == [name for name, _ in expected.classes]
    assert [one["probability"] for one in found] == pytest.approx([p for _, p in expected.classes], abs=1e-6)


@pytest.mark.parametrize("kind", ["photo.jpg", "grey16.png", "turned.jpg", "palette.png"])
def test_run_py_reads_pictures_as_training_did(bundle: Path, picture: Path, tmp_path: Path, kind: str) -> None:
    path, image = tmp_path / kind, Image.open(picture)
    if kind == "photo.jpg":
        image.resize((1600, 1200)).save(path)
    elif kind == "grey16.png":
        Image.fromarray(np.asarray(image)[:, :, 0].astype(np.uint16) * 257).save(path)
    elif kind == "turned.jpg":
        exif = Image.Exif()
        exif[0x0112] = 6
        image.save(path, exif=exif)
    else:
        image.quantize(32).save(path)
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); from run import read_rgb\n"
        "sys.stdout.buffer.write(read_rgb(sys.argv[2]).tobytes())"
    )
    (tmp_path / "own").mkdir()
    shutil.copy(bundle / "run.py", tmp_path / "own")
    command = [sys.executable, "-I", "-c", script, str(tmp_path / "own"), str(path)]
    found = subprocess.run(command, capture_output=True, check=True, timeout=120).stdout
    assert found == read_image(path).tobytes()


def test_run_py_checks_the_bundle(bundle: Path, tmp_path: Path) -> None:
    good = run_py(bundle, "--check")
    assert good.returncode == 0, good.stderr
    damaged = Path(shutil.copytree(bundle, tmp_path / "damaged"))
    (damaged / "labels.json").write_text((damaged / "labels.json").read_text() + " ")
    bad = run_py(damaged, "--check")
    assert bad.returncode == 2
    assert "labels.json: its content is not what SHA256SUMS says" in bad.stderr


def test_a_bundle_in_a_folder_of_any_name_is_checked(bundle: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(bundle, tmp_path / os.fsdecode(b"caf\xe9")))
    assert len(verify_bundle(copy).artifacts) == 2
    done = run_py(copy, "--check")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("arguments", [(), ("nowhere.png",), ("--top", "0", "x.png")])
def test_run_py_refuses_in_one_line(bundle: Path, arguments: tuple[str, ...]) -> None:
    done = run_py(bundle, *arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not shutil.which("g++") and not shutil.which("cmake"), reason="no compiler: apt install g++ cmake")
def test_the_cpp_example_builds_and_agrees(bundle: Path, picture: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(bundle, tmp_path / "bundle"))
    source, build = copy / "examples" / "cpp", tmp_path / "build"
    if shutil.which("cmake"):
        subprocess.run(["cmake", "-S", source, "-B", build], check=True, capture_output=True, timeout=300)
        subprocess.run(["cmake", "--build", build], check=True, capture_output=True, timeout=300)
    else:
        build.mkdir()
        flags = ["-std=c++17", "-O2", "-I", copy / "native", source / "classify.cpp", copy / "native" / "libmodel.so"]
        command = ["g++", *flags, f"-Wl,-rpath,{copy / 'native'}", "-o", build / "classify"]
        subprocess.run(command, check=True, capture_output=True, timeout=300)
    ppm = tmp_path / "picture.ppm"
    Image.open(picture).save(ppm)
    done = subprocess.run([build / "classify", ppm], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    lines = [line.split("  ", 1) for line in done.stdout.splitlines()]
    (expected,) = predict_images(copy, [picture], top=5)
    assert [name for _, name in lines] == [name for name, _ in expected.classes]
    # Pillow resizes in fixed point: a pixel may differ by one of 255.
    assert [float(share) for share, _ in lines] == pytest.approx([p for _, p in expected.classes], abs=0.02)
    refused = subprocess.run([build / "classify", picture], capture_output=True, text=True, timeout=60)
    assert refused.returncode == 2 and "expected a binary PPM" in refused.stderr


JNI = """#include <stdint.h>
typedef int32_t jint; typedef int64_t jlong; typedef float jfloat; typedef void *jobject; typedef jobject jclass;
typedef jobject jarray; typedef jarray jfloatArray; typedef unsigned char jboolean; typedef jint jsize;
struct functions; typedef const struct functions *JNIEnv;
struct functions {
  jclass (*FindClass)(JNIEnv *, const char *); jint (*ThrowNew)(JNIEnv *, jclass, const char *);
  jsize (*GetArrayLength)(JNIEnv *, jarray); jfloat *(*GetFloatArrayElements)(JNIEnv *, jfloatArray, jboolean *);
  void (*ReleaseFloatArrayElements)(JNIEnv *, jfloatArray, jfloat *, jint);
};
#define JNIEXPORT
#define JNICALL
#define JNI_ABORT 2
"""


@pytest.mark.skipif(not shutil.which("gcc"), reason="no C compiler: apt install gcc")
def test_the_jni_source_fits_the_interface(bundle: Path, tmp_path: Path) -> None:
    """Against a jni.h with the declarations that it uses, as Java's specification has them."""
    (tmp_path / "jni.h").write_text(JNI)
    folder = bundle / "examples" / "android"
    flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I", tmp_path, "-I", bundle / "native"]
    done = subprocess.run(["gcc", *flags, folder / "classifier_jni.c"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    kotlin, c = ((folder / name).read_text() for name in ("Classifier.kt", "classifier_jni.c"))
    for name in ("create", "run", "destroy"):
        assert f"external fun {name}(" in kotlin
        assert f"Java_natdeploy_Classifier_{name}(" in c


def test_the_bundle_still_verifies(bundle: Path) -> None:
    assert verify_bundle(bundle).manifest.device.machine == platform.machine()


def test_the_sbom_names_every_artifact_with_its_digest(bundle: Path) -> None:
    found, manifest = read_json(bundle / "sbom.cdx.json", "SBOM"), check_files(bundle)
    assert (found["bomFormat"], found["specVersion"]) == ("CycloneDX", "1.5")
    digests = {one["name"]: one["hashes"][0]["content"] for one in found["components"] if one["type"] == "file"}
    listed = {entry.path: entry.sha256 for entry in manifest.files}
    assert digests == {artifact.path: listed[artifact.path] for artifact in manifest.artifacts}
    references = {one["bom-ref"] for one in (*found["components"], found["metadata"]["component"])}
    assert len(references) == len(found["components"]) + 1
    for dependency in found["dependencies"]:
        assert {dependency["ref"], *dependency["dependsOn"]} <= references
    assert "timestamp" not in found["metadata"]


def test_a_bundle_of_the_version_before_still_verifies(tmp_path: Path) -> None:
    """It has no run.py, no examples, no SBOM and no layer times."""
    from tests.deploy.stand_ins import run_matrix

    folder = tmp_path / "bundle"
    make_bundle(folder)
    for name in ("run.py", "sbom.cdx.json", "layers.json"):
        (folder / name).unlink()
    shutil.rmtree(folder / "examples")
    manifest = read_json(folder / "manifest.json", "manifest")
    kept = [entry for entry in manifest["files"] if (folder / entry["path"]).exists()]
    write_json(folder / "manifest.json", {**manifest, "files": kept})
    write_sums(folder)
    assert verify_bundle(folder, run=run_matrix).files == 12


@given(st.lists(st.text(max_size=12), min_size=1, max_size=5))
def test_labels_reach_cpp_as_they_are(labels: list[str]) -> None:
    header = model_info(manifest_of(archs(1)[0]), labels)
    lines = header.split("kLabels[] = {\n")[1].splitlines()[:-1]
    assert header.isascii()
    for line, label in zip(lines, labels, strict=True):
        text = line.strip().removeprefix('"').removesuffix('",')
        assert '"' not in text and "?" not in text
        assert text.encode().decode("unicode_escape").encode("latin-1").decode() == label
