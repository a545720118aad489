"""Supernet checkpoints: safetensors with the space, the classes and the history of the weights in the header."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import write_bytes
from natdeploy.spaces.space import SPACES, get_space
from natdeploy.supernets.download import fetched, is_address
from natdeploy.supernets.mobilenetv3 import MobileNetV3Supernet, build_supernet
from natdeploy.supernets.ofa_checkpoint import PUBLISHED, read_ofa_checkpoint

#: The name under which the supernet shipped with natdeploy is asked for.
BOX = "box"
_FORMAT = "natdeploy supernet 1"


def box_path() -> Path:
    """The supernet shipped with natdeploy: ``mbv3-micro`` trained on CIFAR-10."""
    return Path(__file__).parent / "box" / "mbv3-micro-cifar10.safetensors"


def save_supernet(path: Path, supernet: MobileNetV3Supernet, meta: dict[str, Any]) -> None:
    """Write all weights, atomically. ``meta`` (JSON) says where the weights come from."""
    tensors = {name: value.contiguous() for name, value in supernet.state_dict().items()}
    header = {"format": _FORMAT, "space": supernet.space.name, "num_classes": supernet.num_classes, "meta": meta}
    # one metadata entry: safetensors writes several in random order, and equal weights shall give equal bytes
    write_bytes(path, save(tensors, {"natdeploy": json.dumps(header, sort_keys=True)}))


def read_supernet_header(source: str | Path) -> dict[str, Any]:
    """``{"space", "num_classes", "meta"}`` of a checkpoint, without its tensors. Raises BadInput naming the file."""
    return _of(source, tensors=False)[1]


def load_supernet(
    source: str | Path = BOX, num_classes: int | None = None, *, resolutions: Sequence[int] = ()
) -> MobileNetV3Supernet:
    """Load a supernet, tensors only: nothing in the file can run code.

    Args:
        source: path of a checkpoint written by :func:`save_supernet` or published with Once-for-All, its address
            on the web (fetched once, kept in the cache folder), or ``"box"``.
        num_classes: with another number of classes than the checkpoint's, the classifier starts afresh.
        resolutions: those of its space that it is used at; all of them where none are given.

    Raises:
        BadInput: the file is missing, damaged, of another format (a pickle, say) or does not fit its space; the
            message names the file and the tensor.
    """
    path, header, state = _of(source, tensors=True)
    supernet = build_supernet(get_space(header["space"]).at_resolutions(resolutions), header["num_classes"])
    expected = supernet.state_dict()
    for name in sorted(expected.keys() | state.keys()):
        if name not in state and name.endswith(".num_batches_tracked"):
            state[name] = expected[name]  # a counter that old files lack, and nothing here depends on
        if name not in state:
            raise BadInput(f"{path}: tensor {name!r} is missing")
        if name not in expected:
            raise BadInput(f"{path}: tensor {name!r} does not belong to space {header['space']}")
        if state[name].shape != expected[name].shape:
            found, wanted = list(state[name].shape), list(expected[name].shape)
            raise BadInput(f"{path}: tensor {name!r} has shape {found}, expected {wanted}")
        if not _is_plain(state[name]) or (expected[name].is_floating_point() and not state[name].is_floating_point()):
            kind = f"{state[name].dtype} ({state[name].layout}, on {state[name].device})"
            raise BadInput(f"{path}: tensor {name!r} is {kind}, expected dense {expected[name].dtype}")
        if state[name].is_floating_point() and not torch.isfinite(state[name]).all():
            raise BadInput(f"{path}: tensor {name!r} holds values that are not finite")
    supernet.load_state_dict(state)
    if num_classes is not None and num_classes != supernet.num_classes:
        supernet.reset_classifier(num_classes)
    return supernet


def checkpoint_path(source: str | Path) -> Path:
    """The file behind a path, an address (fetched once) or ``"box"``. Raises BadInput for a dead address."""
    if source == BOX:
        return box_path()
    return fetched(source) if isinstance(source, str) and is_address(source) else Path(source)


def _of(source: str | Path, *, tensors: bool) -> tuple[Path, dict[str, Any], dict[str, torch.Tensor]]:
    """File, header and tensors. What came from an address and is no checkpoint is not kept."""
    path = checkpoint_path(source)
    try:
        return path, *_read(path, tensors=tensors)
    except BadInput as error:
        if isinstance(source, str) and is_address(source):
            path.unlink(missing_ok=True)
            raise BadInput(f"{source}: what came from there is no checkpoint: {error}") from None
        raise


def _is_plain(tensor: torch.Tensor) -> bool:
    """Whether a tensor holds numbers that can be copied: torch files may hold sparse, quantised and empty ones, too."""
    return tensor.layout is torch.strided and not tensor.is_quantized and tensor.device.type == "cpu"


def _is_safetensors(path: Path) -> bool:
    """By its first bytes: a header's length, and a brace. A torch file is a zip archive or a pickle."""
    try:
        with path.open("rb") as file:
            return file.read(9)[8:] == b"{"
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror})") from None


def _originals(path: Path) -> str:
    """Where the authors keep what is missing: the one of that name, else all."""
    named = [address for address in PUBLISHED.values() if address.endswith(f"/{path.name}")]
    if named:
        return f"fetch it from {named[0]}, or give that address"
    each = ", ".join(f"{space} {address}" for space, address in PUBLISHED.items())
    return f"give one that natdeploy pretrain made, or Once-for-All's, as a file or by its address ({each})"


def _read(path: Path, *, tensors: bool) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    if not path.is_file():
        raise BadInput(f"{path}: no such supernet checkpoint; {_originals(path)}")
    if not _is_safetensors(path):
        return read_ofa_checkpoint(path)
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()} if tensors else {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise BadInput(
            f"{path}: not a readable safetensors checkpoint ({error}); natdeploy pretrain writes one"
        ) from None
    if "natdeploy" not in metadata:
        raise BadInput(f"{path}: a safetensors file, but not one of natdeploy's supernets")
    try:
        header = json.loads(metadata["natdeploy"])
        form = header["format"]
        header = {field: header[field] for field in ("space", "num_classes", "meta")}
    except (KeyError, TypeError, json.JSONDecodeError):
        raise BadInput(f"{path}: the checkpoint's header is damaged") from None
    if form != _FORMAT:
        raise BadInput(f"{path}: format {form!r}, expected {_FORMAT!r}")
    space, classes = header["space"], header["num_classes"]
    if space not in SPACES.names():
        raise BadInput(f"{path}: header field 'space' is {space!r}; known: {', '.join(SPACES.names())}")
    if not isinstance(classes, int) or isinstance(classes, bool) or classes < 1:
        raise BadInput(f"{path}: header field 'num_classes' is {classes!r}, expected a whole number from 1")
    return header, state
