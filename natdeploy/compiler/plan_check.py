"""What makes a plan safe to run: calls stay inside their tensors, and no tensor overwrites another that is needed."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING, Any

from natdeploy.compiler.arena import ALIGNMENT, Lifetime, overlaps
from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import sha256_bytes

if TYPE_CHECKING:
    from natdeploy.compiler.plan import Launch, Plan

SPACES = ("arena", "constant")
#: What the runtime's fixed tables hold: arguments and parts of a kernel, inputs or outputs of a model.
MAX_ARGUMENTS, MAX_PARTS, MAX_PORTS = 16, 4096, 64
#: Threads of a group that any graphics processor with compute shaders runs.
MAX_GROUP_THREADS = 256
#: Bytes to which a graphics processor's tensors are aligned: parts of a buffer begin at multiples of 128 bytes on
#: Adreno and Mali, of 512 bytes on NVIDIA's.
GPU_ALIGNMENT = 512


def alignment_for(target: Mapping[str, Any]) -> int:
    """Bytes to which a plan's tensors are aligned."""
    return ALIGNMENT if target["kind"] == "llvm" else GPU_ALIGNMENT


def lifetimes(plan: Plan) -> list[Lifetime]:
    """From which call to which (both included) each tensor in the arena holds a value.

    Inputs are there before the first call (-1), outputs until after the last one.
    """
    writes = {kernel.name: kernel.writes for kernel in plan.kernels}
    first = {port.tensor: -1 for port in plan.inputs}
    last = dict(first)
    for index, call in enumerate(plan.calls):
        for name in call.tensors[-writes[call.kernel] :]:
            first.setdefault(name, index)
        for name in call.tensors:
            last[name] = index
    for port in plan.outputs:
        last[port.tensor] = len(plan.calls)
    return [
        Lifetime(tensor.name, tensor.bytes, first[tensor.name], last[tensor.name])
        for tensor in plan.tensors
        if tensor.space == "arena" and tensor.name in first
    ]


def check_plan(plan: Plan, where: str = "plan") -> None:
    """Raise BadInput unless calls stay inside their tensors, read what was written and overwrite nothing alive."""

    def refuse(what: str) -> None:
        raise BadInput(f"{where}: {what}; build the model again")

    kernels = {kernel.name: kernel for kernel in plan.kernels}
    tensors = {tensor.name: tensor for tensor in plan.tensors}
    if len(kernels) != len(plan.kernels) or len(tensors) != len(plan.tensors):
        refuse("two kernels or tensors have one name")
    for kernel in plan.kernels:
        code = plan.objects.get(kernel.object)
        if code is None or sha256_bytes(code) != kernel.object:
            refuse(f"the object code of kernel {kernel.name!r} is missing or damaged")
        if not kernel.name.isidentifier() or not 1 <= kernel.writes <= len(kernel.arguments):
            refuse(f"kernel {kernel.name!r} has no proper name or writes {kernel.writes} arguments")
        if len(kernel.arguments) > MAX_ARGUMENTS or not 1 <= kernel.parts <= MAX_PARTS:
            refuse(f"kernel {kernel.name!r} has {len(kernel.arguments)} arguments and {kernel.parts} parts")
        if (kernel.launch is not None) != plan.on_gpu or (kernel.launch and not _is_possible(kernel.launch)):
            refuse(f"kernel {kernel.name!r} has no threads that a target of kind {plan.target['kind']!r} could run")
    alignment = alignment_for(plan.target)
    for tensor in plan.tensors:
        if tensor.space not in SPACES:
            refuse(f"tensor {tensor.name!r} is in unknown space {tensor.space!r}")
        size = plan.arena_bytes if tensor.space == "arena" else len(plan.constants)
        if tensor.offset < 0 or tensor.offset % alignment or tensor.bytes < 0 or tensor.offset + tensor.bytes > size:
            refuse(f"tensor {tensor.name!r} is outside the {tensor.space}")
    written = {port.tensor for port in plan.inputs}
    for call in plan.calls:
        called = kernels.get(call.kernel)
        if called is None or len(call.tensors) != len(called.arguments):
            refuse(f"call {call.layer!r} does not fit kernel {call.kernel!r}")
            continue
        for name, view in zip(call.tensors, called.arguments):
            if name not in tensors or view.bytes > tensors[name].bytes:
                refuse(f"call {call.layer!r}: tensor {name!r} is missing or smaller than its argument")
        for name in call.tensors[: -called.writes]:
            if tensors[name].space == "arena" and name not in written:
                refuse(f"call {call.layer!r} reads tensor {name!r} before it is written")
        for name in call.tensors[-called.writes :]:
            if tensors[name].space != "arena":
                refuse(f"call {call.layer!r} writes constant {name!r}")
            written.add(name)
    for port in (*plan.inputs, *plan.outputs):
        if port.tensor not in written or port.view.bytes > tensors[port.tensor].bytes:
            refuse(f"input or output {port.name!r} has no tensor that holds it")
    if not plan.calls or not 1 <= len(plan.inputs) <= MAX_PORTS or not 1 <= len(plan.outputs) <= MAX_PORTS:
        refuse(f"it has no calls, or not 1 to {MAX_PORTS} inputs and outputs")
    if pair := overlaps(lifetimes(plan), {tensor.name: tensor.offset for tensor in plan.tensors}):
        refuse(f"tensors {pair[0]!r} and {pair[1]!r} overlap while both are alive")


def _is_possible(launch: Launch) -> bool:
    sizes = (*launch.groups, *launch.threads)
    return all(0 < size < 2**31 for size in sizes) and prod(launch.threads) <= MAX_GROUP_THREADS
