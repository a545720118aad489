"""The static plan: what a compiled network is, whoever produced it and wherever it will run.

Kernels are called in a fixed order on tensors whose places are fixed too: activations in one arena, weights in one
blob of packed constants. There is nothing to decide at run time, so a page of C runs it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

from natdeploy.compiler.arena import aligned, arena_offsets
from natdeploy.compiler.plan_check import alignment_for, check_plan, lifetimes
from natdeploy.compiler.plan_table import plan_table
from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import atomic_folder, read_json, sha256_bytes, write_bytes, write_json

#: Version of the JSON form.
SCHEMA = 3
#: Element types by name, with their bytes.
DTYPES = {"float32": 4, "int64": 8, "int32": 4, "uint8": 1, "bool": 1}


@dataclass(frozen=True)
class View:
    """How a kernel or a caller sees a tensor's memory: dense, row-major."""

    shape: tuple[int, ...]
    dtype: str = "float32"

    @property
    def bytes(self) -> int:
        """Size in memory."""
        return prod(self.shape) * DTYPES[self.dtype]


@dataclass(frozen=True)
class Launch:
    """Threads of a kernel on a graphics processor: groups in x, y and z, and threads of a group."""

    groups: tuple[int, int, int]
    threads: tuple[int, int, int]


@dataclass(frozen=True)
class Kernel:
    """Object code of one function, or its source code for a graphics processor.

    Attributes:
        name: its symbol, without TVM's prefix.
        object: SHA-256 of the object file that holds it (see :attr:`Plan.objects`).
        arguments: views of its arguments, written ones last.
        writes: how many of them it writes.
        parts: pieces of its work that threads may share, each giving the same values whoever computes it. Above 1 the
            function takes two integers after its tensors and does the parts from the first to before the second.
        tuned: whether its tile is one that was measured on the device, another than the rule's.
        launch: its threads; None for an ordinary processor.
    """

    name: str
    object: str
    arguments: tuple[View, ...]
    writes: int = 1
    parts: int = 1
    tuned: bool = False
    launch: Launch | None = None


@dataclass(frozen=True)
class Tensor:
    """Memory of a fixed place: ``bytes`` at ``offset`` of the arena or of the constants."""

    name: str
    bytes: int
    space: str = "arena"
    offset: int = 0


@dataclass(frozen=True)
class Call:
    """One step: a kernel on tensors, named by the layer whose output it computes; ``macs`` of all layers it fuses."""

    layer: str
    kernel: str
    tensors: tuple[str, ...]
    macs: int = 0


@dataclass(frozen=True)
class Port:
    """An input or output of the network: the first bytes of a tensor in the arena, as the caller sees them."""

    name: str
    tensor: str
    view: View


@dataclass(frozen=True, eq=False)
class Plan:
    """See the module. ``objects`` maps SHA-256 to object files, or to sources for a graphics processor; ``target`` is
    the TVM target they are for; ``tuning`` names the device's record that tiles were taken from
    (:attr:`natdeploy.compiler.TuningRecord.identity`)."""

    producer: str
    target: Mapping[str, Any]
    kernels: tuple[Kernel, ...]
    tensors: tuple[Tensor, ...]
    calls: tuple[Call, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    arena_bytes: int
    constants: bytes
    objects: Mapping[str, bytes]
    tuning: str = "rules"

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one run."""
        return sum(call.macs for call in self.calls)

    @property
    def on_gpu(self) -> bool:
        """Whether its kernels are source code for a graphics processor."""
        return bool(self.target["kind"] != "llvm")

    @property
    def max_threads(self) -> int:
        """More threads than this would have nothing to do."""
        return max(kernel.parts for kernel in self.kernels)

    def to_json(self) -> dict[str, Any]:
        """Everything but the binary parts, which are named by their digests."""
        return {
            "schema": SCHEMA,
            "producer": self.producer,
            "target": dict(self.target),
            "tuning": self.tuning,
            "kernels": [
                {
                    **{field: getattr(kernel, field) for field in ("name", "object", "writes", "parts", "tuned")},
                    "arguments": [_view_json(view) for view in kernel.arguments],
                    **({"launch": [list(launch.groups), list(launch.threads)]} if (launch := kernel.launch) else {}),
                }
                for kernel in self.kernels
            ],
            "tensors": [[tensor.name, tensor.space, tensor.offset, tensor.bytes] for tensor in self.tensors],
            "calls": [
                {"layer": call.layer, "kernel": call.kernel, "tensors": list(call.tensors), "macs": call.macs}
                for call in self.calls
            ],
            "inputs": [_port_json(port) for port in self.inputs],
            "outputs": [_port_json(port) for port in self.outputs],
            "arena_bytes": self.arena_bytes,
            "constants": {"bytes": len(self.constants), "sha256": sha256_bytes(self.constants)},
        }

    @staticmethod
    def from_json(value: Any, constants: bytes, objects: Mapping[str, bytes], *, where: str = "plan") -> Plan:
        """Read :meth:`to_json`'s form. Raises BadInput naming ``where`` for anything a runtime could not run safely."""
        try:
            if value["schema"] != SCHEMA:
                raise BadInput(f"{where}: schema {value['schema']!r} is not {SCHEMA}; build the model again")
            digest = value["constants"]["sha256"]
            plan = Plan(
                producer=value["producer"],
                target=dict(value["target"]),
                kernels=tuple(map(_kernel, value["kernels"])),
                tensors=tuple(
                    Tensor(name, int(size), space, int(offset)) for name, space, offset, size in value["tensors"]
                ),
                calls=tuple(
                    Call(item["layer"], item["kernel"], tuple(item["tensors"]), int(item["macs"]))
                    for item in value["calls"]
                ),
                inputs=tuple(map(_port, value["inputs"])),
                outputs=tuple(map(_port, value["outputs"])),
                arena_bytes=int(value["arena_bytes"]),
                constants=constants,
                objects=objects,
                tuning=str(value["tuning"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadInput(f"{where}: not a plan: {type(error).__name__}: {error}") from None
        if sha256_bytes(constants) != digest:
            raise BadInput(f"{where}: the constants are not those of the plan; build the model again")
        check_plan(plan, where)
        return plan

    def save(self, folder: Path) -> None:
        """Write ``plan.json``, ``constants.bin`` and ``kernels/``, as a whole or not at all."""
        with atomic_folder(folder) as temporary:
            write_json(temporary / "plan.json", self.to_json())
            write_bytes(temporary / "constants.bin", self.constants)
            suffix = self.target["kind"] if self.on_gpu else "o"
            for digest, code in self.objects.items():
                write_bytes(temporary / "kernels" / f"{digest}.{suffix}", code)

    @staticmethod
    def load(folder: Path) -> Plan:
        """Read :meth:`save`'s folder. Raises BadInput for a missing or damaged part."""
        folder = Path(folder)
        value = read_json(folder / "plan.json", "plan")
        try:
            constants = (folder / "constants.bin").read_bytes()
            objects = {path.stem: path.read_bytes() for path in sorted((folder / "kernels").glob("*.*"))}
        except OSError as error:
            raise BadInput(f"{folder}: part of the plan cannot be read: {error.strerror}") from None
        return Plan.from_json(value, constants, objects, where=str(folder / "plan.json"))

    def table(self) -> str:
        """See :func:`natdeploy.compiler.plan_table.plan_table`."""
        return plan_table(self)


def make_plan(
    *,
    producer: str,
    target: Mapping[str, Any],
    kernels: Sequence[Kernel],
    objects: Mapping[str, bytes],
    activations: Mapping[str, int],
    constants: Mapping[str, bytes],
    calls: Sequence[Call],
    inputs: Sequence[Port],
    outputs: Sequence[Port],
    tuning: str = "rules",
) -> Plan:
    """Give every tensor its place: activations (name to bytes) in the arena by lifetime, constants packed in order."""
    alignment = alignment_for(target)
    draft = [Tensor(name, size) for name, size in activations.items()]
    offset = 0
    blob = bytearray()
    packed = []
    for name, data in constants.items():
        blob += bytes(aligned(len(blob), alignment) - len(blob))
        offset = len(blob)
        blob += data
        packed.append(Tensor(name, len(data), "constant", offset))
    plan = Plan(
        producer=producer,
        target=target,
        kernels=tuple(kernels),
        tensors=(*draft, *packed),
        calls=tuple(calls),
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        arena_bytes=0,
        constants=bytes(blob),
        objects=objects,
        tuning=tuning,
    )
    places, arena_bytes = arena_offsets(lifetimes(plan), alignment)
    placed = tuple(replace(tensor, offset=places[tensor.name]) for tensor in draft if tensor.name in places)
    plan = replace(plan, tensors=(*placed, *packed), arena_bytes=arena_bytes)
    check_plan(plan)
    return plan


def _view_json(view: View) -> list[Any]:
    return [view.dtype, *view.shape]


def _view(value: Any) -> View:
    dtype, *shape = value
    if dtype not in DTYPES:
        raise ValueError(f"unknown element type {dtype!r}")
    if not all(isinstance(size, int) and size > 0 for size in shape):
        raise ValueError(f"shape {shape!r} is not positive whole numbers")
    return View(tuple(shape), dtype)


def _kernel(value: Any) -> Kernel:
    views = tuple(map(_view, value["arguments"]))
    counts = int(value["writes"]), int(value["parts"])
    launch = Launch(*map(_triple, value["launch"])) if "launch" in value else None
    return Kernel(value["name"], value["object"], views, *counts, bool(value["tuned"]), launch=launch)


def _triple(sizes: Any) -> tuple[int, int, int]:
    x, y, z = map(int, sizes)
    return x, y, z


def _port_json(port: Port) -> dict[str, Any]:
    return {"name": port.name, "tensor": port.tensor, "view": _view_json(port.view)}


def _port(value: Any) -> Port:
    return Port(value["name"], value["tensor"], _view(value["view"]))
