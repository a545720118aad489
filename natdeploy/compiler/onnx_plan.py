"""From an ONNX model to a plan: each group of nodes one kernel, compiled by TVM's Relax."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from natdeploy.compiler.kernel_cache import KernelCache
from natdeploy.compiler.kernel_objects import Progress, object_code
from natdeploy.compiler.onnx_entry import compile_jobs
from natdeploy.compiler.onnx_groups import group_nodes
from natdeploy.compiler.onnx_jobs import Job, bind
from natdeploy.compiler.onnx_model import OnnxModel
from natdeploy.compiler.plan import Call, Kernel, Plan, Port, View, make_plan
from natdeploy.compiler.target import check_target
from natdeploy.compiler.toolchain import sources_digest, toolchain_versions
from natdeploy.ground.files import sha256_bytes

PRODUCER = "onnx-relax"


def make_onnx_plan(
    model: OnnxModel,
    *,
    target: Mapping[str, Any],
    cache: KernelCache | None = None,
    progress: Progress | None = None,
) -> Plan:
    """The static plan of an ONNX model; inputs and outputs keep their names and order.

    Raises BadInput for an operator that cannot be compiled (named with its node) and for a bad target; ChildFailed
    where TVM crashes.
    """
    checked = check_target(target)
    groups = group_nodes(model)
    bound = [bind(model, groups, group) for group in groups.order]
    codes = _object_code([each.job for each in bound], checked, cache or KernelCache(), progress)
    kernels: dict[str, Kernel] = {}
    constants: dict[str, bytes] = {}
    activations = {name: View(model.values[name].shape, model.values[name].dtype).bytes for name in model.inputs}
    calls = []
    for group, each in zip(groups.order, bound):
        symbol = each.job.symbol
        kernels[symbol] = Kernel(symbol, sha256_bytes(codes[symbol]), each.views, writes=len(group.writes))
        for name, array in each.packed.items():
            constants[name] = array.astype(array.dtype.newbyteorder("<"), order="C").tobytes()
        for name, view in zip(each.arguments[-len(group.writes) :], each.views[-len(group.writes) :]):
            activations[name] = view.bytes
        tensors = tuple(groups.memory.get(name, name) for name in each.arguments)
        calls.append(Call(group.name, symbol, tensors, group.macs))

    def port(name: str, given: str) -> Port:
        value = model.values[name]
        return Port(given, groups.memory.get(name, name), View(value.shape, value.dtype))

    return make_plan(
        producer=PRODUCER,
        target=checked,
        kernels=list(kernels.values()),
        objects={sha256_bytes(code): code for code in codes.values()},
        activations=activations,
        constants=constants,
        calls=calls,
        inputs=[port(name, name) for name in model.inputs],
        outputs=[port(name, given) for name, given in zip(model.outputs, model.output_names)],
    )


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
