"""Once-for-All's own checkpoints: pickled tensors under the names of two generations of its code.

The published files (``ofa_mbv3_d234_e346_k357_w1.0`` and ``..._w1.2``) use ``mobile_inverted_conv`` for a block's
layers, the PyPI package ``ofa`` uses ``conv``; elastic layers wrap their tensors once more, as in ``bn.bn``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from natdeploy.ground.errors import BadInput
from natdeploy.spaces.mobilenetv3 import MobileNetV3Space
from natdeploy.spaces.space import SPACES, get_space

#: Where the authors keep each space's checkpoint.
PUBLISHED = {
    "ofa-mbv3-w1.0": "https://raw.githubusercontent.com/han-cai/files/master/ofa/ofa_nets/ofa_mbv3_d234_e346_k357_w1.0",
    "ofa-mbv3-w1.2": "https://raw.githubusercontent.com/han-cai/files/master/ofa/ofa_nets/ofa_mbv3_d234_e346_k357_w1.2",
}
#: How the authors' training normalises each RGB channel, on the scale 0 to 1: ImageNet's mean and standard deviation.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
#: What trainings call the weights that they keep among other things.
_WRAPPERS = ("state_dict", "model_state_dict", "model")
_RENAMES = (
    (r"^module\.", ""),
    (r"^(blocks\.\d+)\.(?:mobile_inverted_conv|conv)\.", r"\1."),
    (r"\.conv\.conv\.", ".conv."),
    (r"\.bn\.bn\.", ".bn."),
    (r"\.depth_conv\.conv\.(7to5|5to3)_matrix$", r".depth_conv.transforms.\1"),
    (r"\.depth_conv\.se\.fc\.", ".se."),
    (r"^classifier\.linear(?:\.linear)?\.", "classifier."),
)


def read_ofa_checkpoint(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Header ``{"space", "num_classes", "meta"}`` and tensors under natdeploy's names.

    Only tensors are unpickled: nothing in the file can run code.

    Raises:
        BadInput: the file cannot be read that way, or its widths are those of no space; the message names it.
    """
    tensors = _unpickled(path)
    state: dict[str, Tensor] = {}
    for theirs, tensor in tensors.items():
        ours = natdeploy_name(theirs)
        if ours in state:
            raise BadInput(f"{path}: tensor {theirs!r} is there twice, under names of two generations")
        state[ours] = tensor
    space = _space_of(path, state)
    classifier = state.get("classifier.bias")
    classes = space.num_classes if classifier is None or classifier.ndim != 1 else len(classifier)
    if not classes:
        raise BadInput(f"{path}: tensor 'classifier.bias' has shape [0]: a classifier of no classes")
    meta = {"format": "once-for-all", "mean": list(MEAN), "std": list(STD), "augmentation": "zoom-flip"}
    return {"space": space.name, "num_classes": classes, "meta": meta}, state


def natdeploy_name(theirs: str) -> str:
    """``blocks.1.mobile_inverted_conv.point_linear.bn.bn.weight`` is ``blocks.1.point_linear.bn.weight`` here."""
    for pattern, ours in _RENAMES:
        theirs = re.sub(pattern, ours, theirs)
    return theirs


def _unpickled(path: Path) -> dict[str, Tensor]:
    try:
        with path.open("rb") as file:  # by name, torch would choose the format after the suffix
            loaded = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can raise anything
        raise BadInput(
            f"{path}: neither a safetensors file nor a torch file of tensors only ({_reason(error)}); give "
            "one that natdeploy pretrain made or Once-for-All published"
        ) from None
    state = _state_of(loaded) if isinstance(loaded, Mapping) else None
    if not isinstance(state, Mapping) or not state:
        raise BadInput(f"{path}: a torch file without a state dict")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise BadInput(f"{path}: entry {name!r} of the state dict is not a tensor with a name")
    return dict(state)


def _state_of(loaded: Mapping[Any, Any]) -> Any:
    """The weights themselves, where a training's other figures are kept with them."""
    inside = (loaded[name] for name in _WRAPPERS if name in loaded and not isinstance(loaded[name], Tensor))
    return next(inside, loaded)


def _reason(error: Exception) -> str:
    """Torch's reason in short. Of what is no tensor it has many words, and the name among them."""
    if asked := re.search(r"Unsupported (?:global|operand|class)\S*:? .*?(?:GLOBAL )?([\w.]+\.[\w.]+)", str(error)):
        return f"it asks for {asked[1]}; save its state dict alone"
    said = (
        str(error).strip().partition("\n")[0].partition(". This file can still")[0].partition(". In PyTorch")[0][:120]
    )
    return said if " " in said else f"{type(error).__name__} {said}".strip()  # of a KeyError, only the key


def _space_of(path: Path, state: Mapping[str, Tensor]) -> MobileNetV3Space:
    """The space whose stem and last convolution have the checkpoint's widths."""
    stem, final = state.get("first_conv.conv.weight"), state.get("final_expand_layer.conv.weight")
    if stem is None or final is None or stem.ndim < 1 or final.ndim < 1:
        raise BadInput(f"{path}: no checkpoint of OFA-MobileNetV3: first_conv or final_expand_layer is missing")
    for name in SPACES.names():
        space = get_space(name)
        if isinstance(space, MobileNetV3Space) and (space.stem_c, space.final_c) == (len(stem), len(final)):
            return space
    raise BadInput(f"{path}: stem of {len(stem)} and last convolution of {len(final)} channels are those of no space")
