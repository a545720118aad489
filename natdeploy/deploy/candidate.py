"""One candidate of the budget loop: extracted, compiled, verified against torch, timed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from natdeploy.compiler import (
    build_artifacts,
    build_gpu_artifacts,
    build_native,
    build_onnx,
    make_network_plan,
    need_gpu,
    tuning_of,
)
from natdeploy.data import Dataset, normalise
from natdeploy.deploy.accuracy import accuracy_of
from natdeploy.deploy.artifacts import (
    EXECUTABLE,
    SOURCE,
    TOLERANCE,
    RunnableFile,
    allowed_error,
    compare,
    run_in_child,
    run_kernels,
)
from natdeploy.deploy.bundle import Reference
from natdeploy.deploy.layers import LayerTimes, time_layers
from natdeploy.deploy.manifest import Accuracy, ArtifactCheck
from natdeploy.deploy.weights import Weights
from natdeploy.devices import HardwareProfile, llvm_target, runs_on_gpu
from natdeploy.devices.connect import connect
from natdeploy.devices.gpu import gpu_target
from natdeploy.devices.units import Access
from natdeploy.measure import Measurement, MeasurementStore, time_runnable
from natdeploy.spaces import Arch, Network, get_space
from natdeploy.supernets import MobileNetV3Supernet, Subnet, to_network
from natdeploy.transfer import Calibration, TrainingDiverged, calibrated_subnet, fine_tune, head_epochs

if TYPE_CHECKING:
    from natdeploy.compiler import Artifact
    from natdeploy.latency import LatencyModel

#: Pictures whose outputs every artifact must reproduce, and which a bundle carries along.
REFERENCE_IMAGES = 16


@dataclass(frozen=True, eq=False)
class Candidate:
    """A model that was built and whose artifacts agree with the torch module.

    Attributes:
        arch: the architecture.
        network: the folded weights that all artifacts were made from.
        folder: where the artifacts lie, laid out as in a bundle.
        artifacts: runtime to artifact.
        reference: real pictures and the torch module's outputs.
        checks: how far each artifact was from those.
        verified: where the device's own artifact was run for that.
        tuned: how its weights were fine-tuned, or why they are the supernet's all the same; empty where nobody asked.
    """

    arch: Arch
    network: Network
    folder: Path
    artifacts: dict[str, Artifact]
    reference: Reference
    checks: tuple[ArtifactCheck, ...]
    verified: str
    tuned: str = ""


@dataclass(frozen=True, eq=False)
class Workshop:
    """What candidates are made with.

    Attributes:
        weights: what is built holds these; with them come the images.
        profile: the device, filled in.
        store: where every timing goes.
        calibration: of batch norm, as in the search.
        seed: of fine-tuning.
        folder: where artifacts are built.
        access: how to reach a device that is not this machine.
        finetune_epochs: how long what is built is trained on its own; 0: not at all.
        augmentation: of that training's images, as the search adapted its supernet.
        say: told what goes on.
    """

    weights: Weights
    profile: HardwareProfile
    store: MeasurementStore
    calibration: Calibration
    seed: int
    folder: Path
    access: Access = field(default_factory=Access)
    finetune_epochs: int = 0
    augmentation: str = "auto"
    say: Callable[[str], None] = lambda what: None

    @property
    def supernet(self) -> MobileNetV3Supernet:
        """The weights' supernet."""
        return self.weights.supernet

    @property
    def dataset(self) -> Dataset:
        """The weights' images."""
        return self.weights.dataset

    def make(self, arch: Arch) -> Candidate:
        """Extract, export, compile, and hold the artifacts against torch on real validation images.

        For a device that is not this machine, what is compiled is an executable, which runs under emulation; for a
        graphics processor, sources, which run on whatever OpenCL is here, or on the NVIDIA graphics processor.

        Raises VerificationFailed naming the artifact that disagrees, DeviceNotReachable where there is no emulator.
        """
        emulator = self._emulator()
        subnet = calibrated_subnet(self.supernet, arch, self.dataset, self.calibration, say=self.say)
        subnet, tuned = self._tuned(subnet, arch)
        network = to_network(subnet)
        folder = self.folder / arch.id
        artifacts = {
            "onnxruntime": build_onnx(network, folder),
            "tvm": self._compile(network, folder / "native"),
        }
        reference = reference_of(subnet, self.dataset, arch.r)
        ran = {runtime: _run(runtime, artifact, reference) for runtime, artifact in artifacts.items()}
        checks = tuple(
            _check(runtime, artifact, folder, reference, ran[runtime][1]) for runtime, artifact in artifacts.items()
        )
        return Candidate(
            arch, network, folder, artifacts, reference, checks, self._verified(ran["tvm"][0] or emulator), tuned
        )

    def _tuned(self, subnet: Subnet, arch: Arch) -> tuple[Subnet, str]:
        """The subnet that is built, and what came of its fine-tuning."""
        if not self.finetune_epochs:
            return subnet, ""
        try:
            found = fine_tune(
                subnet,
                arch,
                self.dataset,
                self.finetune_epochs,
                augmentation=self.augmentation,
                calibration=self.calibration,
                seed=self.seed,
                say=self.say,
            )
        except TrainingDiverged as error:  # it was a copy that was trained
            self.say(f"{error}; {arch.id} stays as it was")
            return subnet, f"as searched ({error})"
        asked = f"{head_epochs(self.finetune_epochs)} + {self.finetune_epochs} epochs"
        change = f"validation top-1 {found.before:.2%} before, {found.after:.2%} after"
        if found.epochs:
            self.say(f"fine-tuned {arch.id}: {change}")
            return found.subnet, f"fine-tuned for {asked} ({change})"
        self.say(f"fine-tuned {arch.id}: {change}; it stays as it was")
        return found.subnet, f"as searched (fine-tuning for {asked} made it worse: {change})"

    def time(self, candidate: Candidate, runtime: str) -> Measurement:
        """Time one artifact of a candidate; the timing is stored before it is returned."""
        return time_runnable(
            candidate.artifacts[runtime],
            profile=self.profile,
            runtime=runtime,
            arch=candidate.arch,
            space=self.supernet.space,
            role="build",
            store=self.store,
            access=self.access,
        )

    def time_layers(self, candidate: Candidate, model: LatencyModel | None) -> LayerTimes:
        """Time the compiled library layer by layer; predictions need a latency model of timings in this store."""
        artifact, threads = candidate.artifacts["tvm"], self.profile.timing.threads
        known: list[Measurement] = []
        if model is not None:
            stored = self.store.query(device_fingerprint=model.device_fingerprint, runtime="tvm", space=model.space)
            known = [one for one in stored if model.is_about(one) and one.protocol["threads"] == threads]
        return time_layers(
            artifact.path,
            artifact.digest,
            get_space(candidate.arch.space).layers(candidate.arch, len(self.dataset.classes)),
            known,
            image=candidate.reference.inputs[:1],
            threads=threads,
        )

    def accuracy(self, candidate: Candidate, runtime: str, split: str) -> Accuracy:
        """Top-1 of the very artifact that ships. ``test`` is for the one model that does, once."""
        weights = ", ".join(filter(None, ("the shipped weights", candidate.tuned)))
        return accuracy_of(
            runtime, runnable_of(candidate.artifacts[runtime]), self.dataset, split, candidate.arch.r, weights
        )

    def _emulator(self) -> str | None:
        """What stands in for the device's processor; None for this machine, and for graphics processors."""
        if runs_on_gpu(self.profile):
            need_gpu(gpu_target(self.profile))
            return None
        return None if self.profile.is_this_machine else connect(self.profile, via="qemu").describe().unit

    def _verified(self, where: str | None) -> str:
        """What a manifest says of where the device's own artifact was run."""
        if where is None:
            return "on this machine"
        if not where.startswith("gpu: "):
            return f"emulated ({where})"
        return f"on {'this machine' if self.profile.is_this_machine else 'another device'} ({where})"

    def _compile(self, network: Network, folder: Path) -> Artifact:
        if runs_on_gpu(self.profile):
            return build_gpu_artifacts(make_network_plan(network, target=gpu_target(self.profile)), folder)[SOURCE]
        target, tuning = llvm_target(self.profile), tuning_of(self.profile)
        if self.profile.is_this_machine:
            return build_native(network, target=target, folder=folder, tuning=tuning)
        plan = make_network_plan(network, target=target, tuning=tuning)
        return build_artifacts(plan, folder, kinds=(EXECUTABLE,))[EXECUTABLE]


def reference_of(subnet: Any, dataset: Dataset, resolution: int, count: int = REFERENCE_IMAGES) -> Reference:
    """The first ``count`` validation images and what a torch module makes of them, one image at a time."""
    import torch

    images = np.ascontiguousarray(dataset.val.at(resolution)[:count])
    inputs = normalise(images, dataset.mean, dataset.std)
    with torch.inference_mode():
        outputs = torch.cat([subnet(torch.from_numpy(image[None])).float() for image in inputs])
    return Reference(images, inputs, outputs.numpy())


def runnable_of(artifact: Artifact) -> RunnableFile:
    """The part of an artifact that a runner needs."""
    return RunnableFile(
        artifact.kind,
        artifact.path,
        artifact.digest,
        tuple(artifact.input_shape),
        tuple(artifact.output_shape),
    )


def _run(runtime: str, artifact: Artifact, reference: Reference) -> tuple[str | None, np.ndarray]:
    """Outputs of an artifact; for kernels of a graphics processor, also what ran them."""
    runnable = runnable_of(artifact)
    if artifact.kind == SOURCE:
        return run_kernels(runnable, reference.inputs)
    return None, run_in_child(runtime, runnable, reference.inputs)


def _check(runtime: str, artifact: Artifact, folder: Path, reference: Reference, outputs: np.ndarray) -> ArtifactCheck:
    path = artifact.path.relative_to(folder).as_posix()
    error = compare(outputs, reference.outputs, name=path)
    allowed = allowed_error(reference.outputs, TOLERANCE)
    return ArtifactCheck(path=path, runtime=runtime, images=len(outputs), max_abs_error=error, allowed=allowed)
