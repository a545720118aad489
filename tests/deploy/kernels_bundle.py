"""A bundle of kernels for a graphics processor, as ``build`` would write it."""

from pathlib import Path

import numpy as np

from natdeploy.compiler import build_gpu_artifacts, make_network_plan
from natdeploy.deploy.bundle import REFERENCE, Reference, write_bundle
from natdeploy.deploy.manifest import Manifest
from natdeploy.devices import HardwareProfile, compile_target
from natdeploy.spaces import random_network
from tests.compiler.reference import reference
from tests.deploy.stand_ins import CLASSES, PREPROCESSING, SPACE, manifest_of


def write_kernels_bundle(folder: Path, profile: HardwareProfile, *, verified: str, error: float = 0.0) -> Path:
    """Below a folder: the smallest subnet's bundle, its reference outputs off by ``error``."""
    arch, path = SPACE.smallest(), folder / "bundle"
    network = random_network(SPACE.layers(arch, len(CLASSES)), seed=1)
    plan = make_network_plan(network, target=compile_target(profile))
    kernels = build_gpu_artifacts(plan, folder / "built" / "native")["source"]
    name = f"native/{Path(kernels.path).name}"
    preprocessing = type(PREPROCESSING)(arch.r, PREPROCESSING.mean, PREPROCESSING.std)
    images = np.random.default_rng(0).integers(0, 256, (2, arch.r, arch.r, 3), np.uint8)
    inputs = preprocessing(images)
    outputs = np.concatenate([reference(network, image[None]) for image in inputs]) + error
    found = manifest_of(arch).to_json()
    found["device"].update(name=profile.name, machine=profile.machine, target=dict(plan.target))
    source = {"kind": "source", "runtime": "tvm", "path": name, "toolchain": {}}
    found["artifacts"] = [{**source, "digest": kernels.digest}]
    found["preprocessing"] = preprocessing.to_json()
    found["latency"] |= {"budget_ms": None, "measured": None, "predicted": None}
    checks = [{"path": name, "runtime": "tvm", "images": 2, "max_abs_error": 0, "allowed": 1}]
    found["verification"] |= {"checks": checks, "verified": verified, "reference": REFERENCE}
    write_bundle(
        path,
        Manifest.model_validate(found),
        artifacts=folder / "built",
        arch=arch,
        labels=CLASSES,
        preprocessing=preprocessing,
        reference=Reference(images, inputs, outputs.astype(np.float32)),
        measurements=[],
    )
    return path
