"""A bundle of CUDA kernels on this machine's graphics processor: a stand-in for the driver, TVM's own runtime above."""

import importlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from natdeploy.compiler import build_gpu_artifacts, make_network_plan
from natdeploy.deploy import verify_bundle
from natdeploy.deploy.bundle import REFERENCE, Reference, write_bundle
from natdeploy.deploy.manifest import Manifest
from natdeploy.devices import compile_target, load_profile, shipped_profiles_dir
from natdeploy.ground.errors import DeviceNotReachable, VerificationFailed
from natdeploy.spaces import random_network
from natdeploy.verbs import bench
from tests.compiler.gpu.conftest import cuda_libraries, stand_in_cuda  # noqa: F401
from tests.compiler.reference import reference
from tests.deploy.stand_ins import CLASSES, PREPROCESSING, SPACE, manifest_of

BENCH = importlib.import_module("natdeploy.deploy.bench")
pytestmark = pytest.mark.usefixtures("home", "stand_in_cuda")


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """Writes a bundle of kernels, as ``build --device`` would."""

    def bundle(device: str, *, error: float = 0.0) -> Path:
        profile = load_profile(device)
        arch, path = SPACE.smallest(), tmp_path / "bundle"
        network = random_network(SPACE.layers(arch, len(CLASSES)), seed=1)
        plan = make_network_plan(network, target=compile_target(profile))
        kernels = build_gpu_artifacts(plan, tmp_path / "built" / "native")["source"]
        preprocessing = type(PREPROCESSING)(arch.r, PREPROCESSING.mean, PREPROCESSING.std)
        images = np.random.default_rng(0).integers(0, 256, (2, arch.r, arch.r, 3), np.uint8)
        inputs = preprocessing(images)
        outputs = np.concatenate([reference(network, image[None]) for image in inputs]) + error
        found = manifest_of(arch).to_json()
        found["device"].update(name=profile.name, machine=profile.machine, target=dict(plan.target))
        source = {"kind": "source", "runtime": "tvm", "path": "native/kernels.cu", "toolchain": {}}
        found["artifacts"] = [{**source, "digest": kernels.digest}]
        found["preprocessing"] = preprocessing.to_json()
        found["latency"] |= {"budget_ms": None, "measured": None, "predicted": None}
        checks = [{"path": "native/kernels.cu", "runtime": "tvm", "images": 2, "max_abs_error": 0, "allowed": 1}]
        found["verification"] |= {"checks": checks, "verified": "on this machine", "reference": REFERENCE}
        write_bundle(
            path,
            Manifest.model_validate(found),
            artifacts=tmp_path / "built",
            arch=arch,
            labels=CLASSES,
            preprocessing=preprocessing,
            reference=Reference(images, inputs, outputs.astype(np.float32)),
            measurements=[],
        )
        return path

    return bundle


def test_it_runs_and_is_timed_on_this_machine(make: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BENCH, "SERIES", 2)
    monkeypatch.setattr(BENCH, "REPEATS", 2)
    path = make("host-cuda")
    result = bench(path, device="host-cuda")
    assert result.latency_ms > 0 and result.via == "local" and result.energy.source != "measured"
    manifest = verify_bundle(path).manifest
    assert manifest.verification.verified.startswith("on the device (local ")
    assert [artifact.kind for artifact in manifest.artifacts] == ["source"]


def test_other_outputs_are_refused(make: Callable[..., Path]) -> None:
    path = make("host-cuda", error=0.5)
    with pytest.raises(VerificationFailed, match=r"native/kernels\.cu on the device: outputs differ"):
        bench(path, device="host-cuda")


def test_another_machine_s_is_benched_there(make: Callable[..., Path]) -> None:
    path = make(str(shipped_profiles_dir() / "dgx-a100.yaml"))
    with pytest.raises(
        DeviceNotReachable, match="natdeploy runs CUDA on the machine that the graphics processor is in"
    ):
        bench(path, device="dgx-a100")
