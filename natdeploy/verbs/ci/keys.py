"""What each stage of an entry is made from, as digests: a stage whose key has not changed is not made again.

======================  =====================================================================================
``inputs``              the file's settings, data, supernet, hardware profile, tools: known without the device
``latency_model``       what the model says; timings and models are kept for themselves, whatever the budget
``search``              its settings and budget, data, supernet, latency model, tools
``build``               the search, the picks, the hardware profile as this machine fills it in
======================  =====================================================================================
"""

from __future__ import annotations

import tempfile
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from natdeploy.ground.files import content_key, sha256_file

if TYPE_CHECKING:
    from natdeploy.devices import HardwareProfile
    from natdeploy.latency import LatencyModel
    from natdeploy.runs import JobConfig

#: Packages whose version decides what comes out.
_TOOLS = (
    "apache-tvm",
    "apache-tvm-ffi",
    "numpy",
    "onnx",
    "onnxruntime",
    "pymoo",
    "scikit-learn",
    "torch",
    "xgboost",
    "xgboost-cpu",
    "ziglang",
)
#: Endings of the package's files that are compiled, run or read at work.
_SOURCES = (".py", ".c", ".cpp", ".h", ".json", ".safetensors")
#: Fields of a job that change where things go, or what is done with a finished search.
_NOT_OF_THE_SEARCH = {"out", "build", "profile"}


def job_inputs(job: JobConfig) -> dict[str, Any]:
    """Digests of what a job reads, but for the device's own timings.

    Raises BadInput for images or a supernet that cannot be read.
    """
    from natdeploy.data import load_dataset
    from natdeploy.runs.config import NOT_GIVEN
    from natdeploy.supernets.checkpoint import checkpoint_path

    data = None if job.data == NOT_GIVEN else load_dataset(job.data, seed=job.seed).fingerprint
    supernet = None if job.supernet == NOT_GIVEN else sha256_file(checkpoint_path(job.supernet))
    return {"data": data, "supernet": supernet, "tools": tools()}


def inputs_key(job: JobConfig, profile: HardwareProfile, inputs: dict[str, Any]) -> str:
    """Key of an entry as far as any machine knows it; ``profile`` as it is written, not filled in."""
    settings = job.model_dump(mode="json", exclude={"out"})
    return content_key({"settings": settings, "inputs": inputs, "profile": profile.model_dump(mode="json")})


def latency_key(model: LatencyModel) -> str:
    """Key of a latency model: of everything it says."""
    with tempfile.TemporaryDirectory(prefix="natdeploy-") as folder:
        path = Path(folder) / "model.json"
        model.save(path)
        return sha256_file(path)


def search_key(job: JobConfig, inputs: dict[str, Any], latency: str) -> str:
    """Key of a search."""
    settings = job.model_dump(mode="json", exclude=_NOT_OF_THE_SEARCH)
    return content_key({"settings": settings, "inputs": inputs, "latency_model": latency})


def build_key(job: JobConfig, profile: HardwareProfile, search: str) -> str:
    """Key of the bundles; ``profile`` filled in."""
    return content_key(
        {"search": search, "build": job.build.model_dump(mode="json"), "profile": profile.model_dump(mode="json")}
    )


@cache
def tools() -> dict[str, str]:
    """Versions of the packages that are used, and a digest of natdeploy's own files: a checkout has no versions."""
    versions = {}
    for name in _TOOLS:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    package = Path(__file__).resolve().parents[2]
    files = sorted(path for path in package.rglob("*") if path.suffix in _SOURCES and path.is_file())
    versions["natdeploy"] = content_key({path.relative_to(package).as_posix(): sha256_file(path) for path in files})
    return versions
