"""Kernels of a runtime that were published of a device and that the user imported: learned from once, and kept.

A file of operators makes them known; whole networks of the same setting, imported as well, give the interval.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from natdeploy.devices import HardwareProfile
from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import cache_root, canonical_json, content_key, read_json, write_text
from natdeploy.latency.intervals.quality import Quality
from natdeploy.latency.kernels.published import PublishedKernels, PublishedKernelsPredictor
from natdeploy.latency.kernels.published_fit import fit_published_kernels
from natdeploy.latency.model import LatencyModel, published_model
from natdeploy.measure.published import Publication, PublishedTiming, published_folder, published_tables
from natdeploy.spaces import Space

KIND = "natdeploy published kernels"
SCHEMA_VERSION = 2
#: The format whose files may have operators, and the runtime whose rules for making kernels of layers are known.
FORMAT, RUNTIME = "mobile-ml-benchmark", "tflite"
#: How settings of graphics processors begin.
_GPU = "gpu"


@dataclass(frozen=True, eq=False)
class ImportedKernels:
    """What was learned, and from what.

    Attributes:
        known: the model.
        quality: on whole networks that were left out; None where there were too few.
        publication: of the operators; its runtime names the setting, too.
        named: the device as the file names it.
        operators, networks: how many were learned from, and of how many networks.
    """

    known: PublishedKernels
    quality: Quality | None
    publication: Publication
    named: str
    operators: int
    networks: int

    @property
    def how(self) -> str:
        """How networks are put together."""
        return (
            f"from {self.operators} published kernels of {self.named}, of {self.networks} networks; "
            f"{self.known.rules}; {self.known.interval_from}"
        )

    @property
    def says(self) -> str:
        """The same, and where the kernels come from."""
        return f"{self.how} (runtime: {self.publication.runtime}; source: {self.publication.source})"

    def save(self, path: Path) -> None:
        """Write one JSON file, atomically. Equal models give equal bytes."""
        body = {
            "known": self.known.to_json(),
            "quality": None if self.quality is None else self.quality.to_json(),
            "publication": asdict(self.publication),
            "named": self.named,
            "operators": self.operators,
            "networks": self.networks,
        }
        value = {"kind": KIND, "schema_version": SCHEMA_VERSION, "sha256": content_key(body), "model": body}
        write_text(path, canonical_json(value) + "\n")

    @staticmethod
    def load(path: Path) -> ImportedKernels:
        """Read what :meth:`save` wrote. Raises BadInput naming a file that is not that, or is damaged."""
        value = read_json(path, "published kernels")
        if not isinstance(value, dict) or (value.get("kind"), value.get("schema_version")) != (KIND, SCHEMA_VERSION):
            raise BadInput(f"{path}: not published kernels that this version can read; remove the file")
        # The digest keeps a damaged file away from XGBoost, whose own reader trusts what it is given.
        if value.get("sha256") != content_key(value.get("model")):
            raise BadInput(f"{path}: damaged published kernels: not the content of its sha256; remove the file")
        try:
            return _read(value["model"])
        except BadInput as error:
            raise BadInput(f"{path}: {error}") from None
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadInput(f"{path}: not published kernels that this version can read ({error!r}); remove it") from None


def imported_kernels(profile: HardwareProfile) -> ImportedKernels | None:
    """Kernels that were imported for a device; None where there are none of what its profile computes on.

    Raises BadInput for damaged published measurements, and for operators from which nothing can be learned.
    """
    files = sorted(published_folder(profile.name).glob(f"{FORMAT}-*.json"))
    if not files or profile.compute != "gpu":
        return None
    path = kept_path(profile.name, content_key([file.name for file in files]))
    if path.is_file():
        return ImportedKernels.load(path)
    found = learned_kernels(profile.name)
    if found is not None:
        found.save(path)
    return found


def kept_path(device: str, key: str) -> Path:
    """Where what was learned is kept; the key stands for the imported files."""
    return cache_root() / "published_models" / device / f"kernels-{key[:16]}.json"


def learned_kernels(device: str) -> ImportedKernels | None:
    """Learn from a device's imported tables: the setting of which there are the most operators; None without any."""
    tables = [table for table in published_tables(device) if table.origin.format == FORMAT]
    counts = Counter(
        _place(timing)
        for table in tables
        for timing in table.timings
        if timing.kind == "operator" and has_rules(timing)
    )
    if not counts:
        return None
    (named, runtime, setting), _ = counts.most_common(1)[0]
    own = {table.key: [one for one in table.timings if _place(one) == (named, runtime, setting)] for table in tables}
    timings = [timing for found in own.values() for timing in found]
    origin = next(table.origin for table in tables if any(one.kind == "operator" for one in own[table.key]))
    return learn_kernels(timings, replace(origin.publication, runtime=f"{runtime}, {setting}"))


def learn_kernels(timings: Sequence[PublishedTiming], publication: Publication) -> ImportedKernels:
    """Learn from operators, and models, of one setting. Raises BadInput as :func:`fit_published_kernels`."""
    known, quality = fit_published_kernels(timings)
    operators = {(one.what["model"], one.what["op_index"]) for one in timings if one.kind == "operator"}
    models = {model for model, _ in operators}
    return ImportedKernels(known, quality, publication, timings[0].device, len(operators), len(models))


def imported_kernel_model(profile: HardwareProfile, space: Space) -> LatencyModel | None:
    """A model of a space's networks from imported kernels.

    None where no whole networks say how good it is, or where a layer of the space has no kernel.
    """
    found = imported_kernels(profile)
    return None if found is None else kernel_latency_model(found, space, device=profile.name)


def kernel_latency_model(found: ImportedKernels, space: Space, *, device: str) -> LatencyModel | None:
    """A model of a space's networks from kernels; None as :func:`imported_kernel_model`."""
    if found.quality is None:
        return None
    predictor = PublishedKernelsPredictor(found.known, space)
    try:
        for arch in (space.smallest(), space.largest()):
            predictor.network_ns(space.layers(arch))
    except BadInput:
        return None
    model = published_model(predictor, space, device=device, publication=found.publication, quality=found.quality)
    return replace(model, origin={**model.origin, "caveat": found.how})


def has_rules(timing: PublishedTiming) -> bool:
    """Whether it is known how that runtime makes kernels of layers."""
    return timing.runtime == RUNTIME and timing.setting.startswith(_GPU)


def _place(timing: PublishedTiming) -> tuple[str, str, str]:
    return timing.device, timing.runtime, timing.setting


def _read(body: Mapping[str, Any]) -> ImportedKernels:
    quality = body["quality"]
    return ImportedKernels(
        PublishedKernels.from_json(body["known"]),
        None if quality is None else Quality.from_json(quality),
        Publication(**body["publication"]),
        str(body["named"]),
        int(body["operators"]),
        int(body["networks"]),
    )
