"""One architecture from a file of any form that the field knows, told apart by what is in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from natdeploy.ground.errors import BadInput
from natdeploy.spaces.arch import Arch
from natdeploy.spaces.published import read_config, read_encoding, read_subnet


def read_arch(
    path: str | Path,
    space: str | None = None,
    *,
    resolution: int | None = None,
    say: Callable[[str], None] = lambda what: None,
) -> Arch:
    """Architecture of a ``net.config``, ``net.subnet`` or ``net.encoding``, or in natdeploy's own form.

    Args:
        path: the file.
        space: of files that do not say it.
        resolution: in pixels, of files that do not hold it.
        say: told what of the network is not the architecture's: an activation that the space does not have.

    Raises BadInput naming file and field for what is none of these, for an architecture that is not in its space, and
    where the file says another space or resolution.
    """
    arch = _read(Path(path), space, resolution, say)
    if space is not None and arch.space != space:
        raise BadInput(f"{path}: an architecture of space {arch.space}, expected one of {space}")
    if resolution is not None and arch.r != resolution:
        raise BadInput(f"{path}: an architecture at {arch.r} pixels, expected one at {resolution}")
    return arch


def _read(path: Path, space: str | None, resolution: int | None, say: Callable[[str], None]) -> Arch:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not text"
        raise BadInput(f"{path}: no readable architecture: {reason}") from None
    if "".join(text.split()).isdigit():
        return read_encoding(path)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise BadInput(f"{path}: expected a net.config, a net.subnet, a net.encoding or a subnet.json") from None
    if isinstance(value, dict) and "blocks" in value:
        net = read_config(path, resolution=resolution)
        if net.activation:
            say(f"{path}: its activation {net.activation} gives way to those of the space")
        return net.arch
    return read_subnet(path, space, resolution=resolution)
