"""``compile``: artifacts that agree with ONNX Runtime, or one line and nothing written."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from natdeploy import verbs
from natdeploy.cli.main import app
from natdeploy.compiler import Plan, load_onnx
from natdeploy.compiler.onnx_verify import native_outputs, onnxruntime_outputs, relative_error
from natdeploy.ground.errors import BadInput
from natdeploy.verbs.compile import CompileResult
from tests.compiler.conftest import TARGET, home  # noqa: F401 - a cache of this session's own
from tests.compiler.gpu.conftest import cuda_libraries, stand_in_cuda  # noqa: F401
from tests.compiler.onnx_models import node, save, small_convnet
from tests.compiler.test_onnx_read import add_weight

HERE = f"{TARGET['mtriple']}/{TARGET['mcpu']}"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_convnet(tmp_path_factory.mktemp("model") / "small.onnx")


@pytest.fixture(scope="module")
def result(model: Path) -> Iterator[CompileResult]:
    yield verbs.compile(model, target=HERE, out=model.parent / "out", explain=True)


def test_the_artifacts_agree_with_onnx_runtime(model: Path, result: CompileResult) -> None:
    assert result.verified is not None and result.not_verified is None
    assert result.verified.max_rel_error < 1e-5 and result.verified.where == "this machine"
    assert result.artifacts == {"native": "libmodel.so", "archive": "libmodel.a", "executable": "model_run"}
    assert sorted(path.name for path in result.out.iterdir()) == sorted(
        ["plan.json", "model.h", *result.artifacts.values()]
    )
    image = np.random.default_rng(1).standard_normal((1, 3, 10, 12), dtype=np.float32)
    found, expected = native_outputs(result.out / "libmodel.so", [[image]]), onnxruntime_outputs(model, [[image]])
    assert [output.shape for output in found[0]] == [(1, 7), (1, 7)]
    assert all(relative_error(one, other) < 1e-5 for one, other in zip(found[0], expected[0]))


def test_the_explanation_accounts_for_everything(result: CompileResult) -> None:
    assert len(result.layers) == result.calls and sum(layer.macs for layer in result.layers) == result.macs
    assert result.macs == 30 * (27 * 8 + 25 * 8 + 64) + 64 + 56
    blocks, pixels, lanes = result.layers[0].shape
    assert (blocks * lanes, pixels) == (8, 5 * 6)
    assert all(layer.bytes > 0 and layer.measured_ms is not None and layer.measured_ms > 0 for layer in result.layers)
    assert json.dumps(result.to_json())


def test_a_model_in_a_folder_of_any_name_is_compiled_and_verified(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    (folder / "weights.bin").write_bytes(np.arange(4, dtype="<f4").tobytes())
    path = add_weight(folder / "model.onnx", location="weights.bin")
    assert verbs.compile(path, target=HERE, out=folder / "out").verified is not None
    (folder / "out" / "libmodel.so").write_bytes(b"damaged")
    with pytest.raises(BadInput, match="not a loadable library"):
        native_outputs(folder / "out" / "libmodel.so", [])


def test_a_folder_with_other_content_is_left_alone(model: Path, result: CompileResult, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(BadInput, match=r"holds 'thesis.txt', which compiling would replace"):
        verbs.compile(model, target=HERE, out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(BadInput, match="not a folder"):
        verbs.compile(model, target=HERE, out=tmp_path / "thesis.txt")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"device": "host", "target": HERE}, "exclude each other"),
        ({"device": "nope"}, "unknown device 'nope'"),
        ({"target": "cortex-a76"}, "expected TRIPLE/cpu"),
        ({"target": "x86_64-linux-gnu/"}, "expected TRIPLE/cpu"),
        ({"target": "riscv64-linux-gnu/sifive-u74"}, "'riscv64-linux-gnu' cannot be linked"),
        ({"target": f"{TARGET['mtriple']}/pentium99"}, "LLVM knows no 'pentium99'"),
    ],
)
def test_bad_targets(model: Path, tmp_path: Path, given: dict[str, str], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        verbs.compile(model, out=tmp_path / "out", **given)
    assert not (tmp_path / "out").exists()


def test_a_profile_with_an_unknown_processor_is_named(model: Path, tmp_path: Path) -> None:
    profile = tmp_path / "board.yaml"
    profile.write_text(
        "name: board\ntitle: A board\nllvm_triple: aarch64-linux-gnu\nruntimes: [tvm]\nreach: {via: [qemu]}\n"
        "clusters: [{name: cpu, core: Odd, cores: 4, vector_bits: 128, llvm_cpu: cortex-a760}]\n"
    )
    with pytest.raises(BadInput, match=r"hardware profile 'board'.*LLVM knows no 'cortex-a760'; close: cortex-a76"):
        verbs.compile(model, device=str(profile), out=tmp_path / "out")


def bad_inputs(folder: Path) -> dict[str, tuple[list[str], str]]:
    """Command lines of ``compile`` and what each must say."""
    here = ["--target", HERE]
    whole = small_convnet(folder / "whole.onnx")
    (folder / "cut.onnx").write_bytes(whole.read_bytes()[:-99])
    save(folder / "dynamic.onnx", [node("Relu", "x", "y")], {"x": ["batch", 3]}, ["y"])
    nodes = [node("Relu", "x", "r"), node("Det", "r", "y")]
    save(folder / "operator.onnx", nodes, {"x": [2, 3, 3]}, ["y"])
    for name, place in (("missing", "weights.bin"), ("outside", "../weights.bin")):
        add_weight(folder / f"{name}.onnx", location=place)
    (folder / "board.yaml").write_text(
        "name: board\ntitle: A board\nllvm_triple: aarch64-linux-gnu\nruntimes: [tvm]\nreach: {via: [qemu]}\n"
        "clusters: [{name: cpu, core: Odd, cores: 4, vector_bits: 128, llvm_cpu: cortex-a760}]\n"
    )
    return {
        "dynamic shapes": (["dynamic.onnx", *here], "input 'x' has the dynamic shape [batch, 3]"),
        "unsupported operator": (["operator.onnx", *here], "operator Det (node 'y') cannot be compiled"),
        "truncated": (["cut.onnx", *here], "cut.onnx: not a"),
        "external data missing": (["missing.onnx", *here], "external data 'weights.bin' is missing"),
        "external data outside": (["outside.onnx", *here], "is outside the model's folder"),
        "unknown processor": (["whole.onnx", "--device", "board.yaml"], "LLVM knows no 'cortex-a760'"),
    }


def test_bad_input_is_one_line_and_2_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = bad_inputs(tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())
    monkeypatch.chdir(tmp_path)
    for what, (args, words) in given.items():
        found = CliRunner().invoke(app, ["compile", *args, "--out", "out"])
        *progress, message = found.stderr.splitlines()
        assert (found.exit_code, found.stdout) == (2, ""), what
        assert message.startswith("natdeploy: ") and words in message, (what, message)
        assert all(line.startswith("[") for line in progress), what  # of what was done until then
        assert sorted(path.name for path in tmp_path.iterdir()) == before, what


def test_an_operator_that_tvm_lacks_is_named(tmp_path: Path) -> None:
    nodes = [node("Relu", "x", "r"), node("Det", "r", "y")]
    path = save(tmp_path / "model.onnx", nodes, {"x": [2, 3, 3]}, ["y"])
    with pytest.raises(BadInput, match=r"model.onnx: operator Det \(node 'y'\) cannot be compiled"):
        verbs.compile(path, target=HERE, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_another_processor_is_verified_under_emulation(tmp_path: Path) -> None:
    nodes = [node("MatMul", "x w", "c"), node("Gelu", "c", "y")]
    weight = np.random.default_rng(0).standard_normal((5, 9), dtype=np.float32)
    path = save(tmp_path / "model.onnx", nodes, {"x": [3, 5]}, ["y"], {"w": weight}, opset=20)
    if platform.machine() == "aarch64":
        pytest.skip("aarch64 is this machine")
    found = verbs.compile(path, target="aarch64-linux-gnu/cortex-a76", out=tmp_path / "out")
    if found.verified is None:
        pytest.skip(str(found.not_verified))
    assert found.verified.where.startswith("qemu-aarch64") and found.verified.max_rel_error < 1e-5


def test_the_explanation_predicts_layers_as_estimate_does(model: Path, result: CompileResult, tmp_path: Path) -> None:
    assert all(layer.predicted_ms is None for layer in result.layers)
    assert result.predictions == "none: a target is no device, give --device for latencies"
    found = verbs.compile(model, device="pixel4", out=tmp_path / "out", explain=True)
    estimated = {layer.name: layer.latency_ms for layer in verbs.estimate(model, device="pixel4", top=1000).costliest}
    predicted = {layer.layer: layer.predicted_ms for layer in found.layers if layer.predicted_ms is not None}
    assert predicted == estimated and len(predicted) >= len(found.layers) / 2
    assert "published measurements" in found.predictions
    nothing = verbs.compile(model, device="pixel4", out=tmp_path / "out")
    assert (nothing.layers, nothing.predictions) == ((), "")


def test_the_plan_is_saved_with_the_models_own_names(model: Path, result: CompileResult) -> None:
    said = json.loads((result.out / "plan.json").read_text())
    assert [port["name"] for port in said["inputs"]] == ["image"]
    assert [port["name"] for port in said["outputs"]] == list(load_onnx(model).output_names)
    assert said["producer"] == "onnx-kernels" and Plan is not None


def test_for_a_graphics_processor_it_writes_sources(model: Path, tmp_path: Path) -> None:
    result = verbs.compile(model, device="pixel4-gpu", out=tmp_path / "out", explain=True)
    written = {path.name for path in result.out.iterdir()}
    assert {"kernels.cl", "constants.bin", "plan.json", "CMakeLists.txt", "natdeploy_opencl.c", "model.c"} <= written
    assert result.target == {"kind": "opencl", "mtriple": "aarch64-linux-android"}
    assert all(layer.threads and layer.measured_ms is None for layer in result.layers)
    assert (result.verified is None) != (result.not_verified is None)
    if result.verified is None:
        pytest.skip(f"written, but {result.not_verified}")
    assert result.verified.max_rel_error < 1e-4 and result.verified.inputs == 3
    assert json.dumps(result.to_json())


def test_what_nothing_here_can_run_is_said_to_be_not_verified(model: Path, tmp_path: Path) -> None:
    result = verbs.compile(model, target="metal/arm64-apple-ios", out=tmp_path / "out")
    assert result.artifacts == {"source": "kernels.metal"} and result.verified is None
    assert result.not_verified == "metal is source code only here: nothing on this machine ran it"


def test_without_opencl_nothing_is_claimed(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("natdeploy.devices.opencl.count_platforms", _no_platforms)
    result = verbs.compile(model, device="pixel4-gpu", out=tmp_path / "out")
    assert result.verified is None and result.not_verified is not None
    assert "no OpenCL" in result.not_verified and "apt install pocl-opencl-icd" in result.not_verified


def _no_platforms() -> int:
    return 0


@pytest.mark.usefixtures("stand_in_cuda")
def test_cuda_is_verified_and_timed_where_a_graphics_processor_is(model: Path, tmp_path: Path) -> None:
    found = verbs.compile(model, device="host-cuda", out=tmp_path / "out", explain=True)
    assert found.verified is not None and found.verified.where == "gpu: Stand-in H100 (CUDA, sm_90)"
    assert found.verified.max_rel_error < 1e-4 and found.artifacts == {"source": "kernels.cu"}
    assert all(layer.measured_ms is not None and layer.measured_ms > 0 and layer.threads for layer in found.layers)


@pytest.mark.usefixtures("stand_in_cuda")
def test_cuda_without_a_graphics_processor_is_source_that_nothing_verified(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_CUDA", "none")
    found = verbs.compile(model, device="dgx-a100", out=tmp_path / "out", explain=True)
    assert found.verified is None and "no graphics processor that it can use" in str(found.not_verified)
    assert (tmp_path / "out" / "kernels.cu").is_file() and all(layer.measured_ms is None for layer in found.layers)
    done = CliRunner().invoke(app, ["compile", str(model), "--device", "host-cuda", "--out", str(tmp_path / "none")])
    assert done.exit_code == 3 and "no graphics processor that it can use" in done.output
    assert not (tmp_path / "none").exists()
