"""Digests of what a job reads: images, weights, tools. Files that have not been touched are not read again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import cache_root, content_key, read_json, sha256_file, write_json
from natdeploy.ground.validation import checked

if TYPE_CHECKING:
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
#: Images and weights that come with the tools, whose digests stand for them.
_BUILT_IN = ("digits", "box", "none")


@dataclass(frozen=True)
class Inputs:
    """Digests of everything a job reads but the device's own timings.

    Attributes:
        data: fingerprint of pixels, labels and division, of all data sets; None for a job without images.
        supernet: SHA-256 of the weights' file; None for a job without weights.
        tools: names and versions.
    """

    data: str | None
    supernet: str | None
    tools: dict[str, str]


def job_inputs(job: JobConfig) -> Inputs:
    """What a job reads. Raises BadInput for images or a supernet that cannot be read.

    Where size and time of every file are those of the last look, that look's digests are given again: neither are
    images decoded then, nor is PyTorch imported.
    """
    seen = _seen(job)
    if seen is not None and seen.exists():
        try:
            return checked(Inputs, read_json(seen, "note of digests"), seen)
        except (BadInput, TypeError):
            pass  # a note only saves time
    found = _read(job)
    if seen is not None:
        write_json(seen, asdict(found))
    return found


def _read(job: JobConfig) -> Inputs:
    from natdeploy.data import load_dataset
    from natdeploy.runs.config import NOT_GIVEN
    from natdeploy.supernets.checkpoint import checkpoint_path

    data = None if job.data == NOT_GIVEN else load_dataset(job.data, seed=job.seed).fingerprint
    if job.further_data:
        others = {name: load_dataset(source, seed=job.seed).fingerprint for name, source in job.further_data.items()}
        data = content_key({"data": data, "further": others})
    supernet = None if job.supernet == NOT_GIVEN else sha256_file(checkpoint_path(job.supernet))
    return Inputs(data, supernet, tools())


def _seen(job: JobConfig) -> Path | None:
    """The note of a look at these very files; None where a source cannot be told to be unchanged without reading it."""
    sources = {"": job.data, **job.further_data}
    stamps = [_stamp(source) for source in (*sources.values(), job.supernet)]
    if None in stamps:
        return None
    key = content_key({"stamps": stamps, "data": sources, "seed": job.seed, "tools": tools()})
    return cache_root() / "ci_inputs" / f"{key[:32]}.json"


def _stamp(source: str) -> Any:
    """Place, size and time of every file of a source."""
    if source in _BUILT_IN:
        return source
    kind, colon, text = source.partition(":")
    path = Path(text if colon and kind in ("folder", "npz") else source).expanduser()
    return [str(path.resolve()), *_files(path)] if path.exists() else None


def _files(path: Path) -> Iterator[tuple[str, int, int]]:
    for file in [path] if path.is_file() else sorted(path.rglob("*")):
        if file.is_file():
            stat = file.stat()
            yield file.relative_to(path).as_posix(), stat.st_size, stat.st_mtime_ns


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
