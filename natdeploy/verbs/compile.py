"""``compile``: an ONNX file in, artifacts for one processor out, verified against ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from natdeploy.verbs.result import Progress, Result

if TYPE_CHECKING:
    from natdeploy.compiler import Plan
    from natdeploy.compiler.onnx_model import OnnxModel
    from natdeploy.compiler.onnx_verify import Verification


@dataclass(frozen=True)
class CompiledLayer:
    """One call of the plan.

    Attributes:
        layer: the node whose output it computes.
        kernel: the function that does.
        tile: ``record`` where the device's tuning record chose another than the rule's, else ``rule``.
        shape: of that output as the kernel stores it.
        macs: multiply-accumulates.
        bytes: of all tensors that it reads and writes.
        threads: on a graphics processor, its groups and the threads of each; else None.
        measured_ms: median time on this machine, one thread or its graphics processor, undisturbed or not; None where
            it cannot run here.
        predicted_ms: on the device, at the last call of its layer; None where nothing is known of the layer there.
    """

    layer: str
    kernel: str
    tile: str
    shape: tuple[int, ...]
    macs: int
    bytes: int
    measured_ms: float | None
    threads: str | None = None
    predicted_ms: float | None = None


@dataclass(frozen=True)
class CompileResult(Result):
    """A compiled model.

    Attributes:
        model: the ONNX file.
        out: the folder of the artifacts.
        target: what they are for, as LLVM names it, or a graphics processor's language and the host's triple.
        artifacts: kind to file name.
        calls, kernels: steps of the plan, and distinct functions among them.
        macs: multiply-accumulates of one run.
        arena_bytes, constant_bytes: activations of one instance, and packed weights.
        verified: the comparison with ONNX Runtime that held; None where the artifacts cannot run here.
        not_verified: why they cannot.
        layers: every call of the plan, where an explanation was asked for.
        tuning: the device's tuning record, ``rules`` where it chose no tile.
        tuned: how many kernels have a tile of the record's.
        predictions: where predicted latencies of layers are from, or why there are none; empty without explanation.
    """

    model: Path
    out: Path
    target: Mapping[str, Any]
    artifacts: Mapping[str, str]
    calls: int
    kernels: int
    macs: int
    arena_bytes: int
    constant_bytes: int
    verified: Verification | None
    not_verified: str | None
    layers: tuple[CompiledLayer, ...] = ()
    tuning: str = "rules"
    tuned: int = 0
    predictions: str = ""


def compile(
    model: str | Path,
    *,
    device: str | None = None,
    target: str | None = None,
    out: str | Path | None = None,
    explain: bool = False,
    producer: str = "kernels",
    progress: Progress | None = None,
) -> CompileResult:
    """Compile an ONNX model with static shapes into ``libmodel.so``, ``libmodel.a``, ``model.h`` and ``model_run``.

    For a graphics processor: the kernels' source, weights and plan, and for OpenCL the C program around them.

    The folder appears as a whole, after the outputs on random inputs agreed with ONNX Runtime's (on this machine, or
    under emulation); an older folder of this verb is replaced.

    Args:
        model: the ONNX file.
        device: name of a hardware profile, or a path to one; this machine where no target is given either.
        target: instead, ``TRIPLE/cpu`` as LLVM names them, for instance ``aarch64-linux-gnu/cortex-a76``; or
            ``opencl``, ``cuda`` or ``metal``, with ``/TRIPLE`` of the machine that the processor belongs to.
        out: folder for the artifacts; None makes one in the working directory, named after model and device.
        explain: list every layer's kernel, shape, multiply-accumulates and bytes, predict what it takes on the device,
            and time it where it can run here.
        producer: ``kernels``: natdeploy's own compute the convolutions that they match; ``relax``: TVM computes all.
        progress: told what is going on.

    Raises BadInput for a file that cannot be read, dynamic shapes, an operator that cannot be compiled, and for an
    unknown device or processor; VerificationFailed where outputs differ.
    """
    from natdeploy.compiler import build_artifacts, build_gpu_artifacts, load_onnx, make_onnx_plan, tuning_of
    from natdeploy.compiler.onnx_verify import call_times_ms, verify_onnx
    from natdeploy.devices import load_profile
    from natdeploy.ground.errors import DeviceNotReachable
    from natdeploy.ground.files import atomic_folder

    path = Path(model)
    say = progress or (lambda stage, fraction: None)
    loaded = load_onnx(path)
    name, llvm = chosen_target(device, target)
    tuning = tuning_of(load_profile(device or "host")) if target is None and llvm["kind"] == "llvm" else None
    folder = Path(out) if out is not None else Path(f"{path.stem}-{name}")
    _refuse_other_content(folder)
    say("planning", 0.05)
    plan = make_onnx_plan(
        loaded,
        target=llvm,
        progress=lambda stage, done: say(stage, 0.05 + 0.75 * done),
        producer=producer,
        tuning=tuning,
    )
    verified, reason, times = None, None, None
    with atomic_folder(folder) as temporary:
        say("linking", 0.8)
        artifacts = (build_gpu_artifacts if plan.on_gpu else build_artifacts)(plan, temporary)
        say("verifying against ONNX Runtime", 0.9)
        try:
            verified = verify_onnx(path, plan, artifacts)
            times = call_times_ms(plan, artifacts) if explain else None
        except DeviceNotReachable as error:
            reason = str(error)
        files = {kind: artifact.path.name for kind, artifact in artifacts.items()}
    named = None if target else device or "host"
    predicted, predictions = _predicted(loaded, named, say) if explain else ({}, "")
    return CompileResult(
        model=path,
        out=folder,
        target=dict(plan.target),
        artifacts=files,
        calls=len(plan.calls),
        kernels=len(plan.kernels),
        macs=plan.macs,
        arena_bytes=plan.arena_bytes,
        constant_bytes=len(plan.constants),
        verified=verified,
        not_verified=reason,
        layers=_layers(plan, times, predicted) if explain else (),
        tuning=plan.tuning,
        tuned=sum(kernel.tuned for kernel in plan.kernels),
        predictions=predictions,
    )


def chosen_target(device: str | None, target: str | None) -> tuple[str, dict[str, Any]]:
    """A short name of what is compiled for, and TVM's target. Raises BadInput for an unknown device or processor."""
    from natdeploy.compiler import check_gpu_target, check_processor, is_gpu
    from natdeploy.devices import llvm_target, load_profile
    from natdeploy.devices.gpu import gpu_target, runs_on_gpu
    from natdeploy.ground.errors import BadInput

    if device is not None and target is not None:
        raise BadInput("fields 'device' and 'target' exclude each other; give one of them")
    if target is None:
        profile = load_profile(device or "host")
        if runs_on_gpu(profile):
            return profile.name, gpu_target(profile)
        found = llvm_target(profile)
        check_processor(found, f"hardware profile {profile.name!r}")
        return profile.name, found
    triple, _, cpu = target.partition("/")
    if is_gpu({"kind": triple}):
        return triple, check_gpu_target({"kind": triple, **({"mtriple": cpu} if cpu else {})})
    if not triple or not cpu or "/" in cpu:
        raise BadInput(f"field 'target': expected TRIPLE/cpu such as aarch64-linux-gnu/cortex-a76, not {target!r}")
    found = {"kind": "llvm", "mtriple": triple, "mcpu": cpu}
    check_processor(found, f"target {target!r}")
    return cpu, found


def _refuse_other_content(folder: Path) -> None:
    """Raise BadInput for a folder that holds anything but an earlier result: it would be lost."""
    from natdeploy.compiler import ARTIFACT_FILES, SOURCE_FILES
    from natdeploy.ground.errors import BadInput

    if not folder.exists():
        return
    if not folder.is_dir():
        raise BadInput(f"{folder}: not a folder; choose another with --out")
    if other := sorted(path.name for path in folder.iterdir() if path.name not in (*ARTIFACT_FILES, *SOURCE_FILES)):
        raise BadInput(f"{folder}: holds {other[0]!r}, which compiling would replace; choose another with --out")


def _predicted(model: OnnxModel, device: str | None, progress: Progress) -> tuple[dict[str, float], str]:
    """Milliseconds by layer on a device, and where they are from; or none, and why."""
    from natdeploy.devices import load_profile
    from natdeploy.ground.errors import BadInput
    from natdeploy.verbs.estimate import estimated_layers

    if device is None:
        return {}, "none: a target is no device, give --device for latencies"
    try:
        layers, _, found = estimated_layers(model, load_profile(device), progress)
    except BadInput as error:
        return {}, f"none: {error}"
    told = found.caution or f"{found.source} of {found.runtime}"
    return {layer.name: layer.latency_ms for layer in layers}, told


def _layers(plan: Plan, times: list[float] | None, predicted: Mapping[str, float]) -> tuple[CompiledLayer, ...]:
    from natdeploy.compiler.plan_table import launch_text

    kernels = {kernel.name: kernel for kernel in plan.kernels}
    last = {call.layer: index for index, call in enumerate(plan.calls)}
    return tuple(
        CompiledLayer(
            call.layer,
            call.kernel,
            "record" if kernels[call.kernel].tuned else "rule",
            kernels[call.kernel].arguments[-1].shape,
            call.macs,
            sum(view.bytes for view in kernels[call.kernel].arguments),
            times[index] if times is not None else None,
            launch_text(launch) if (launch := kernels[call.kernel].launch) else None,
            predicted.get(call.layer) if last[call.layer] == index else None,
        )
        for index, call in enumerate(plan.calls)
    )
