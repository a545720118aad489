"""What natdeploy's own kernels take by their machine code, before anything runs: one kernel for each layer.

A kernel's time is that of its heaviest inner loop: cycles of an iteration by llvm-mca, times how often it runs, which
is the kernel's multiply-adds (those on a vector's unused lanes too) by those of an iteration. Kernels without
multiply-adds move data and nothing else. Everything is kept by content: a kernel is compiled and analysed once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from natdeploy.compiler.kernel_cache import KernelCache
from natdeploy.compiler.kernel_objects import Progress
from natdeploy.compiler.kernels.kind import Kernel, default_schedule
from natdeploy.compiler.kernels.objects import generator_versions, isa_for, kernel_code
from natdeploy.compiler.kernels.producer import PRODUCER
from natdeploy.compiler.machine_code import (
    cycles,
    disassemble,
    heaviest,
    is_arm,
    llvm_tool,
    llvm_version,
    peak_macs_per_cycle,
)
from natdeploy.compiler.target import check_target
from natdeploy.ground.errors import BadInput
from natdeploy.spaces import Layer

#: Models that stand for Arm cores whose own one in LLVM is another core's: the same core for servers, and a wider one.
STAND_INS = ("neoverse-n1", "neoverse-v2")
#: How far a model's rate of multiply-adds may be from the hardware profile's before it is not that core's.
_NEAR = 1.3
#: Loops simulated at once, and what decides the figures besides the kernel's own code.
_BATCH, _METHOD = 40, 2
_FLOAT_BYTES = 4


@dataclass(frozen=True)
class KernelCost:
    """One run of a kernel.

    Attributes:
        cycles: of the model's processor in inner loops, all data in the nearest cache.
        activation_bytes: of inputs and outputs.
        weight_bytes: of weights and biases.
    """

    cycles: float
    activation_bytes: int
    weight_bytes: int


@dataclass(frozen=True)
class CoreModel:
    """LLVM's model that is used for a target's processor.

    Attributes:
        cpu: LLVM's name of it.
        tool: that has it, for instance ``llvm-mca 19.1.7``.
        macs_per_cycle: its peak.
    """

    cpu: str
    tool: str
    macs_per_cycle: float


def core_model(target: Mapping[str, Any], vectors_per_cycle: float | None, cache: KernelCache) -> CoreModel:
    """The model of a target's processor: LLVM's own, or for Arm one that does as many vector multiply-adds a cycle as
    the hardware profile says where LLVM's own does not.

    Raises BadInput where LLVM's tools are missing, or have no model of the processor.
    """
    checked, tools = check_target(target), [llvm_tool(name) for name in ("llvm-mca", "llvm-objdump")]
    lanes, triple, own = isa_for(checked, cache).lanes, str(checked["mtriple"]), str(checked["mcpu"])
    version = ".".join(map(str, llvm_version(tools[0])))

    def peak(cpu: str) -> float:
        key = cache.key("model", cpu, triple, lanes, version, _METHOD)
        known = cache.get(key)
        if known is None:
            known = json.dumps(peak_macs_per_cycle(cpu, triple, lanes)).encode()
            cache.put(key, known)
        return float(json.loads(known))

    def is_core(cpu: str) -> bool:
        rate = peak(cpu) / lanes
        return vectors_per_cycle is None or 1 / _NEAR < rate / vectors_per_cycle < _NEAR

    chosen = own
    if is_arm(triple) and not is_core(own):
        chosen = next((cpu for cpu in STAND_INS if is_core(cpu)), own)
    return CoreModel(chosen, f"llvm-mca {version}", peak(chosen))


def kernel_costs(
    layers: Sequence[Layer], target: Mapping[str, Any], model: CoreModel, cache: KernelCache, progress: Progress | None
) -> list[KernelCost]:
    """The cost of each layer by itself, compiled with the rules' tiles.

    Raises BadInput for a layer that no kernel computes or a bad target, ChildFailed.
    """
    checked = check_target(target)
    isa = isa_for(checked, cache)
    # The last step of a network of one layer is the layer's own; one before it lays the input out.
    workloads = [PRODUCER.steps([layer])[-1].workload for layer in layers]
    kernels = [Kernel(workload, default_schedule(workload, isa), isa) for workload in workloads]
    counted = {kernel.symbol: kernel for kernel in kernels if kernel.kind.pack is not None}
    known = _analysed(counted, checked, model, cache, progress)
    return [_cost(kernel, known.get(kernel.symbol)) for kernel in kernels]


def _analysed(
    kernels: Mapping[str, Kernel],
    target: dict[str, Any],
    model: CoreModel,
    cache: KernelCache,
    progress: Progress | None,
) -> dict[str, float]:
    """Cycles of a multiply-add in each kernel's heaviest loop, by symbol."""
    generator = generator_versions()
    keys = {name: cache.key("cycles", name, target, generator, model.cpu, model.tool, _METHOD) for name in kernels}
    found = {name: float(json.loads(text)) for name, key in keys.items() if (text := cache.get(key)) is not None}
    missing = [name for name in kernels if name not in found]
    if missing and progress:
        progress("compiling kernels", 0.0)
    codes = kernel_code((kernels[name] for name in missing), target, cache, progress)
    for start in range(0, len(missing), _BATCH):
        names = missing[start : start + _BATCH]
        loops = [heaviest(code) for code in disassemble([codes[name] for name in names], str(target["mcpu"]))]
        for name, loop, taken in zip(names, loops, cycles(loops, model.cpu, str(target["mtriple"]))):
            if not loop.macs:
                raise BadInput(f"kernel {name}: its machine code for {target['mcpu']} has no fused multiply-add")
            found[name] = taken / loop.macs
            cache.put(keys[name], json.dumps(found[name]).encode())
        if progress:
            progress("analysing kernels", (start + len(names)) / len(missing))
    return found


def _cost(kernel: Kernel, cycles_per_mac: float | None) -> KernelCost:
    sizes = [prod(shape) for shape in kernel.shapes]
    weights = sizes[1] + sizes[2] if kernel.kind.pack is not None else 0
    taken = 0.0
    if cycles_per_mac is not None:
        blocks, *_ = kernel.shapes[-1]
        taken = cycles_per_mac * sizes[-1] * kernel.shapes[1][0] / blocks
    return KernelCost(taken, _FLOAT_BYTES * (sum(sizes) - weights), _FLOAT_BYTES * weights)
