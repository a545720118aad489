"""MobileNetV3 architectures in the files of Once-for-All and NAT: ``net.subnet``, ``net.config`` and ``net.encoding``.

``net.subnet`` holds kernel sizes, expand ratios and depths: of active blocks in NAT's files, of all twenty places in
OFA's. ``net.config`` describes every layer with its channels, as OFA's ``build_from_config`` takes it; NAT's has the
resolution as ``img_size``, OFA's in a ``run.config`` beside it. ``net.encoding`` is NAT's genome in digits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby, pairwise
from pathlib import Path
from typing import Any, TypeVar

from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import read_json, write_json, write_text
from natdeploy.spaces.arch import Arch
from natdeploy.spaces.layer import Layer
from natdeploy.spaces.mobilenetv3 import EXPANDS, KERNELS, PLACES, MobileNetV3Space, ofa_w10, ofa_w12
from natdeploy.spaces.published_layers import block_field, classifier_form, field_of, network_form, refuse_differences
from natdeploy.spaces.space import SPACES, get_space

#: Of the networks that Once-for-All released; NAT's space begins in their middle.
_OFA_RESOLUTIONS = range(128, 261, 4)
_ACTIVATIONS = {"relu": "relu", "hswish": "h_swish"}
_STAND_INS = ("mish",)

Read = TypeVar("Read")


@dataclass(frozen=True)
class PublishedNet:
    """What a ``net.config`` says.

    Attributes:
        arch: the architecture. Its resolution may be one of Once-for-All's below NAT's, 128 to 188 pixels, or 260: it
            has layers and costs then, but is not in the space, which says so when it is to be encoded.
        num_classes: outputs of the classifier.
        dropout: before the classifier, in training.
        activation: ``mish`` where it stands in for all activations, as in six of NAT's released networks; None where
            they are the space's own. The architecture is the same, the network with the space's activations is not.
    """

    arch: Arch
    num_classes: int
    dropout: float = 0.0
    activation: str | None = None

    def layers(self) -> tuple[Layer, ...]:
        """The network, layer by layer, with the space's own activations."""
        return _at(_space(self.arch.space), self.arch.r).layers(self.arch, self.num_classes)


def subnet_form(arch: Arch, *, every_place: bool = False) -> dict[str, Any]:
    """NAT's ``net.subnet``; with ``every_place`` OFA's form, where inactive places hold the smallest choice."""
    space = _space(arch.space)
    space.check(arch)
    ks, e = list(arch.ks), list(arch.e)
    if every_place:
        ks, e = _every_place(ks, arch.d, min(KERNELS)), _every_place(e, arch.d, min(EXPANDS))
    return {"ks": ks, "e": e, "d": list(arch.d), "r": arch.r, "w": arch.w}


def arch_of_subnet(value: Any, space: str | None = None, *, resolution: int | None = None) -> Arch:
    """Architecture of a ``net.subnet``, in either form.

    The width ``w`` says which full-size space it belongs to. Some published files lack it; ``space`` is needed then.
    OFA's ``sample_active_subnet`` gives no resolution either, which ``resolution`` (pixels) is for.
    Raises BadInput naming the field at fault.
    """
    if not isinstance(value, dict):
        raise BadInput("net.subnet: expected a JSON object with ks, e, d, r and w")
    name = value.get("space", space)
    if name is None:
        widths = {each.width: each.name for each in (ofa_w10(), ofa_w12())}
        found = next((each for width, each in widths.items() if value.get("w") == width), None)
        if found is None:
            known = ", ".join(map(str, widths))
            raise BadInput(f"net.subnet: field 'w' is {value.get('w')!r}, expected one of {known}; or say which space")
        name = found
    if not isinstance(name, str):
        raise BadInput(f"net.subnet: field 'space' is {name!r:.60}, expected the name of one")
    if value.get("r", resolution) is None:
        raise BadInput("net.subnet: field 'r' is missing; say the resolution")
    home = _space(name)
    arch = Arch.from_json({"r": resolution, "w": home.width, **value}, space=home.name)
    home.check(arch)
    return arch


def encoding_form(arch: Arch) -> str:
    """NAT's ``net.encoding``: two digits of the resolution, one of the width, one of each place."""
    space = _space(arch.space)
    return space.text(space.encode(arch))


def arch_of_encoding(text: str) -> Arch:
    """Architecture of a ``net.encoding``, whose third digit says which full-size space it belongs to.

    Raises BadInput for what is no genome of it, or not the canonical one.
    """
    spaces = (ofa_w10(), ofa_w12())
    width = "".join(text.split())[2:3]
    space = next((each for number, each in enumerate(spaces) if width == str(number)), None)
    if space is None:
        raise BadInput(f"net.encoding {text!r:.80}: expected digits, the third of them 0 or 1 for the width")
    return space.decode(space.from_text(text))


def config_form(net: PublishedNet) -> dict[str, Any]:
    """NAT's ``net.config``, which OFA's ``build_from_config`` takes as well."""
    own = _ACTIVATIONS if net.activation is None else dict.fromkeys(_ACTIVATIONS, net.activation)
    layers = net.layers()
    classifier = classifier_form(layers[-1], net.dropout)
    return {
        "name": "MobileNetV3",
        "img_size": net.arch.r,
        **network_form(layers, net.arch.e, own),
        "classifier": classifier,
    }


def net_of_config(value: Any, *, resolution: int | None = None) -> PublishedNet:
    """Read a ``net.config``; its channels say which space it belongs to.

    Args:
        value: the file's JSON.
        resolution: in pixels, for files of OFA's, which do not hold it.

    Raises:
        BadInput: a field is missing, or is not what a network of the space has there.
    """
    stem = field_of(value, "first_conv", "out_channels")
    classes = field_of(value, "classifier", "out_features")
    dropout = field_of(value, "classifier", "dropout_rate")
    blocks = field_of(value, "blocks")
    if not isinstance(blocks, list) or len(blocks) < 2:
        raise BadInput("net.config: field 'blocks' must be a list of at least two blocks")
    channels, kernels, expands, gates = (
        [field_of(block, block_field(block), name, where=f"blocks[{index}].") for index, block in enumerate(blocks)][1:]
        for name in ("out_channels", "kernel_size", "expand_ratio", "use_se")
    )
    fitting = ((each, _depths(each, channels, gates)) for each in _spaces() if each.stem_c == stem)
    space, depths = next(((each, depths) for each, depths in fitting if depths), (None, ()))
    if space is None:
        stages = tuple(channel for channel, _ in groupby(channels))
        raise BadInput(
            f"net.config: no space has {stem!r} channels in field 'first_conv' and {stages} in 'blocks'; "
            f"known: {', '.join(each.name for each in _spaces())}"
        )
    pixels = value.get("img_size", resolution)
    if pixels is None:
        raise BadInput("net.config: field 'img_size' is missing; say the resolution")
    arch = Arch.from_json(
        {"ks": kernels, "e": expands, "d": list(depths), "r": pixels, "w": space.width}, space=space.name
    )
    _at(space, arch.r).check(arch)
    if not isinstance(classes, int) or isinstance(classes, bool) or classes < 1:
        raise BadInput(f"net.config: field 'classifier.out_features' is {classes!r}, expected a number of classes")
    if not isinstance(dropout, (int, float)) or isinstance(dropout, bool) or not 0 <= dropout < 1:
        raise BadInput(f"net.config: field 'classifier.dropout_rate' is {dropout!r}, expected 0 to 1")
    activation = value["first_conv"].get("act_func")
    net = PublishedNet(arch, classes, float(dropout), activation if activation in _STAND_INS else None)
    refuse_differences(value, config_form(net))
    return net


def _depths(space: MobileNetV3Space, channels: list[Any], gates: list[Any]) -> tuple[int, ...]:
    """Blocks of each stage, told apart by channels, stages of equal channels by squeeze-excite; none if they differ."""

    def label(channel: Any, gate: Any) -> tuple[Any, bool]:
        return channel, space.stage_c.count(channel) > 1 and bool(gate)

    found = [(stage, len(list(members))) for stage, members in groupby(map(label, channels, gates))]
    expected = list(map(label, space.stage_c, space.stage_se))
    return tuple(depth for _, depth in found) if [stage for stage, _ in found] == expected else ()


def read_subnet(path: str | Path, space: str | None = None, *, resolution: int | None = None) -> Arch:
    """Architecture of a ``net.subnet`` file (see :func:`arch_of_subnet`)."""
    return _told(path, lambda: arch_of_subnet(read_json(Path(path), "architecture"), space, resolution=resolution))


def write_subnet(path: str | Path, arch: Arch, *, every_place: bool = False) -> None:
    """Write a ``net.subnet`` file (see :func:`subnet_form`)."""
    write_json(Path(path), subnet_form(arch, every_place=every_place))


def read_encoding(path: str | Path) -> Arch:
    """Architecture of a ``net.encoding`` file (see :func:`arch_of_encoding`)."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: not a readable encoding: {error}") from None
    return _told(path, lambda: arch_of_encoding(text))


def write_encoding(path: str | Path, arch: Arch) -> None:
    """Write a ``net.encoding`` file (see :func:`encoding_form`)."""
    write_text(Path(path), encoding_form(arch) + "\n")


def read_config(path: str | Path, *, resolution: int | None = None) -> PublishedNet:
    """Read a ``net.config`` file (see :func:`net_of_config`); OFA's resolution is in the ``run.config`` beside it."""
    path = Path(path)
    beside = path.with_name("run.config")
    if resolution is None and path.name == "net.config" and beside.is_file():
        resolution = _told(beside, lambda: _image_size(read_json(beside, "training's settings")))
    return _told(path, lambda: net_of_config(read_json(path, "network"), resolution=resolution))


def _image_size(value: Any) -> int:
    size = value.get("image_size") if isinstance(value, dict) else None
    if not isinstance(size, int) or isinstance(size, bool):
        raise BadInput(f"run.config: field 'image_size' is {size!r:.60}, expected a whole number of pixels")
    return size


def write_config(path: str | Path, net: PublishedNet) -> None:
    """Write a ``net.config`` file (see :func:`config_form`)."""
    write_json(Path(path), config_form(net))


def _spaces() -> list[MobileNetV3Space]:
    """All spaces whose networks these files can describe."""
    return [space for space in map(get_space, SPACES.names()) if isinstance(space, MobileNetV3Space)]


def _space(name: str) -> MobileNetV3Space:
    space = get_space(name)
    if not isinstance(space, MobileNetV3Space):
        raise BadInput(
            f"space {name}: net.subnet and net.config describe networks of "
            f"{', '.join(each.name for each in _spaces())} only"
        )
    return space


def _at(space: MobileNetV3Space, pixels: int) -> MobileNetV3Space:
    """A full-size space at a resolution that Once-for-All released networks of; another one as it is."""
    known = pixels in space.resolutions or pixels not in _OFA_RESOLUTIONS or space.resolutions[0] < _OFA_RESOLUTIONS[0]
    return space if known else replace(space, resolutions=(pixels,))


def _told(path: str | Path, read: Callable[[], Read]) -> Read:
    """The same, with the file named in errors."""
    try:
        return read()
    except BadInput as error:
        message = str(error)
        raise error if message.startswith(str(path)) else BadInput(f"{path}: {message}") from None


def _every_place(values: Sequence[int], depths: Sequence[int], filler: int) -> list[int]:
    """Values of active blocks, with the filler where a stage has no block."""
    stages = [list(values[start:end]) for start, end in pairwise((0, *accumulate(depths)))]
    return [value for stage in stages for value in stage + [filler] * (PLACES - len(stage))]
