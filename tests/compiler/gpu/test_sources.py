"""What is written for a graphics processor: the C program, its build files, and plans that no device could run."""

import copy
import platform
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from natdeploy.compiler import Plan, build_artifacts, build_gpu_artifacts, load_onnx, make_network_plan, make_onnx_plan
from natdeploy.compiler.gpu.artifacts import gpu_outputs, need_gpu
from natdeploy.compiler.gpu.link import link_opencl
from natdeploy.compiler.gpu.sources import HOST, LIBRARY, write_gpu_sources
from natdeploy.compiler.onnx_verify import onnxruntime_outputs, random_inputs, relative_error
from natdeploy.compiler.plan import Launch
from natdeploy.compiler.plan_check import GPU_ALIGNMENT, check_plan
from natdeploy.ground.errors import BadInput, DeviceNotReachable
from natdeploy.spaces import Network
from tests.compiler.executable import run_on
from tests.compiler.gpu.conftest import needs_opencl
from tests.compiler.gpu.ndk_stand_in import stand_in_ndk, without_ndk
from tests.compiler.onnx_models import node, save, small_convnet

HERE = f"{platform.machine()}-linux-gnu"
PHONE = {"kind": "opencl", "mtriple": "aarch64-linux-android"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_convnet(tmp_path_factory.mktemp("model") / "small.onnx")


@pytest.fixture(scope="module")
def plan(model: Path) -> Plan:
    return make_onnx_plan(load_onnx(model), target={"kind": "opencl", "mtriple": HERE})


def test_a_plan_is_data(plan: Plan, tmp_path: Path) -> None:
    plan.save(tmp_path / "plan")
    again = Plan.load(tmp_path / "plan")
    assert again.to_json() == plan.to_json() and dict(again.objects) == dict(plan.objects)
    assert all(
        kernel.launch and f"void {kernel.name}(" in plan.objects[kernel.object].decode() for kernel in plan.kernels
    )
    assert all(tensor.offset % GPU_ALIGNMENT == 0 for tensor in plan.tensors)
    assert all(" x " in line for line in plan.table().splitlines()[1:-1])


@pytest.mark.parametrize("launch", [None, Launch((0, 1, 1), (64, 1, 1)), Launch((1, 1, 1), (64, 8, 1))])
def test_a_plan_without_possible_threads_is_refused(plan: Plan, launch: Launch | None) -> None:
    kernels = (replace(plan.kernels[0], launch=launch), *plan.kernels[1:])
    with pytest.raises(BadInput, match=r"no threads that a target of kind 'opencl' could run"):
        check_plan(replace(plan, kernels=kernels))


def test_a_changed_launch_is_refused(plan: Plan) -> None:
    value = copy.deepcopy(plan.to_json())
    value["kernels"][0]["launch"] = [[1, 1], [64, 1, 1]]
    with pytest.raises(BadInput, match=r"plan\.json: not a plan"):
        Plan.from_json(value, plan.constants, plan.objects, where="plan.json")


def test_equal_plans_give_equal_bytes(model: Path, plan: Plan, tmp_path: Path) -> None:
    again = make_onnx_plan(load_onnx(model), target={"kind": "opencl", "mtriple": HERE})
    for name, each in (("one", plan), ("two", again)):
        build_gpu_artifacts(each, tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert {"kernels.cl", "constants.bin", "plan.json", "CMakeLists.txt", "libmodel.so", "model_run"} <= set(files)
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


@needs_opencl
def test_the_executable_names_its_device(plan: Plan, model: Path, tmp_path: Path) -> None:
    executable = build_gpu_artifacts(plan, tmp_path / "out")["executable"]
    (arrays,) = random_inputs(plan, 1, 0)
    values, said = run_on(executable.path, arrays[0])
    expected = onnxruntime_outputs(model, [arrays])[0][0]
    assert relative_error(np.asarray(values).reshape(expected.shape), expected) < 1e-4
    assert re.match(r"(gpu|other): .+ \(.+\)$", said["device"])


@needs_opencl
@pytest.mark.skipif(shutil.which("cmake") is None, reason="needs cmake (Debian: apt install cmake)")
def test_an_app_builds_it_with_cmake(plan: Plan, tmp_path: Path) -> None:
    write_gpu_sources(plan, tmp_path / "model")
    build = ["cmake", "-S", tmp_path / "model", "-B", tmp_path / "build", "-DCMAKE_C_FLAGS=-Werror"]
    subprocess.run(build, check=True, capture_output=True)
    subprocess.run(["cmake", "--build", tmp_path / "build", "--target", "model_run"], check=True, capture_output=True)
    described = subprocess.run([tmp_path / "build" / "model_run"], check=True, capture_output=True, text=True)
    assert '"name": "image"' in described.stdout


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_compilers_have_nothing_to_say(compiler: str, plan: Plan, tmp_path: Path) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"needs {compiler}")
    write_gpu_sources(plan, tmp_path)
    sources = [name for name in LIBRARY if name.endswith(".c")]
    command = [compiler, "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-c", *sources]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(
    not Path("/usr/include/CL/cl.h").exists(), reason="needs OpenCL's headers: apt install opencl-headers"
)
def test_own_declarations_are_khronos(tmp_path: Path) -> None:
    """Names, types and numbers of opencl_abi.h, against the header of the real thing."""
    own = (HOST / "opencl_abi.h").read_text()
    numbers = re.findall(r"(CL_[A-Z_]+)(?: = | )(0x[0-9A-Fa-f]+u?|\d+)", own)
    functions = re.findall(r"F\([\w ]+, (cl\w+),", own)
    assert len(numbers) > 10 and len(functions) > 15
    renamed = re.sub(r"\bCL_([A-Z_]+)\b(?!_)", r"OWN_\1", own)
    renamed = re.sub(r"typedef .*;\n", "", renamed)  # struct tags are the same ones
    lines = [
        "#define CL_TARGET_OPENCL_VERSION 120",
        "#define CL_USE_DEPRECATED_OPENCL_1_1_APIS",
        "#include <CL/cl.h>",
        renamed,
        *(f'_Static_assert(CL_{name[3:]} == OWN_{name[3:]}, "{name}");' for name, _ in numbers),
        "#define SAME(result, name, parameters) \\",
        "  _Static_assert(__builtin_types_compatible_p(__typeof__(&name), result (*) parameters), #name);",
        "OPENCL_FUNCTIONS(SAME)",
        '_Static_assert(sizeof(cl_buffer_region) == 2 * sizeof(size_t), "region");',
        "int main(void) { return 0; }",
    ]
    (tmp_path / "same.c").write_text("\n".join(lines) + "\n")
    command = ["cc", "-std=gnu11", "-Wno-pointer-sign", "-fsyntax-only", "same.c"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_c_side_stays_small() -> None:
    """Lines that hold code, of what only OpenCL has."""
    sources = [path.read_text() for path in HOST.iterdir() if path.suffix in (".c", ".h")]
    code = [re.sub(r"/\*.*?\*/", "", source, flags=re.DOTALL) for source in sources]
    assert 0 < sum(bool(line.strip()) for text in code for line in text.splitlines()) <= 350


@pytest.mark.parametrize("kind", ["cuda", "metal"])
def test_other_languages_are_sources_only(kind: str, model: Path, tmp_path: Path) -> None:
    plan = make_onnx_plan(load_onnx(model), target={"kind": kind})
    artifacts = build_gpu_artifacts(plan, tmp_path)
    assert list(artifacts) == ["source"]
    text = artifacts["source"].path.read_text()
    assert all(len(re.findall(rf"\b{kernel.name}\(", text)) >= 1 for kernel in plan.kernels)
    assert text.count("union __TVMArgUnion") <= 1


def test_nothing_runs_metal(model: Path) -> None:
    plan = make_onnx_plan(load_onnx(model), target={"kind": "metal"})
    with pytest.raises(DeviceNotReachable, match="metal is source code only here: nothing on this machine ran it"):
        gpu_outputs(plan, random_inputs(plan, 1, 0))
    with pytest.raises(DeviceNotReachable, match="metal is source code only here"):
        need_gpu(plan.target)


@pytest.mark.parametrize(
    ("target", "match"),
    [
        ({"kind": "vulkan"}, "field 'kind' must be 'llvm', or one of 'opencl', 'cuda', 'metal', not 'vulkan'"),
        ({"kind": "opencl", "mcpu": "adreno"}, "unknown field 'mcpu'"),
        ({"kind": "opencl", "mtriple": ""}, "field 'mtriple' has the wrong type"),
    ],
)
def test_a_bad_target_is_refused(target: dict[str, str], match: str, tiny: Network) -> None:
    with pytest.raises(BadInput, match=re.escape(match)):
        make_network_plan(tiny, target=target)


def test_an_operator_that_cannot_be_compiled_is_named(tmp_path: Path) -> None:
    nodes = [node("TopK", "x k", "values indices", axis=1)]
    path = save(tmp_path / "topk.onnx", nodes, {"x": [1, 9]}, ["values"], {"k": np.array([3])})
    with pytest.raises(BadInput, match=r"topk\.onnx: operator TopK .* cannot be compiled for opencl"):
        make_onnx_plan(load_onnx(path), target=PHONE)


def test_binaries_of_processors_are_not_made_of_it(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="kind 'opencl' has sources"):
        build_artifacts(plan, tmp_path)


def test_android_takes_an_ndk(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_ndk(monkeypatch)
    with pytest.raises(DeviceNotReachable, match=r"no Android NDK is found; install .* ANDROID_NDK_HOME"):
        link_opencl(plan, "executable", PHONE["mtriple"])
    phone = replace(plan, target=PHONE)
    assert list(build_gpu_artifacts(phone, tmp_path / "without")) == ["source"]
    monkeypatch.setenv("ANDROID_NDK_HOME", str(tmp_path / "nowhere"))
    with pytest.raises(DeviceNotReachable, match=r"ANDROID_NDK_HOME=.*nowhere: no NDK is there"):
        link_opencl(plan, "executable", PHONE["mtriple"])


def test_an_ndk_links_for_the_phone(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in whose clang is this machine's C compiler: what it is called with, and what comes of it."""
    stand_in_ndk(tmp_path / "ndk", "aarch64", monkeypatch)
    artifacts = build_gpu_artifacts(replace(plan, target=PHONE), tmp_path / "out")
    assert list(artifacts) == ["source", "native", "executable"]
    described = subprocess.run([artifacts["executable"].path], check=True, capture_output=True, text=True)
    assert '"name": "image"' in described.stdout
