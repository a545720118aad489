"""Where latency models are kept, and how they are found again: a device's own, a published one's, or a prior."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from natdeploy.compiler.kernel_objects import Progress
from natdeploy.devices import HardwareProfile, device_fingerprint
from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import cache_root, canonical_json, content_key, read_json, write_text
from natdeploy.latency.hardware.machine_code import Machine, MachineCodePredictor
from natdeploy.latency.hardware.prior import Prior, PriorPredictor
from natdeploy.latency.hardware.roofline import OWN_COST, processor_of
from natdeploy.latency.intervals.quality import Quality
from natdeploy.latency.model import LatencyModel
from natdeploy.spaces import Space, get_space

SHIPPED = Path(__file__).parent / "shipped"
PRIOR_FILE = SHIPPED / "prior.json"
PRIOR_KIND = "natdeploy prior"
#: The runtime of natdeploy's own artifacts.
OWN_RUNTIME = "tvm"


def latency_model_path(profile: HardwareProfile, space: Space | str, runtime: str) -> Path:
    """File of the model for a device, a space and a runtime, whether or not it exists.

    Raises BadInput for a runtime that the device does not have.
    """
    if runtime not in profile.runtimes:
        known = ", ".join(profile.runtimes)
        raise BadInput(f"hardware profile {profile.name!r}: no runtime {runtime!r}; its runtimes are {known}")
    name = space if isinstance(space, str) else space.name
    return cache_root() / "latency_models" / device_fingerprint(profile) / name / f"{runtime}.json"


def kernel_model_path(path: Path) -> Path:
    """Where the model of kernels lies beside a device's model."""
    return path.with_suffix(".kernels.json")


def find_latency_model(
    profile: HardwareProfile, space: Space | str, runtime: str, *, kernels: bool = False
) -> LatencyModel | None:
    """The stored model, or None where the device was not profiled for this space and runtime.

    ``kernels``: that of kernels, which stands beside another one where that is nearer to whole networks.

    Raises BadInput for an unknown runtime or space, and for a stored file that is damaged or belongs elsewhere.
    """
    path = latency_model_path(profile, space, runtime)
    if kernels:
        path = kernel_model_path(path)
    if isinstance(space, str):
        space = get_space(space)
    if not path.exists():
        return None
    model = LatencyModel.load(path, space)
    if (model.runtime, model.device_fingerprint) != (runtime, device_fingerprint(profile)):
        raise BadInput(
            f"{path}: latency model of device {model.device!r} and runtime {model.runtime!r}, expected "
            f"{profile.name!r} and {runtime!r}; profile again"
        )
    return model


def shipped_latency_model(profile: HardwareProfile, space: Space | str) -> LatencyModel | None:
    """The model that natdeploy ships for a device, made from published measurements of devices of that name.

    None where there is none. Its runtime is the publication's, which need not be one that natdeploy can run.
    """
    name = space if isinstance(space, str) else space.name
    path = SHIPPED / profile.name / f"{name}.json"
    if not path.is_file():
        return None
    return replace(LatencyModel.load(path, space), device_fingerprint=device_fingerprint(profile))


def prior_latency_model(
    profile: HardwareProfile, space: Space | str, runtime: str, *, but: str | None = None
) -> LatencyModel:
    """What a device's hardware profile alone tells, with intervals as wide as other devices were off theirs.

    natdeploy's own artifacts are known by their machine code where llvm-mca is installed and has a model of the
    processor; a roofline serves all else. The model's ``origin["method"]`` says which of them it is, and why.

    Args:
        but: why machine code will not do, where the caller knows that.

    Raises BadInput for an unknown runtime, and naming the field where the profile lacks what it takes.
    """
    latency_model_path(profile, space, runtime)
    space = get_space(space) if isinstance(space, str) else space
    prior = load_prior()
    predictor, method = _prior_predictor(prior, profile, space, runtime, but)
    figures = prior.figures
    quality = Quality(
        **{name: figures[name] for name in ("spearman", "kendall", "mape", "within5", "within10", "coverage")},
        nominal_coverage=0.9,
        interval_width=figures["width"],
        networks=int(figures["networks"]),
        training_networks=0,
        evaluated_on=f"published latencies of {len(prior.devices)} other devices, each left out"
        + (", by a roofline with their own runtimes' costs" if runtime == OWN_RUNTIME else ""),
        repeatability_within5=None,
        repeatability_within10=None,
        repeats=0,
        baselines={},
    )
    return LatencyModel(
        space=space.name,
        device=profile.name,
        device_fingerprint=device_fingerprint(profile),
        runtime=runtime,
        source="prior",
        coverage=0.9,
        quality=quality,
        toolchain={},
        predictor=predictor,
        origin={
            "method": method,
            "source": f"published latencies of {', '.join(prior.devices)}",
            "licence": "see natdeploy/latency/shipped/README.md",
        },
        _space=space,
    )


def telling(model: LatencyModel, progress: Progress | None) -> LatencyModel:
    """The same model, which tells what it does where predicting takes longer than a moment: compiling kernels."""
    if not isinstance(model.predictor, MachineCodePredictor):
        return model
    return replace(model, predictor=replace(model.predictor, progress=progress))


def _prior_predictor(
    prior: Prior, profile: HardwareProfile, space: Space, runtime: str, but: str | None
) -> tuple[PriorPredictor | MachineCodePredictor, str]:
    """The better one of two, and what it is."""
    processor = processor_of(profile)
    if runtime != OWN_RUNTIME:
        return PriorPredictor(prior, processor, space), f"roofline, since {runtime} compiles no kernels to look into"
    if but is None:
        try:
            machine = Machine.of(profile)
        except BadInput as error:
            but = str(error)
        else:
            return MachineCodePredictor(prior, machine, space), machine.says
    return PriorPredictor(own_prior(prior), processor, space), f"roofline ({but})"


def own_prior(prior: Prior) -> Prior:
    """With the costs of natdeploy's own kernels: a prior's own are those of the runtimes it was learned from."""
    return replace(prior, cost=np.array(OWN_COST))


def load_prior(path: Path = PRIOR_FILE) -> Prior:
    """The shipped prior, or one written by :func:`save_prior`. Raises BadInput for a file that is not that."""
    value = read_json(path, "prior")
    if not isinstance(value, dict) or value.get("kind") != PRIOR_KIND or value.get("schema_version") != 1:
        raise BadInput(f"{path}: not a prior that this version can read")
    if value.get("sha256") != content_key(value.get("prior")):
        raise BadInput(f"{path}: damaged prior: its content is not that of its sha256")
    return Prior.from_json(value["prior"])


def save_prior(prior: Prior, path: Path) -> None:
    """Write one JSON file, atomically. Equal priors give equal bytes."""
    body = prior.to_json()
    value = {"kind": PRIOR_KIND, "schema_version": 1, "sha256": content_key(body), "prior": body}
    write_text(path, canonical_json(value) + "\n")
