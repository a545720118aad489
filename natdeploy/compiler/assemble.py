"""From a network's layers to a plan, whoever writes the kernels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from natdeploy.compiler.kernel_cache import KernelCache
from natdeploy.compiler.kernel_objects import Progress
from natdeploy.compiler.plan import Call, Kernel, Plan, Port, View, make_plan
from natdeploy.ground.files import sha256_bytes
from natdeploy.spaces import INPUT, Layer, Network

if TYPE_CHECKING:
    from natdeploy.compiler.tuning import TuningRecord


@dataclass(frozen=True)
class Step:
    """One kernel call to be: what it reads, the tensor it writes, and the layers that compute, a residual sum aside."""

    workload: dict[str, Any]
    reads: tuple[str, ...]
    writes: str
    layers: tuple[Layer, ...] = ()


class StepKernel(Protocol):
    """The kernel of a step, of which a plan needs no more than this."""

    @property
    def symbol(self) -> str:
        """Its name in plans and object files, unique by content."""

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of its float32 arguments: what is read, weight and bias of each layer that has them, a residual if any, the
        output."""

    @property
    def parts(self) -> int:
        """Pieces of its work that threads may share."""

    @property
    def tuned(self) -> bool:
        """Whether its tile is one that was measured, another than the rule's."""

    def pack(self, weight: np.ndarray, place: int = 0) -> np.ndarray:
        """A weight in the order in which the kernel reads it; ``place`` is its layer's among those of the step."""


@dataclass(frozen=True)
class Producer:
    """One way to compute a network.

    Attributes:
        name: in :data:`natdeploy.compiler.build.PRODUCERS`.
        steps: kernel calls of a network's layers, in order; tensors are named by the layer whose output they hold.
        kernels: the kernel of each step, for a checked target, with the tiles of a device's record if there is one.
        code: object code by symbol; what the cache lacks is compiled in child processes and put there.
    """

    name: str
    steps: Callable[[Sequence[Layer]], list[Step]]
    kernels: Callable[[Sequence[Step], Mapping[str, Any], KernelCache, TuningRecord | None], Sequence[Any]]
    code: Callable[[Iterable[Any], Mapping[str, Any], KernelCache, Progress | None], dict[str, bytes]]

    def plan(
        self, network: Network, target: dict[str, Any], cache: KernelCache, tuning: TuningRecord | None = None
    ) -> Plan:
        """The plan of a checked network. Raises BadInput for a layer that no kernel computes, ChildFailed."""
        steps = self.steps(network.layers)
        kernels: Sequence[StepKernel] = self.kernels(steps, target, cache, tuning)
        codes = self.code(kernels, target, cache, None)
        plan_kernels: dict[str, Kernel] = {}
        activations = {INPUT: View(network.input_shape).bytes}
        constants: dict[str, bytes] = {}
        calls = []
        for step, kernel in zip(steps, kernels):
            name, views = kernel.symbol, tuple(map(View, kernel.shapes))
            plan_kernels[name] = Kernel(name, sha256_bytes(codes[name]), views, parts=kernel.parts, tuned=kernel.tuned)
            activations[step.writes] = views[-1].bytes
            packed: list[str] = []
            for place, layer in enumerate(layer for layer in step.layers if layer.has_weights):
                weight, bias = f"{layer.name}.weight", f"{layer.name}.bias"
                constants[weight] = kernel.pack(network.weights[weight], place).astype("<f4", copy=False).tobytes()
                room = views[len(packed) + 2].bytes
                constants[bias] = network.weights[bias].astype("<f4", copy=False).tobytes().ljust(room, b"\0")
                packed += [weight, bias]
            tensors = (step.reads[0], *packed, *step.reads[1:], step.writes)
            calls.append(Call(step.writes, name, tensors, sum(layer.macs for layer in step.layers)))
        return make_plan(
            producer=self.name,
            target=target,
            kernels=list(plan_kernels.values()),
            objects={sha256_bytes(code): code for code in codes.values()},
            activations=activations,
            constants=constants,
            calls=calls,
            inputs=[Port("input", INPUT, View(network.input_shape))],
            outputs=[Port("logits", steps[-1].writes, View(network.output_shape))],
            **({"tuning": tuning.identity} if tuning else {}),
        )

    def compile_layers(
        self,
        networks: Iterable[Sequence[Layer]],
        target: dict[str, Any],
        cache: KernelCache,
        progress: Progress | None = None,
        tuning: TuningRecord | None = None,
    ) -> int:
        """Compile the kernels of many networks at once, which is quicker than one network after another.

        Returns the number of distinct kernels. Raises like :meth:`plan`.
        """
        steps = [step for layers in networks for step in self.steps(layers)]
        return len(self.code(self.kernels(steps, target, cache, tuning), target, cache, progress))
