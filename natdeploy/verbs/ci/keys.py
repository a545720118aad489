"""What each stage of an entry is made from, as digests: a stage whose key has not changed is not made again.

======================  =====================================================================================
``inputs``              the file's settings, data, supernet, hardware profile, tools: known without the device
``latency_model``       what the model says; timings and models are kept for themselves, whatever the budget
``search``              its settings and budget, data, supernet, latency model, tools
``build``               the search, the picks, the device, its tuning record and what is compiled for it
======================  =====================================================================================
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from natdeploy.ground.files import content_key, sha256_file

if TYPE_CHECKING:
    from natdeploy.devices import HardwareProfile
    from natdeploy.latency import LatencyModel
    from natdeploy.runs import JobConfig
    from natdeploy.verbs.ci.inputs import Inputs

#: Fields of a job that change where things go, or what is done with a finished search.
_NOT_OF_THE_SEARCH = {"out", "build", "profile"}


def inputs_key(job: JobConfig, profile: HardwareProfile, inputs: Inputs) -> str:
    """Key of an entry as far as any machine knows it; ``profile`` as it is written, not filled in."""
    settings = job.model_dump(mode="json", exclude={"out"})
    return content_key({"settings": settings, "inputs": asdict(inputs), "profile": profile.model_dump(mode="json")})


def latency_key(model: LatencyModel) -> str:
    """Key of a latency model: of everything it says."""
    with tempfile.TemporaryDirectory(prefix="natdeploy-") as folder:
        path = Path(folder) / "model.json"
        model.save(path)
        return sha256_file(path)


def search_key(job: JobConfig, inputs: Inputs, latency: str) -> str:
    """Key of a search."""
    settings = job.model_dump(mode="json", exclude=_NOT_OF_THE_SEARCH)
    return content_key({"settings": settings, "inputs": asdict(inputs), "latency_model": latency})


def build_key(job: JobConfig, profile: HardwareProfile, search: str) -> str:
    """Key of the bundles; ``profile`` filled in."""
    from natdeploy.compiler import tuning_of
    from natdeploy.devices import compile_target, device_fingerprint, runs_on_gpu

    device = {
        "fingerprint": device_fingerprint(profile),
        "target": compile_target(profile),
        "tuning": None if runs_on_gpu(profile) else tuning_of(profile).identity,
        "timing": profile.timing.model_dump(mode="json"),
    }
    return content_key({"search": search, "build": job.build.model_dump(mode="json"), "device": device})
