"""Artifacts of a network: an ONNX file for any runtime, and a native library for one target."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from natdeploy.compiler.artifact import Artifact
from natdeploy.compiler.assemble import Producer
from natdeploy.compiler.check import check_network
from natdeploy.compiler.gpu.target import is_gpu
from natdeploy.compiler.kernel_cache import KernelCache
from natdeploy.compiler.kernel_objects import Progress
from natdeploy.compiler.native import RUNTIME, link_archive, link_executable, link_library
from natdeploy.compiler.onnx_graph import onnx_bytes
from natdeploy.compiler.plan import Plan
from natdeploy.compiler.target import check_target
from natdeploy.compiler.toolchain import TUNING, toolchain_versions
from natdeploy.compiler.tuning import TuningRecord
from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import sha256_bytes, write_bytes, write_json
from natdeploy.ground.registry import Registry
from natdeploy.spaces import Layer, Network

#: Ways from a checked network and target to a plan: :class:`natdeploy.compiler.assemble.Producer`.
PRODUCERS = Registry(
    "plan producer",
    {
        "relax": "natdeploy.compiler.relax_producer:PRODUCER",
        "kernels": "natdeploy.compiler.kernels.producer:PRODUCER",
        "gpu": "natdeploy.compiler.gpu.producer:PRODUCER",
    },
)
#: natdeploy's own kernels, which compute every layer of every space.
DEFAULT_PRODUCER = "kernels"

#: Kind of artifact -> its file and what makes the bytes of it.
BINARIES: dict[str, tuple[str, Callable[[Plan], bytes]]] = {
    "native": ("libmodel.so", link_library),
    "archive": ("libmodel.a", link_archive),
    "executable": ("model_run", link_executable),
}
#: Every file that :func:`build_artifacts` may write.
ARTIFACT_FILES = ("plan.json", "model.h", *(name for name, _ in BINARIES.values()))


def make_network_plan(
    network: Network,
    *,
    target: Mapping[str, Any],
    cache: KernelCache | None = None,
    producer: str = DEFAULT_PRODUCER,
    tuning: TuningRecord | None = None,
) -> Plan:
    """The static plan of a network, with the tiles of a device's ``tuning`` record where it has some.

    Raises BadInput for a bad network, target or producer; ChildFailed.
    """
    check_network(network)
    chosen = _producer(producer, target)
    return chosen.plan(network, check_target(target), cache or KernelCache(), tuning)


def compile_layers(
    networks: Iterable[Sequence[Layer]],
    *,
    target: Mapping[str, Any],
    cache: KernelCache | None = None,
    progress: Progress | None = None,
    producer: str = DEFAULT_PRODUCER,
    tuning: TuningRecord | None = None,
) -> int:
    """Compile the kernels of many networks at once, which is quicker than one network after another.

    Returns the number of distinct kernels. Raises BadInput for a bad target, producer or layer, ChildFailed.
    """
    chosen = _producer(producer, target)
    return chosen.compile_layers(networks, check_target(target), cache or KernelCache(), progress, tuning)


def _producer(name: str, target: Mapping[str, Any]) -> Producer:
    """What was asked for; on a graphics processor there is one way only."""
    asked: Producer = PRODUCERS.get(name)
    found: Producer = PRODUCERS.get("gpu") if is_gpu(target) else asked
    if name == "gpu" and not is_gpu(target):
        raise BadInput("producer 'gpu' computes on graphics processors only; leave it out, or name another target")
    return found


def build_native(
    network: Network,
    *,
    target: Mapping[str, Any],
    folder: Path,
    cache: KernelCache | None = None,
    producer: str = DEFAULT_PRODUCER,
    tuning: TuningRecord | None = None,
) -> Artifact:
    """Compile a network into ``folder``: ``libmodel.so`` (weights embedded), ``model.h`` and ``plan.json``.

    The folder may be moved; equal networks, targets, records and toolchains give equal bytes. Raises BadInput for a
    bad network or target and for a full disk, ChildFailed where a compiler crashes.
    """
    plan = make_network_plan(network, target=target, cache=cache, producer=producer, tuning=tuning)
    return build_artifacts(plan, Path(folder), kinds=("native",))["native"]


def build_artifacts(
    plan: Plan, folder: Path, *, kinds: Sequence[str] = ("native", "archive", "executable")
) -> dict[str, Artifact]:
    """Write binaries of one plan into ``folder``, beside ``plan.json``; :data:`BINARIES` names the kinds.

    ``native`` is ``libmodel.so``; ``archive`` is ``libmodel.a``, to link into a program; ``executable`` is
    ``model_run``, static, which runs the model on files and times itself. The first two come with ``model.h``, their C
    interface. Equal plans give equal bytes. Raises BadInput for an unknown kind and a full disk, ChildFailed.
    """
    if unknown := [kind for kind in kinds if kind not in BINARIES]:
        raise BadInput(f"unknown kind of artifact {unknown[0]!r}; known: {', '.join(BINARIES)}")
    if plan.on_gpu:
        raise BadInput(f"target: kind {plan.target['kind']!r} has sources, no binaries of a processor's kind")
    binaries = {kind: BINARIES[kind][1](plan) for kind in kinds}
    write_json(folder / "plan.json", plan.to_json())
    if {"native", "archive"} & set(kinds):
        write_bytes(folder / "model.h", (RUNTIME / "natdeploy.h").read_bytes())
    toolchain = {**toolchain_versions("native"), TUNING: plan.tuning}
    artifacts = {}
    for kind, binary in binaries.items():
        path = folder / BINARIES[kind][0]
        write_bytes(path, binary)
        if kind == "executable":
            path.chmod(0o755)
        shapes = plan.inputs[0].view.shape, plan.outputs[0].view.shape
        artifacts[kind] = Artifact(kind, path, sha256_bytes(binary), *shapes, toolchain)
    return artifacts


def build_onnx(network: Network, folder: Path) -> Artifact:
    """Write ``folder/model.onnx``. Raises BadInput for a bad network and for a full disk."""
    data = onnx_bytes(network)
    path = Path(folder) / "model.onnx"
    write_bytes(path, data)
    return Artifact(
        "onnx", path, sha256_bytes(data), network.input_shape, network.output_shape, toolchain_versions("onnx")
    )
