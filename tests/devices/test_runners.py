import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from natdeploy.compiler import Artifact, build_native, build_onnx
from natdeploy.devices import get_runner, llvm_target, load_profile
from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import sha256_file
from natdeploy.spaces import Layer, Network, random_network

LAYERS = (
    Layer("a", "conv", ("input",), 3, 8, 8, 16, 4, 4, 3, 2, activation="hswish"),
    Layer("b", "pool", ("a",), 16, 4, 4, 16, 1, 1),
    Layer("c", "linear", ("b",), 16, 1, 1, 5, 1, 1, bias=True),
)
RUNTIMES = ("onnxruntime", "tvm")


@pytest.fixture(scope="module")
def network() -> Network:
    return random_network(LAYERS, seed=3)


@pytest.fixture(scope="module")
def artifacts(network: Network, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    folder = tmp_path_factory.mktemp("artifacts")
    target = llvm_target(load_profile("host"))
    return {
        "onnxruntime": build_onnx(network, folder / "onnx"),
        "tvm": build_native(network, target=target, folder=folder / "native"),
    }


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_runs_and_times(runtime: str, artifacts: dict[str, Artifact], network: Network) -> None:
    x = np.random.default_rng(0).standard_normal((1, 3, 8, 8), dtype=np.float32)
    expected = reference(network, x)
    session = get_runner(runtime).open(artifacts[runtime], threads=1)
    try:
        np.testing.assert_allclose(session.run(x), expected, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(session.run(np.asfortranarray(x)), expected, rtol=1e-4, atol=1e-4)
        times = session.time_ms(7, x)
        assert len(times) == 7 and all(0 < one < 1000 for one in times)
        np.testing.assert_allclose(session.run(x), expected, rtol=1e-4, atol=1e-4)
    finally:
        session.close()
        session.close()


def reference(network: Network, x: np.ndarray) -> np.ndarray:
    padded = np.pad(x[0].astype(np.float64), ((0, 0), (1, 1), (1, 1)))
    out = np.zeros((16, 4, 4))
    for row in range(4):
        for column in range(4):
            patch = padded[:, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
            out[:, row, column] = np.tensordot(network.weights["a.weight"], patch, 3) + network.weights["a.bias"]
    out = out * np.clip(out + 3, 0, 6) / 6
    return (network.weights["c.weight"] @ out.mean(axis=(1, 2)) + network.weights["c.bias"])[None]


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(
    "x",
    [
        np.zeros((1, 3, 9, 8), np.float32),
        np.zeros((3, 8, 8), np.float32),
        np.zeros((1, 3, 8, 8), np.float64),
        [[0.0]],
    ],
)
def test_a_wrong_input_is_refused(runtime: str, artifacts: dict[str, Artifact], x: np.ndarray) -> None:
    session = get_runner(runtime).open(artifacts[runtime])
    with pytest.raises(BadInput, match=r"expected float32\[1, 3, 8, 8\]"):
        session.run(x)
    with pytest.raises(BadInput, match=r"expected float32\[1, 3, 8, 8\]"):
        session.time_ms(1, x)
    session.close()


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_an_artifact_of_other_shapes_is_refused(runtime: str, artifacts: dict[str, Artifact]) -> None:
    with pytest.raises(BadInput, match="input is"):
        get_runner(runtime).open(dataclasses.replace(artifacts[runtime], input_shape=(1, 3, 16, 16)))


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("damage", ["flip", "half", "empty", "text", "missing", "replaced by text"])
def test_a_damaged_artifact_is_one_line(
    runtime: str, damage: str, artifacts: dict[str, Artifact], tmp_path: Path
) -> None:
    good = artifacts[runtime]
    path = tmp_path / good.path.name
    data = bytearray(good.path.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 0xFF
    elif damage == "half":
        data = data[: len(data) // 2]
    elif damage == "empty":
        data = bytearray()
    elif damage in ("text", "replaced by text"):
        data = bytearray(b"not a model")
    if damage != "missing":
        path.write_bytes(data)
    digest = sha256_file(path) if damage == "replaced by text" else good.digest
    with pytest.raises(BadInput) as caught:
        get_runner(runtime).open(dataclasses.replace(good, path=path, digest=digest))
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("int x(void) { return 2; }", "not a natdeploy library, natdeploy_interface_version is missing"),
        ("int natdeploy_interface_version(void) { return 1; }", "has version 1 .* takes version 2; build it again"),
        ("int natdeploy_interface_version(void) { return 2; }", "not a natdeploy library, natdeploy_default_model is"),
    ],
)
def test_a_library_of_others_or_of_another_version_is_refused(
    text: str, expected: str, tmp_path: Path, artifacts: dict[str, Artifact]
) -> None:
    source, path = tmp_path / "x.c", tmp_path / "libx.so"
    source.write_text(text)
    subprocess.run([sys.executable, "-m", "ziglang", "cc", "-shared", "-o", str(path), str(source)], check=True)
    other = dataclasses.replace(artifacts["tvm"], path=path, digest=sha256_file(path))
    with pytest.raises(BadInput, match=expected):
        get_runner("tvm").open(other)


def test_artifact_of_the_other_kind_and_unknown_runtime(artifacts: dict[str, Artifact]) -> None:
    with pytest.raises(BadInput, match="runs onnx artifacts, not native"):
        get_runner("onnxruntime").open(artifacts["tvm"])
    with pytest.raises(BadInput, match="unknown runner 'abacus'; known: onnxruntime, tvm"):
        get_runner("abacus")
