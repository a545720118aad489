"""CUDA kernels through TVM's runtime: on a stand-in for the graphics processor, and on a real one if there is one."""

import platform
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from natdeploy.compiler import (
    Plan,
    build_gpu_artifacts,
    compile_layers,
    load_onnx,
    make_network_plan,
    make_onnx_plan,
    source_outputs,
)
from natdeploy.compiler.gpu.cuda_local import CudaLocal, PlanOnCuda, need_cuda_of, open_sources
from natdeploy.compiler.gpu.nvcc import cubin, find_nvcc
from natdeploy.compiler.gpu.sources import load_gpu_sources
from natdeploy.compiler.onnx_verify import onnxruntime_outputs, random_inputs, relative_error
from natdeploy.devices.cuda import need_cuda
from natdeploy.ground.errors import BadInput, ChildFailed, DeviceNotReachable, TimingNotPossible
from natdeploy.spaces import Network, get_space, random_network
from tests.compiler import reference
from tests.compiler.conftest import ODD, odd_network, tiny_layers
from tests.compiler.gpu.conftest import CUDA_STAND_IN
from tests.compiler.onnx_models import small_convnet

TARGET = {"kind": "cuda", "arch": "sm_75", "mtriple": f"{platform.machine()}-linux-gnu"}
SPACE = get_space("mbv3-micro")


@cache
def reason_against_cuda() -> str | None:
    """Why CUDA does not run on this machine, if it does not."""
    try:
        need_cuda()
        find_nvcc()
    except DeviceNotReachable as error:
        return str(error)
    return None


def real_nvcc() -> str | None:
    """NVIDIA's compiler, if it is here."""
    return shutil.which("nvcc")


needs_cuda = pytest.mark.skipif(reason_against_cuda() is not None, reason="needs an NVIDIA graphics processor and nvcc")
needs_nvcc = pytest.mark.skipif(real_nvcc() is None, reason="needs nvcc, of NVIDIA's CUDA toolkit")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_convnet(tmp_path_factory.mktemp("model") / "small.onnx")


@pytest.fixture(scope="module")
def plan(model: Path) -> Plan:
    return make_onnx_plan(load_onnx(model), target=TARGET)


@pytest.fixture(scope="module")
def compiled(home: Path) -> None:
    """The small networks' kernels, all at once: one start of TVM."""
    compile_layers([tiny_layers(), *(odd_network(kind).layers for kind in ODD)], target=TARGET)


@pytest.fixture
def kernels(plan: Plan, tmp_path: Path) -> Path:
    return build_gpu_artifacts(plan, tmp_path / "out")["source"].path


def check(network: Network, folder: Path, where: str) -> None:
    """Two runs of a network give the same, and what the reference gives; the second sees nothing of the first."""
    kernels = build_gpu_artifacts(make_network_plan(network, target=TARGET), folder)["source"].path
    images = list(np.random.default_rng(5).standard_normal((2, *network.input_shape), dtype=np.float32))
    said, outputs = source_outputs(kernels, [[images[0]], [images[1]], [images[0]]])
    assert where in said
    np.testing.assert_array_equal(outputs[0][0], outputs[2][0])
    for image, (found,) in zip(images, outputs):
        assert reference.relative_error(found, reference.reference(network, image)) < 1e-4


@pytest.mark.usefixtures("compiled")
def test_every_operator_equals_the_reference(stand_in_cuda: pytest.MonkeyPatch, tmp_path: Path) -> None:
    check(random_network(tiny_layers(), seed=3), tmp_path, "gpu: Stand-in H100 (CUDA, sm_90)")


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("kind", ODD)
def test_odd_shapes_equal_the_reference(kind: str, stand_in_cuda: pytest.MonkeyPatch, tmp_path: Path) -> None:
    check(odd_network(kind), tmp_path, "Stand-in H100")


@pytest.mark.slow
def test_subnets_equal_the_reference(stand_in_cuda: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for seed, arch in enumerate((SPACE.smallest(), SPACE.sample(np.random.default_rng(4)))):
        check(random_network(SPACE.layers(arch), seed), tmp_path / str(seed), "Stand-in H100")


@needs_cuda
def test_a_real_graphics_processor_equals_the_reference(tmp_path: Path) -> None:
    check(random_network(tiny_layers(), seed=3), tmp_path / "tiny", "(CUDA, sm_")
    check(random_network(SPACE.layers(SPACE.sample(np.random.default_rng(4))), 1), tmp_path / "micro", "(CUDA, sm_")


def test_an_onnx_model_equals_onnx_runtime(
    stand_in_cuda: pytest.MonkeyPatch, model: Path, plan: Plan, kernels: Path
) -> None:
    (arrays,) = random_inputs(plan, 1, 0)
    (expected,) = onnxruntime_outputs(model, [arrays])
    with open_sources(kernels) as opened:
        for found, wanted in zip(opened.run(arrays), expected):
            assert relative_error(found, wanted) < 1e-4
        times, calls = opened.time_ms(3, arrays), opened.time_calls_ms(arrays, 2)
    assert len(times) == 3 and len(calls) == len(plan.calls) and min(*times, *calls) > 0


def test_inputs_of_another_shape_are_refused(stand_in_cuda: pytest.MonkeyPatch, plan: Plan, kernels: Path) -> None:
    (arrays,) = random_inputs(plan, 1, 0)
    with open_sources(kernels) as opened:
        with pytest.raises(BadInput, match=r"input 'image' is float32\[1\], expected float32\["):
            opened.run([np.zeros(1, np.float32)])
        with pytest.raises(BadInput, match="2 inputs given, the model takes 1"):
            opened.run(arrays * 2)


def test_a_driver_that_dies_takes_nobody_along(stand_in_cuda: pytest.MonkeyPatch, plan: Plan, kernels: Path) -> None:
    stand_in_cuda.setenv("STAND_IN_CUDA", "crash")
    (arrays,) = random_inputs(plan, 1, 0)
    with open_sources(kernels) as opened, pytest.raises(ChildFailed, match="CUDA: the child process died by signal 6"):
        opened.run(arrays)


def test_a_driver_that_refuses_the_kernels_is_named(stand_in_cuda: pytest.MonkeyPatch, kernels: Path) -> None:
    """TVM loads them when the first of them is started."""
    stand_in_cuda.setenv("STAND_IN_CUDA", "refuse")
    plan = load_gpu_sources(kernels.parent)
    with pytest.raises(DeviceNotReachable, match="the graphics processor does not do what it should"):
        source_outputs(kernels, random_inputs(plan, 1, 0))


def test_without_a_graphics_processor_the_driver_is_no_use(stand_in_cuda: pytest.MonkeyPatch, kernels: Path) -> None:
    stand_in_cuda.setenv("STAND_IN_CUDA", "none")
    with pytest.raises(DeviceNotReachable, match="no graphics processor that it can use; see what nvidia-smi says"):
        source_outputs(kernels, [])


@pytest.mark.skipif(reason_against_cuda() is None, reason="this machine has an NVIDIA graphics processor")
def test_without_a_driver_nothing_runs_and_nothing_stands_in(kernels: Path) -> None:
    with pytest.raises(DeviceNotReachable) as refused:
        source_outputs(kernels, [])
    assert refused.value.exit_code == 3 and len(str(refused.value).splitlines()) == 1


def test_another_device_than_the_profile_s_is_not_timed(
    stand_in_cuda: pytest.MonkeyPatch, plan: Plan, tmp_path: Path
) -> None:
    artifact = build_gpu_artifacts(plan, tmp_path)["source"]
    assert need_cuda_of({"kind": "cuda", "arch": "sm_90"}).arch == need_cuda_of({"kind": "cuda"}).arch == "sm_90"
    with pytest.raises(TimingNotPossible, match=r"is Stand-in H100 \(sm_90\), the hardware profile's is one of sm_80"):
        need_cuda_of({"kind": "cuda", "arch": "sm_80"})
    CudaLocal().open(artifact).close()
    artifact.path.write_bytes(artifact.path.read_bytes() + b"// changed\n")
    with pytest.raises(BadInput, match=r"kernels\.cu: damaged or replaced"):
        CudaLocal().open(artifact)


def test_a_folder_of_sources_is_a_plan(plan: Plan, kernels: Path) -> None:
    again = load_gpu_sources(kernels.parent)
    assert again.calls == plan.calls and again.tensors == plan.tensors and again.constants == plan.constants
    assert [kernel.launch for kernel in again.kernels] == [kernel.launch for kernel in plan.kernels]
    constants = kernels.with_name("constants.bin")
    constants.write_bytes(constants.read_bytes()[:-1])
    with pytest.raises(BadInput, match=r"plan\.json: the constants are not those of the plan"):
        load_gpu_sources(kernels.parent)
    constants.unlink()
    with pytest.raises(BadInput, match=r"constants\.bin: cannot be read: No such file"):
        load_gpu_sources(kernels.parent)


@pytest.mark.parametrize("content", ["{}", "[]", '{"target": {"kind": "llvm"}}'])
def test_what_is_no_plan_for_a_graphics_processor_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(content)
    with pytest.raises(BadInput, match=r"plan\.json: not a plan for a graphics processor"):
        load_gpu_sources(tmp_path)


def test_kernels_of_another_language_are_not_taken_for_cuda(plan: Plan, model: Path, tmp_path: Path) -> None:
    metal = make_onnx_plan(load_onnx(model), target={"kind": "metal"})
    kernels = build_gpu_artifacts(metal, tmp_path)["source"].path
    with pytest.raises(BadInput, match="written in metal, not in CUDA"):
        open_sources(kernels)


@needs_nvcc
@pytest.mark.parametrize("arch", ["sm_75", pytest.param("sm_90", marks=pytest.mark.slow)])
def test_nvcc_compiles_the_micro_space(arch: str, tmp_path: Path) -> None:
    for name, chosen in (("smallest", SPACE.smallest()), ("other", SPACE.sample(np.random.default_rng(1)))):
        plan = make_network_plan(random_network(SPACE.layers(chosen, 10), 0), target={**TARGET, "arch": arch})
        source = build_gpu_artifacts(plan, tmp_path / name)["source"].path.read_bytes()
        code = cubin(source, arch)
        assert code[:4] == b"\x7fELF" and all(kernel.name.encode() in code for kernel in plan.kernels)


@needs_nvcc
@pytest.mark.parametrize("arch", ["sm_75", "sm_90"])
def test_nvcc_compiles_sums_across_a_warp(arch: str, kernels: Path) -> None:
    source = kernels.read_bytes()
    assert b"__shfl_down_sync" in source
    assert cubin(source, arch)[:4] == b"\x7fELF"


@needs_nvcc
@pytest.mark.slow
def test_nvcc_compiles_a_full_size_subnet(tmp_path: Path) -> None:
    space = get_space("ofa-mbv3-w1.0")
    network = random_network(space.layers(space.sample(np.random.default_rng(4))), 0)
    kernels = build_gpu_artifacts(make_network_plan(network, target=TARGET), tmp_path)["source"].path
    assert cubin(kernels.read_bytes(), "sm_80")[:4] == b"\x7fELF"


@needs_nvcc
def test_nvcc_names_what_it_refuses() -> None:
    with pytest.raises(ChildFailed, match=r"nvcc -arch=sm_75 ended with status \d+: .*error"):
        cubin(b"__global__ void broken() { return 1 + ; }", "sm_75")
    with pytest.raises(ChildFailed, match=r"nvcc -arch=sm_11 ended with status"):
        cubin(b"", "sm_11")


@pytest.mark.parametrize("arch", ["adreno", "sm_80 -o /etc/passwd", ""])
def test_an_arch_that_is_none_is_refused(arch: str) -> None:
    with pytest.raises(BadInput, match=r"field 'arch': expected sm_ and a number such as sm_80"):
        cubin(b"", arch)


def test_without_nvcc_there_is_advice(stand_in_cuda: pytest.MonkeyPatch, kernels: Path, tmp_path: Path) -> None:
    stand_in_cuda.setenv("PATH", str(tmp_path))
    stand_in_cuda.setattr("natdeploy.compiler.gpu.nvcc.cuda_folders", lambda: iter([tmp_path]))
    with pytest.raises(DeviceNotReachable, match="no nvcc to compile CUDA kernels with; install NVIDIA's CUDA toolkit"):
        source_outputs(kernels, [])
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "nvcc").symlink_to(CUDA_STAND_IN / "nvcc")
    assert find_nvcc() == tmp_path / "bin" / "nvcc"


def test_compiled_code_is_kept(stand_in_cuda: pytest.MonkeyPatch, plan: Plan, kernels: Path) -> None:
    first = cubin(kernels.read_bytes(), "sm_90")
    with PlanOnCuda(replace(plan), kernels.read_bytes()):
        assert cubin(kernels.read_bytes(), "sm_90") == first
