"""libmodel.so: outputs, bytes, the C interface, the kernel cache behind it."""

import ctypes
import json
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from natdeploy.compiler import TUNING, Artifact, KernelCache, build_native, compile_layers, toolchain_versions
from natdeploy.compiler.native import RUNTIME
from natdeploy.compiler.tuning import RULES
from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import sha256_file
from natdeploy.spaces import Arch, Network, get_space, random_network
from tests.compiler.conftest import ODD, TARGET, odd_network
from tests.compiler.library import Library, pointers, run_library
from tests.compiler.reference import reference, relative_error


def image_for(network: Network) -> np.ndarray:
    return np.random.default_rng(5).standard_normal(network.input_shape, dtype=np.float32)


def check_subnets(archs: list[Arch], cache: KernelCache, folder: Path) -> None:
    space = get_space(archs[0].space)
    compile_layers([space.layers(arch) for arch in archs], target=TARGET, cache=cache)
    for seed, arch in enumerate(archs):
        network = random_network(space.layers(arch), seed)
        artifact = build_native(network, target=TARGET, folder=folder / str(seed), cache=cache)
        image = image_for(network)
        error = relative_error(run_library(artifact.path, image, space.num_classes), reference(network, image))
        # Random weights make deep networks amplify rounding: on full-size ones torch's own float32 is off by 2e-5 and
        # ONNX Runtime by 5e-5, on one of these small ones torch's is by 8e-6.
        assert error < (2e-5 if arch.space == "mbv3-micro" else 1e-4), arch


def test_subnets_equal_the_reference(cache: KernelCache, tmp_path: Path) -> None:
    """Smallest and largest, of the lowest and highest resolution, and a random one between."""
    space = get_space("mbv3-micro")
    between = replace(space.sample(np.random.default_rng(1)), r=space.resolutions[1])
    check_subnets([space.smallest(), space.largest(), between], cache, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mbv3-micro", "ofa-mbv3-w1.0", "ofa-mbv3-w1.2"])
def test_random_subnets_equal_the_reference(name: str, cache: KernelCache, tmp_path: Path) -> None:
    space = get_space(name)
    rng = np.random.default_rng(2)
    resolutions = space.resolutions if name == "mbv3-micro" else rng.choice(space.resolutions, 2).tolist()
    check_subnets([replace(space.sample(rng), r=r) for r in (*resolutions, *resolutions)], cache, tmp_path)


@pytest.mark.parametrize("producer", ["kernels", "relax"])
def test_odd_shapes_equal_the_reference(producer: str, cache: KernelCache, tmp_path: Path) -> None:
    for kind in ODD:
        network = odd_network(kind)
        artifact = build_native(network, target=TARGET, folder=tmp_path / kind, cache=cache, producer=producer)
        image = image_for(network)
        error = relative_error(run_library(artifact.path, image, 3), reference(network, image))
        assert error < 1e-5, kind


def test_stock_relax_is_there_by_name(tiny: Network, cache: KernelCache, tmp_path: Path) -> None:
    path = build_native(tiny, target=TARGET, folder=tmp_path, cache=cache, producer="relax").path
    assert json.loads((tmp_path / "plan.json").read_text())["producer"] == "relax"
    image = image_for(tiny)
    assert relative_error(run_library(path, image, 11), reference(tiny, image)) < 1e-5


def test_the_artifact_says_what_it_is(tiny_native: Artifact) -> None:
    assert (tiny_native.kind, tiny_native.input_shape, tiny_native.output_shape) == ("native", (1, 3, 9, 7), (1, 11))
    assert tiny_native.digest == sha256_file(tiny_native.path)
    assert tiny_native.toolchain == {**toolchain_versions("native"), TUNING: RULES}
    assert {"apache-tvm", "ziglang", "natdeploy-native"} <= set(tiny_native.toolchain)


def test_a_moved_folder_still_runs(tiny: Network, tiny_native: Artifact, tmp_path: Path) -> None:
    moved = shutil.copytree(tiny_native.path.parent, tmp_path / "elsewhere")
    image = image_for(tiny)
    assert relative_error(run_library(moved / "libmodel.so", image, 11), reference(tiny, image)) < 1e-5


def test_known_kernels_are_not_compiled_again(
    tiny: Network, tiny_native: Artifact, cache: KernelCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_child(*_: object, **__: object) -> None:
        raise AssertionError("a child was started")

    monkeypatch.setattr("natdeploy.compiler.kernel_objects.ChildWorker", no_child)
    assert build_native(tiny, target=TARGET, folder=tmp_path, cache=cache).digest == tiny_native.digest


def test_a_damaged_kernel_is_compiled_again(
    tiny: Network, tiny_native: Artifact, cache: KernelCache, tmp_path: Path
) -> None:
    own = KernelCache(tmp_path / "kernels")
    shutil.copytree(cache.root, own.root)
    build_native(tiny, target=TARGET, folder=tmp_path / "a", cache=own)
    first = json.loads((tmp_path / "a" / "plan.json").read_text())["kernels"][0]["object"]
    entry = next(path for path in own.root.rglob("*.o") if path.read_bytes().startswith(first.encode()))
    whole = entry.read_bytes()
    entry.write_bytes(whole[:-10] + bytes(10))
    assert build_native(tiny, target=TARGET, folder=tmp_path / "b", cache=own).digest == tiny_native.digest
    assert entry.read_bytes() == whole


def test_descriptions(tiny_native: Artifact) -> None:
    library = Library(tiny_native.path)
    assert library.c.natdeploy_interface_version() == 2
    assert library.c.natdeploy_input_count(library.model) == library.c.natdeploy_output_count(library.model) == 1
    assert library.c.natdeploy_input(library.model, 1) is None and library.c.natdeploy_output(None, 0) is None
    names = [
        library.c.natdeploy_call_name(library.model, i) for i in range(library.c.natdeploy_call_count(library.model))
    ]
    assert names[0] == b"stem" and names[-1] == b"classifier"
    assert library.c.natdeploy_arena_bytes(library.model) > 0 < library.c.natdeploy_constant_bytes(library.model)


def test_misuse_is_a_status_and_a_message(tiny: Network, tiny_native: Artifact) -> None:
    library = Library(tiny_native.path)
    instance = ctypes.c_void_p(1)
    assert library.c.natdeploy_create(library.model, 0, ctypes.byref(instance)) == 1 and not instance
    assert library.c.natdeploy_create(None, 1, ctypes.byref(instance)) == 1
    assert library.c.natdeploy_run(None, None, None) == 1
    library.c.natdeploy_destroy(None)
    instance = library.create()
    assert library.error(instance) == ""
    image, out = image_for(tiny), np.zeros(11, np.float32)
    assert library.c.natdeploy_run(instance, (ctypes.c_void_p * 1)(None), pointers(out)) == 1
    assert library.error(instance) == "bad argument: no data for input input"
    assert library.c.natdeploy_run(instance, pointers(image), (ctypes.c_void_p * 1)(None)) == 1
    assert library.error(instance) == "bad argument: no room for output logits"
    assert library.c.natdeploy_time(instance, pointers(image), pointers(out), 0, None) == 1
    assert library.c.natdeploy_status_text(2) == b"out of memory"
    library.c.natdeploy_destroy(instance)


def test_instances_share_nothing(tiny: Network, tiny_native: Artifact) -> None:
    library = Library(tiny_native.path)
    images = [np.random.default_rng(seed).standard_normal(tiny.input_shape, dtype=np.float32) for seed in range(4)]
    expected = [run_library(tiny_native.path, image, 11) for image in images]
    found: list[list[np.ndarray]] = [[] for _ in images]

    def work(index: int) -> None:
        instance = library.create()
        found[index] = [library.run(instance, images[index], 11) for _ in range(200)]
        library.c.natdeploy_destroy(instance)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for outputs, one in zip(found, expected):
        assert len(outputs) == 200 and all(np.array_equal(output, one) for output in outputs)


def test_unaligned_buffers_will_do(tiny: Network, tiny_native: Artifact) -> None:
    library = Library(tiny_native.path)
    instance = library.create()
    image = image_for(tiny)
    memory = np.zeros(image.nbytes + 1, np.uint8)
    memory[1:] = image.view(np.uint8).reshape(-1)
    assert np.array_equal(library.run(instance, memory[1:], 11), library.run(instance, image, 11))
    library.c.natdeploy_destroy(instance)


def test_timed_runs_compute_too(tiny: Network, tiny_native: Artifact) -> None:
    library = Library(tiny_native.path)
    instance = library.create()
    image, out = image_for(tiny), np.zeros((1, 11), np.float32)
    times = (ctypes.c_double * 5)(*[-1] * 5)
    assert library.c.natdeploy_time(instance, pointers(image), pointers(out), 5, times) == 0
    assert all(0 < time < 1000 for time in times)
    count = library.c.natdeploy_call_count(library.model)
    calls = (ctypes.c_double * count)(*[-1] * count)
    assert library.c.natdeploy_time_calls(instance, pointers(image), pointers(out), calls) == 0
    assert all(0 <= time < 1000 for time in calls)
    assert relative_error(out, reference(tiny, image)) < 1e-5
    library.c.natdeploy_destroy(instance)


def test_only_the_interface_is_exported(tiny_native: Artifact) -> None:
    library = Library(tiny_native.path)
    for hidden in ("natdeploy_constants", "__TVMBackendParallelLaunch", "__tvm_ffi_main"):
        assert not hasattr(library.c, hidden), hidden


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "vulkan"}, "'kind' must be 'llvm'"),
        ({"mcpu": "native"}, "LLVM's name of a processor"),
        ({"mcpu": None}, "field 'mcpu' has the wrong type"),
        ({"flags": "-O3"}, "unknown field 'flags'"),
        ({"mtriple": "riscv64-linux-gnu"}, "'riscv64-linux-gnu' cannot be linked"),
        ({"mcpu": "pentium99"}, "LLVM knows no 'pentium99'"),
    ],
)
def test_bad_targets(tiny: Network, tmp_path: Path, change: dict, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        build_native(tiny, target={**TARGET, **change}, folder=tmp_path / "out", cache=KernelCache(tmp_path / "cache"))
    assert not (tmp_path / "out").exists()


def test_unknown_producer(tiny: Network, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="unknown plan producer 'magic'; known: relax"):
        build_native(tiny, target=TARGET, folder=tmp_path / "out", producer="magic")
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_bad_input(tiny: Network, cache: KernelCache, tmp_path: Path) -> None:
    (tmp_path / "libmodel.so").symlink_to("/dev/full")
    with pytest.raises(BadInput, match="the disk is full"):
        build_native(tiny, target=TARGET, folder=tmp_path, cache=cache)


def test_our_layouts_are_those_of_tvm_ffi(tmp_path: Path) -> None:
    """The runtime's own declarations, compiled beside TVM's headers."""
    tvm_ffi = pytest.importorskip("tvm_ffi")
    pairs = {"abi_tensor": "DLTensor", "abi_value": "TVMFFIAny", "abi_dtype": "DLDataType"}
    fields = {("abi_tensor", f, "DLTensor", f) for f in ("data", "ndim", "dtype", "shape", "strides", "byte_offset")}
    fields |= {("abi_value", "tag", "TVMFFIAny", "type_index"), ("abi_value", "value", "TVMFFIAny", "v_ptr")}
    lines = ["#include <tvm/ffi/c_api.h>", '#include "tvm_abi.h"', "int main(void) {"]
    lines += [f'_Static_assert(sizeof({a}) == sizeof({b}), "{a}");' for a, b in pairs.items()]
    lines += [f'_Static_assert(offsetof({a}, {x}) == offsetof({b}, {y}), "{a}.{x}");' for a, x, b, y in fields]
    lines += ['_Static_assert(ABI_TAG_TENSOR == kTVMFFIDLTensorPtr && ABI_DEVICE_CPU == kDLCPU, "numbers");']
    (tmp_path / "layout.c").write_text("\n".join([*lines, "return 0; }", ""]))
    include = Path(tvm_ffi.__file__).parent / "include"
    command = [
        sys.executable,
        "-m",
        "ziglang",
        "cc",
        "-c",
        "-o",
        "layout.o",
        f"-I{include}",
        f"-I{RUNTIME}",
        "layout.c",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
