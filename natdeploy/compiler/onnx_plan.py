"""From an ONNX model to a plan: each group of nodes one kernel, by TVM's Relax or natdeploy's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from natdeploy.compiler.build import PRODUCERS
from natdeploy.compiler.gpu.plan import make_gpu_plan
from natdeploy.compiler.gpu.target import is_gpu
from natdeploy.compiler.kernel_cache import KernelCache
from natdeploy.compiler.kernel_objects import Progress, object_code
from natdeploy.compiler.kernels.kind import Kernel as OwnKernel
from natdeploy.compiler.kernels.kind import default_schedule
from natdeploy.compiler.kernels.objects import isa_for, kernel_code
from natdeploy.compiler.onnx_entry import compile_jobs
from natdeploy.compiler.onnx_groups import Group, Groups, group_nodes, make_group, ports
from natdeploy.compiler.onnx_jobs import Bound, Job, bind
from natdeploy.compiler.onnx_kernels import OwnKernels, bind_own
from natdeploy.compiler.onnx_model import OnnxModel
from natdeploy.compiler.plan import Call, Kernel, Plan, View, make_plan
from natdeploy.compiler.target import check_target
from natdeploy.compiler.toolchain import sources_digest, toolchain_versions
from natdeploy.compiler.tuning import TuningRecord
from natdeploy.ground.files import sha256_bytes


def make_onnx_plan(
    model: OnnxModel,
    *,
    target: Mapping[str, Any],
    cache: KernelCache | None = None,
    progress: Progress | None = None,
    producer: str = "kernels",
    tuning: TuningRecord | None = None,
) -> Plan:
    """The static plan of an ONNX model; inputs and outputs keep their names and order.

    Args:
        model: what was read.
        target: TVM's target.
        cache: where object code is kept.
        progress: told how many kernels are compiled.
        producer: ``kernels``: natdeploy's own compute the convolutions that they match; ``relax``: TVM computes all,
            as it does on a graphics processor whatever is asked for.
        tuning: the device's record, from which natdeploy's own kernels take their tiles where it has some.

    Raises BadInput for an operator that cannot be compiled (named with its node), for a bad target and an unknown
    producer; ChildFailed where TVM crashes.
    """
    PRODUCERS.get(producer)
    if is_gpu(target):
        return make_gpu_plan(model, target=target, cache=cache, progress=progress)
    checked, cache = check_target(target), cache or KernelCache()
    isa = isa_for(checked, cache) if producer == "kernels" else None
    groups = group_nodes(model, isa.lanes if isa else 0)
    own_kernel = OwnKernels(isa, tuning.schedule if tuning else default_schedule) if isa else None
    steps = [step for group in groups.order for step in _steps(model, groups, group, own_kernel)]
    used = [bound.kernel for _, bound in steps]
    own = kernel_code([each for each in used if isinstance(each, OwnKernel)], checked, cache, progress)
    codes = _object_code([each for each in used if isinstance(each, Job)], checked, cache, progress) | own
    kernels: dict[str, Kernel] = {}
    constants: dict[str, bytes] = {}
    activations = {name: View(model.values[name].shape, model.values[name].dtype).bytes for name in model.inputs}
    calls = []
    for group, each in steps:
        symbol, writes = each.kernel.symbol, len(group.writes)
        tuned = isinstance(each.kernel, OwnKernel) and each.kernel.tuned
        kernels[symbol] = Kernel(symbol, sha256_bytes(codes[symbol]), each.views, writes, each.parts, tuned)
        for name, array in each.packed.items():
            constants[name] = array.astype(array.dtype.newbyteorder("<"), order="C").tobytes()
        for name, view in zip(each.arguments[-writes:], each.views[-writes:]):
            activations[name] = view.bytes
        tensors = tuple(groups.memory.get(name, name) for name in each.arguments)
        calls.append(Call(group.name, symbol, tensors, group.macs))

    inputs, outputs = ports(model, groups)
    return make_plan(
        producer=f"onnx-{producer}",
        target=checked,
        kernels=list(kernels.values()),
        objects={sha256_bytes(code): code for code in codes.values()},
        activations=activations,
        constants=constants,
        calls=calls,
        inputs=inputs,
        outputs=outputs,
        **({"tuning": tuning.identity} if tuning else {}),
    )


def onnx_workloads(
    model: OnnxModel, *, target: Mapping[str, Any], cache: KernelCache | None = None
) -> list[dict[str, Any]]:
    """What natdeploy's own kernels compute of a model. Raises BadInput for a bad target."""
    own = OwnKernels(isa_for(check_target(target), cache or KernelCache()), default_schedule)
    groups = group_nodes(model, own.isa.lanes)
    bound = [each for group in groups.order for _, each in _steps(model, groups, group, own)]
    return [each.kernel.workload for each in bound if isinstance(each.kernel, OwnKernel)]


def _steps(model: OnnxModel, groups: Groups, group: Group, own: OwnKernels | None) -> list[tuple[Group, Bound]]:
    """One kernel for a group, or an own kernel for its first nodes and one for the others, if any are left."""
    found = bind_own(model, groups, group, own) if own else None
    if found is None:
        return [(group, bind(model, groups, group))]
    first, bound = found
    rest = group.nodes[len(first.nodes) :]
    return [(first, bound), *(_steps(model, groups, make_group(model, rest), None) if rest else ())]


def _object_code(
    jobs: Iterable[Job], target: Mapping[str, Any], cache: KernelCache, progress: Progress | None
) -> dict[str, bytes]:
    """Object code by symbol of all jobs; raises like :func:`natdeploy.compiler.kernel_objects.object_code`."""
    wanted = {job.symbol: job for job in jobs}
    versions = toolchain_versions("native")
    generator = {name: versions[name] for name in ("apache-tvm", "apache-tvm-ffi")}
    generator["sources"] = sources_digest("onnx_[cj]*.py", "relax_schedule.py", "tvm_target.py", "kernels/isa.py")
    keys = {name: cache.key("onnx", name, dict(target), generator) for name in wanted}
    return object_code(wanted, keys, compile_jobs, target, cache, progress)
