"""``export``: an architecture and a checkpoint make a checked ONNX file, without a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from natdeploy.verbs.result import Progress, Result

if TYPE_CHECKING:
    from natdeploy.spaces import Arch

#: Architectures that need no file.
BY_NAME = ("largest", "smallest")


@dataclass(frozen=True)
class ExportResult(Result):
    """An exported subnet.

    Attributes:
        out: the folder.
        files: what is in it.
        arch: the architecture.
        arch_id: its twelve hex digits.
        num_classes: outputs.
        macs, params: of one image's inference.
        max_abs_error, allowed: largest difference of a logit from the torch module's on ``images`` real images, and
            what passes.
        images: see there.
        normalised_as: whose mean and standard deviation images are normalised with; ``preprocess.json`` has them.
        test_top1: of the ONNX file on the data's test part, a share; None where its classes are not the weights'.
        test_standard_error, test_images: of that; None and 0 where there is none.
        same_division: whether the weights were trained on this very division of the images, whose test part is then new
            to them; None where the checkpoint does not tell.
    """

    out: Path
    files: tuple[str, ...]
    arch: Mapping[str, Any]
    arch_id: str
    num_classes: int
    macs: int
    params: int
    max_abs_error: float
    allowed: float
    images: int
    normalised_as: str
    test_top1: float | None
    test_standard_error: float | None
    test_images: int
    same_division: bool | None


def export(
    net: str | Path,
    *,
    data: str,
    out: str | Path,
    supernet: str = "box",
    resolution: int | None = None,
    calibration_images: int = 1000,
    seed: int = 0,
    progress: Progress | None = None,
) -> ExportResult:
    """Take a subnet out of a checkpoint and write ``model.onnx``, its preprocessing, labels and architecture.

    The folder appears as a whole, after the file agreed with the torch module on real images; an older one of this
    verb's is replaced.

    Args:
        net: a ``net.config``, ``net.subnet``, ``net.encoding`` or ``subnet.json``; or ``largest`` or ``smallest`` of
            the checkpoint's space.
        data: training images calibrate batch norm, and where the classes are the weights', test images judge.
        out: the folder.
        supernet: the weights: a checkpoint of natdeploy's or Once-for-All's, its path or address; ``box`` for the
            shipped one.
        resolution: in pixels, of a file that does not hold it.
        calibration_images: how many are drawn, varied as in the weights' training.
        seed: of that draw, and of the data's division.
        progress: told what is going on.

    Raises BadInput for files that cannot be read, an architecture that is not of the checkpoint's space, a folder that
    holds something else; VerificationFailed where the ONNX file computes something else.
    """
    from natdeploy.data import load_dataset
    from natdeploy.deploy.export import export_subnet
    from natdeploy.ground.errors import BadInput
    from natdeploy.ground.files import atomic_folder
    from natdeploy.supernets import read_supernet_header

    folder = Path(out)
    _refuse_other_content(folder)
    if calibration_images < 2:
        raise BadInput(f"calibration_images: expected at least 2, not {calibration_images}")
    done = 0.0

    def tell(what: str, fraction: float | None = None) -> None:
        nonlocal done
        done = done if fraction is None else fraction
        if progress:
            progress(what, done)

    arch = _arch(net, read_supernet_header(supernet)["space"], resolution)
    tell("reading images", 0.0)
    try:
        dataset = load_dataset(data, seed=seed)
    except BadInput:  # a few images without a test part of their own calibrate as well
        dataset = load_dataset(data, seed=seed, stratified=False)
    tell("reading the weights", 0.2)
    with atomic_folder(folder) as written:
        found = export_subnet(
            arch, supernet, dataset, written, calibration_images=calibration_images, seed=seed, say=tell
        )
    tell("done", 1.0)
    accuracy = found.accuracy
    return ExportResult(
        out=folder,
        files=found.files,
        arch=arch.to_json(),
        arch_id=arch.id,
        num_classes=found.num_classes,
        macs=found.macs,
        params=found.params,
        max_abs_error=found.max_abs_error,
        allowed=found.allowed,
        images=found.images,
        normalised_as=found.normalised_as,
        test_top1=accuracy.top1 if accuracy else None,
        test_standard_error=accuracy.standard_error if accuracy else None,
        test_images=accuracy.images if accuracy else 0,
        same_division=found.same_division,
    )


def _refuse_other_content(folder: Path) -> None:
    """Raise BadInput for a folder that holds anything but an earlier export: it would be lost."""
    from natdeploy.deploy.export import CONFIG, FILES
    from natdeploy.ground.errors import BadInput

    if not folder.exists():
        return
    if not folder.is_dir() or folder.resolve() == Path.cwd():
        raise BadInput(f"{folder}: not a folder that can be replaced; choose another with --out")
    found = {path.name for path in folder.iterdir()}
    if found and not set(FILES) - {CONFIG} <= found <= set(FILES):
        raise BadInput(f"{folder}: holds something else than an export; choose another with --out")


def _arch(net: str | Path, space: str, resolution: int | None) -> Arch:
    from natdeploy.spaces import get_space
    from natdeploy.spaces.arch_file import read_arch

    if net not in BY_NAME:
        return read_arch(net, space, resolution=resolution)
    home = get_space(space).at_resolutions([] if resolution is None else [resolution])
    return home.largest() if net == "largest" else home.smallest()
