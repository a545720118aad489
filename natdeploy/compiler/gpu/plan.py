"""From an ONNX model to the plan for a graphics processor: each group of nodes one job, usually one kernel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from natdeploy.compiler.gpu.code import DeviceCode
from natdeploy.compiler.gpu.entry import compile_jobs
from natdeploy.compiler.gpu.target import check_gpu_target
from natdeploy.compiler.kernel_cache import KernelCache
from natdeploy.compiler.kernel_objects import Progress, object_code
from natdeploy.compiler.onnx_groups import group_nodes, ports
from natdeploy.compiler.onnx_jobs import bind
from natdeploy.compiler.onnx_model import OnnxModel
from natdeploy.compiler.plan import Call, Kernel, Plan, View, make_plan
from natdeploy.compiler.toolchain import sources_digest, toolchain_versions
from natdeploy.ground.files import sha256_bytes

PRODUCER = "onnx-gpu"


def make_gpu_plan(
    model: OnnxModel, *, target: Mapping[str, Any], cache: KernelCache | None = None, progress: Progress | None = None
) -> Plan:
    """The static plan of an ONNX model for a graphics processor; inputs and outputs keep their names and order.

    Raises BadInput for an operator that cannot be compiled (named with its node) and a bad target, ChildFailed where
    TVM crashes.
    """
    checked, cache = check_gpu_target(target), cache or KernelCache()
    groups = group_nodes(model)
    steps = [(group, bind(model, groups, group)) for group in groups.order]
    codes = _device_code((bound.kernel for _, bound in steps), checked, cache, progress)
    kernels: dict[str, Kernel] = {}
    objects: dict[str, bytes] = {}
    constants: dict[str, bytes] = {}
    activations = {name: View(model.values[name].shape, model.values[name].dtype).bytes for name in model.inputs}
    calls = []
    for group, bound in steps:
        for name, array in bound.packed.items():
            constants[name] = array.astype(array.dtype.newbyteorder("<"), order="C").tobytes()
        code = codes[bound.kernel.symbol]
        names = [groups.memory.get(name, name) for name in bound.arguments]
        names += [f"{group.name}.{index}" for index in range(len(code.temporaries))]
        views = [*bound.views, *(View((size,), dtype) for size, dtype in code.temporaries)]
        for kernel in code.kernels:
            source = kernel.source.encode()
            digest = sha256_bytes(source)
            objects[digest] = source
            seen = tuple(views[place] for place in kernel.arguments)
            kernels[kernel.name] = Kernel(kernel.name, digest, seen, kernel.writes, launch=kernel.launch)
            called = tuple(names[place] for place in kernel.arguments)
            for name, view in list(zip(called, seen))[-kernel.writes :]:
                activations[name] = view.bytes
            calls.append(Call(group.name, kernel.name, called, group.macs if kernel is code.kernels[-1] else 0))

    inputs, outputs = ports(model, groups)
    return make_plan(
        producer=PRODUCER,
        target=checked,
        kernels=list(kernels.values()),
        objects=objects,
        activations=activations,
        constants=constants,
        calls=calls,
        inputs=inputs,
        outputs=outputs,
    )


def compile_models(
    models: Iterable[OnnxModel], *, target: Mapping[str, Any], cache: KernelCache, progress: Progress | None = None
) -> int:
    """Compile the kernels of many models at once. Returns how many they are. Raises like :func:`make_gpu_plan`."""
    jobs = []
    for model in models:
        groups = group_nodes(model)
        jobs += [bind(model, groups, group).kernel for group in groups.order]
    return len(_device_code(jobs, check_gpu_target(target), cache, progress))


def _device_code(
    jobs: Iterable[Any], target: Mapping[str, Any], cache: KernelCache, progress: Progress | None
) -> dict[str, DeviceCode]:
    """Code by symbol of all jobs; raises like :func:`natdeploy.compiler.kernel_objects.object_code`."""
    wanted = {job.symbol: job for job in jobs}
    versions = toolchain_versions("gpu")
    generator = {name: versions[name] for name in ("apache-tvm", "apache-tvm-ffi")}
    generator["sources"] = sources_digest("onnx_[cj]*.py", "gpu/*.py")
    language = {field: value for field, value in target.items() if field in ("kind", "arch")}
    keys = {name: cache.key("gpu", name, language, generator) for name in wanted}
    codes = object_code(wanted, keys, compile_jobs, target, cache, progress)
    return {name: DeviceCode.from_bytes(code) for name, code in codes.items()}
