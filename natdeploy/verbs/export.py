"""``export``: an architecture and a checkpoint make a checked ONNX file, without a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from natdeploy.verbs.result import Progress, Result

if TYPE_CHECKING:
    from natdeploy.deploy.export import Exported
    from natdeploy.spaces import Arch

#: Architectures that need no file.
BY_NAME = ("largest", "smallest")


@dataclass(frozen=True)
class ExportResult(Result):
    """An exported subnet.

    Attributes:
        out: the folder.
        arch: the architecture.
        arch_id: its twelve hex digits.
        exported: what was written, how it was checked, and how good it is.
    """

    out: Path
    arch: Mapping[str, Any]
    arch_id: str
    exported: Exported


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

    def tell(what: str, fraction: float = 0.0) -> None:
        if progress:
            progress(what, fraction)

    arch = _arch(net, read_supernet_header(supernet)["space"], resolution, tell)
    tell("reading images", 0.0)
    try:
        dataset = load_dataset(data, seed=seed)
    except BadInput as error:  # a few images of a class calibrate as well
        tell(f"dividing the images without regard to their classes ({error})")
        dataset = load_dataset(data, seed=seed, stratified=False)
    tell("reading the weights", 0.2)
    with atomic_folder(folder) as written:
        found = export_subnet(
            arch,
            supernet,
            dataset,
            written,
            calibration_images=calibration_images,
            seed=seed,
            progress=lambda what, fraction: tell(what, 0.2 + 0.8 * fraction),
        )
    tell("done", 1.0)
    return ExportResult(folder, arch.to_json(), arch.id, found)


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


def _arch(net: str | Path, space: str, resolution: int | None, say: Callable[[str], None]) -> Arch:
    from natdeploy.spaces import get_space
    from natdeploy.spaces.arch_file import read_arch

    if net not in BY_NAME:
        return read_arch(net, space, resolution=resolution, say=say)
    home = get_space(space).at_resolutions([] if resolution is None else [resolution])
    return home.largest() if net == "largest" else home.smallest()
