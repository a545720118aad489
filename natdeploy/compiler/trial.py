"""What is measured to choose a workload's tile: a plan that computes it with every candidate, call after call.

Each call has weights of its own, so that each finds them as far away as a network would, and the rule's tile is called
twice: how far the two calls are apart says what a difference is worth. What comes before them all is not measured: it
would be the one that finds input and output where the caller left them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from natdeploy.compiler.kernel_cache import KernelCache
from natdeploy.compiler.kernel_objects import Progress
from natdeploy.compiler.kernels.isa import Isa
from natdeploy.compiler.kernels.kind import KINDS, Kind, Workload, candidate_schedules
from natdeploy.compiler.kernels.kind import Kernel as OwnKernel
from natdeploy.compiler.kernels.objects import kernel_code
from natdeploy.compiler.kernels.producer import PRODUCER
from natdeploy.compiler.plan import Call, Kernel, Plan, Port, View, make_plan
from natdeploy.ground.files import canonical_json, sha256_bytes
from natdeploy.spaces import Layer

#: The layer of a trial plan's first call.
UNMEASURED = -1


def network_workloads(networks: Iterable[Sequence[Layer]]) -> list[Workload]:
    """What natdeploy's own kernels compute in these networks, each once. Raises BadInput for a layer without one."""
    return distinct(step.workload for layers in networks for step in PRODUCER.steps(layers))


def distinct(workloads: Iterable[Workload]) -> list[Workload]:
    """Each workload once, that of the most work first."""
    found = {canonical_json(workload): workload for workload in workloads}
    return sorted(found.values(), key=lambda workload: (-_work(workload), canonical_json(workload)))


def candidates(workload: Workload, isa: Isa) -> list[OwnKernel]:
    """The kernels that are measured for a workload, the rule's first; that one alone where nothing is to be chosen."""
    return [OwnKernel(workload, schedule, isa) for schedule in candidate_schedules(workload, isa)]


def compile_candidates(
    workloads: Iterable[Workload],
    isa: Isa,
    target: Mapping[str, Any],
    cache: KernelCache,
    progress: Progress | None = None,
) -> None:
    """Put the candidates of many workloads into the cache, which is quicker than one workload after another."""
    kernel_code([kernel for workload in workloads for kernel in candidates(workload, isa)], target, cache, progress)


def trial_plan(kernels: Sequence[OwnKernel], target: Mapping[str, Any], cache: KernelCache) -> Plan:
    """Calls of the kernels of one workload, the first of them once more in the middle; random weights.

    A call's layer is the place of its kernel, :data:`UNMEASURED` for the one before all others. Inputs: the map, a
    residual if there is one. Output: the map.
    """
    order = [*range(len(kernels))]
    order.insert(-(-len(kernels) // 2), 0)
    return _plan(kernels, [UNMEASURED, *order], target, cache, residual_given=bool(kernels[0].workload.get("residual")))


def single_plan(kernel: OwnKernel, target: Mapping[str, Any], cache: KernelCache) -> Plan:
    """One call of one kernel; random weights and, where there is one, a random residual."""
    return _plan([kernel], [0], target, cache, residual_given=False)


def _plan(
    kernels: Sequence[OwnKernel],
    order: Sequence[int],
    target: Mapping[str, Any],
    cache: KernelCache,
    *,
    residual_given: bool,
) -> Plan:
    codes = kernel_code(kernels, target, cache)
    shapes = kernels[0].shapes
    rng = np.random.default_rng(0)
    constants: dict[str, bytes] = {}
    calls = []
    for number, place in enumerate(order):
        kernel = kernels[max(0, place)]
        given = kernel.shapes[1 : -2 if residual_given else -1]
        names = [f"{number}.{argument}" for argument in range(len(given))]
        for name, shape in zip(names, given):
            constants[name] = rng.standard_normal(shape, np.float32).astype("<f4", copy=False).tobytes()
        tensors = ("x", *names, *(("residual",) if residual_given else ()), "out")
        calls.append(Call(str(place), kernel.symbol, tensors, _work(kernel.workload)))
    inputs = {"x": View(shapes[0]), **({"residual": View(shapes[-2])} if residual_given else {})}
    out = View(shapes[-1])
    return make_plan(
        producer="trial",
        target=target,
        kernels=[
            Kernel(each.symbol, sha256_bytes(codes[each.symbol]), tuple(map(View, each.shapes)), parts=each.parts)
            for each in kernels
        ],
        objects={sha256_bytes(code): code for code in codes.values()},
        activations={**{name: view.bytes for name, view in inputs.items()}, "out": out.bytes},
        constants=constants,
        calls=calls,
        inputs=[Port(name, name, view) for name, view in inputs.items()],
        outputs=[Port("out", "out", out)],
    )


def _work(workload: Workload) -> int:
    kind: Kind = KINDS.get(workload["kind"])
    return kind.work(workload)
