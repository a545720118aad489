"""MobileNetV3 architectures in the files of Once-for-All and NAT: ``net.subnet`` and ``net.config``.

``net.subnet`` holds kernel sizes, expand ratios and depths: of active blocks in NAT's files, of all twenty places in
OFA's. ``net.config`` describes every layer with its channels, as OFA's ``build_from_config`` takes it; NAT's has the
resolution as ``img_size``, OFA's keeps it in another file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby, pairwise
from pathlib import Path
from typing import Any, TypeVar

from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import read_json, write_json
from natdeploy.spaces.arch import Arch
from natdeploy.spaces.layer import Layer
from natdeploy.spaces.mobilenetv3 import EXPANDS, KERNELS, PLACES, MobileNetV3Space, ofa_w10, ofa_w12
from natdeploy.spaces.space import SPACES, get_space

_ACTIVATIONS = {"relu": "relu", "hswish": "h_swish"}
_STAND_INS = ("mish",)
#: What a block's convolutions are called in ``net.config``: in the published files, and in OFA's release on PyPI.
_BLOCK_FIELDS = ("mobile_inverted_conv", "conv")
#: What is compared when a ``net.config`` is read; the rest says nothing about the network, or is always the same.
_TELLING = (
    *("in_channels", "out_channels", "in_features", "out_features", "kernel_size", "stride", "groups", "dilation"),
    *("expand_ratio", "mid_channels", "act_func", "use_se", "use_bn", "bias"),
)

Read = TypeVar("Read")


@dataclass(frozen=True)
class PublishedNet:
    """What a ``net.config`` says.

    Attributes:
        arch: the architecture.
        num_classes: outputs of the classifier.
        dropout: before the classifier, in training.
        activation: ``mish`` where it stands in for all activations, as in six of NAT's released networks; None where
            they are the space's own. The architecture is the same, the network with the space's activations is not.
    """

    arch: Arch
    num_classes: int
    dropout: float = 0.0
    activation: str | None = None


def subnet_form(arch: Arch, *, every_place: bool = False) -> dict[str, Any]:
    """NAT's ``net.subnet``; with ``every_place`` OFA's form, where inactive places hold the smallest choice."""
    space = _space(arch.space)
    space.check(arch)
    ks, e = list(arch.ks), list(arch.e)
    if every_place:
        ks, e = _every_place(ks, arch.d, min(KERNELS)), _every_place(e, arch.d, min(EXPANDS))
    return {"ks": ks, "e": e, "d": list(arch.d), "r": arch.r, "w": arch.w}


def arch_of_subnet(value: Any, space: str | None = None) -> Arch:
    """Architecture of a ``net.subnet``, in either form.

    The width ``w`` says which full-size space it belongs to. Some published files lack it; ``space`` is needed then.
    Raises BadInput naming the field at fault.
    """
    if not isinstance(value, dict):
        raise BadInput("net.subnet: expected a JSON object with ks, e, d, r and w")
    name = value.get("space", space)
    if name is None:
        widths = {each.width: each.name for each in (ofa_w10(), ofa_w12())}
        if value.get("w") not in widths:
            known = ", ".join(map(str, widths))
            raise BadInput(f"net.subnet: field 'w' is {value.get('w')!r}, expected one of {known}; or say which space")
        name = widths[value["w"]]
    home = _space(name)
    arch = Arch.from_json({"w": home.width, **value}, space=home.name)
    home.check(arch)
    return arch


def config_form(net: PublishedNet) -> dict[str, Any]:
    """NAT's ``net.config``, which OFA's ``build_from_config`` takes as well."""
    space = _space(net.arch.space)
    layers = space.layers(net.arch, net.num_classes)
    named = {layer.name: layer for layer in layers}
    own = _ACTIVATIONS if net.activation is None else dict.fromkeys(_ACTIVATIONS, net.activation)
    return {
        "name": "MobileNetV3",
        "img_size": net.arch.r,
        "bn": {"momentum": 0.1, "eps": 1e-05},
        "first_conv": _conv(named["first_conv"], own),
        "blocks": [
            _block(members, expand, own) for (_, members), expand in zip(_blocks(layers), (1, *net.arch.e), strict=True)
        ],
        "final_expand_layer": _conv(named["final_expand_layer"], own),
        "feature_mix_layer": _conv(named["feature_mix_layer"], own),
        "classifier": {
            "name": "LinearLayer",
            "in_features": named["classifier"].in_c,
            "out_features": net.num_classes,
            "bias": True,
            "use_bn": False,
            "act_func": None,
            "dropout_rate": net.dropout,
            "ops_order": "weight_bn_act",
        },
    }


def net_of_config(value: Any, *, resolution: int | None = None) -> PublishedNet:
    """Read a ``net.config``; its channels say which space it belongs to.

    Args:
        value: the file's JSON.
        resolution: in pixels, for files of OFA's, which do not hold it.

    Raises:
        BadInput: a field is missing, or is not what a network of the space has there.
    """
    stem = _field(value, "first_conv", "out_channels")
    classes = _field(value, "classifier", "out_features")
    dropout = _field(value, "classifier", "dropout_rate")
    blocks = _field(value, "blocks")
    if not isinstance(blocks, list) or len(blocks) < 2:
        raise BadInput("net.config: field 'blocks' must be a list of at least two blocks")
    channels, kernels, expands, gates = (
        [_field(block, _block_field(block), name, where=f"blocks[{index}].") for index, block in enumerate(blocks)][1:]
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
    space.check(arch)
    if not isinstance(classes, int) or classes < 1:
        raise BadInput(f"net.config: field 'classifier.out_features' is {classes!r}, expected a number of classes")
    if not isinstance(dropout, (int, float)) or not 0 <= dropout < 1:
        raise BadInput(f"net.config: field 'classifier.dropout_rate' is {dropout!r}, expected 0 to 1")
    activation = value["first_conv"].get("act_func")
    net = PublishedNet(arch, classes, float(dropout), activation if activation in _STAND_INS else None)
    _refuse_differences(value, config_form(net))
    return net


def _depths(space: MobileNetV3Space, channels: list[Any], gates: list[Any]) -> tuple[int, ...]:
    """Blocks of each stage, told apart by channels, stages of equal channels by squeeze-excite; none if they differ."""

    def label(channel: Any, gate: Any) -> tuple[Any, bool]:
        return channel, space.stage_c.count(channel) > 1 and bool(gate)

    found = [(stage, len(list(members))) for stage, members in groupby(map(label, channels, gates))]
    expected = list(map(label, space.stage_c, space.stage_se))
    return tuple(depth for _, depth in found) if [stage for stage, _ in found] == expected else ()


def read_subnet(path: Path, space: str | None = None) -> Arch:
    """Architecture of a ``net.subnet`` file (see :func:`arch_of_subnet`)."""
    return _told(path, lambda: arch_of_subnet(read_json(path, "architecture"), space))


def write_subnet(path: Path, arch: Arch, *, every_place: bool = False) -> None:
    """Write a ``net.subnet`` file (see :func:`subnet_form`)."""
    write_json(path, subnet_form(arch, every_place=every_place))


def read_config(path: Path, *, resolution: int | None = None) -> PublishedNet:
    """Read a ``net.config`` file (see :func:`net_of_config`)."""
    return _told(path, lambda: net_of_config(read_json(path, "network"), resolution=resolution))


def write_config(path: Path, net: PublishedNet) -> None:
    """Write a ``net.config`` file (see :func:`config_form`)."""
    write_json(path, config_form(net))


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


def _told(path: Path, read: Callable[[], Read]) -> Read:
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


def _blocks(layers: Sequence[Layer]) -> list[tuple[int, list[Layer]]]:
    """Layers of each block, in order."""
    inside = [layer for layer in layers if layer.block >= 0]
    return [(index, list(members)) for index, members in groupby(inside, key=lambda layer: layer.block)]


def _conv(layer: Layer, activations: Mapping[str, str]) -> dict[str, Any]:
    """OFA's ``ConvLayer``."""
    return {
        "name": "ConvLayer",
        "kernel_size": layer.kernel,
        "stride": layer.stride,
        "dilation": 1,
        "groups": 1,
        "bias": layer.bias,
        "has_shuffle": False,
        "in_channels": layer.in_c,
        "out_channels": layer.out_c,
        "use_bn": layer.batch_norm,
        "act_func": activations[layer.activation],
        "dropout_rate": 0,
        "ops_order": "weight_bn_act",
    }


def _block(layers: Sequence[Layer], expand: int, activations: Mapping[str, str]) -> dict[str, Any]:
    """OFA's ``MobileInvertedResidualBlock``."""
    depthwise = next(layer for layer in layers if layer.name.endswith(".depth_conv"))
    out_c = layers[-1].out_c
    shortcut = {
        "name": "IdentityLayer",
        "in_channels": [layers[0].in_c],
        "out_channels": [out_c],
        "use_bn": False,
        "act_func": None,
        "dropout_rate": 0,
        "ops_order": "weight_bn_act",
    }
    return {
        "name": "MobileInvertedResidualBlock",
        "mobile_inverted_conv": {
            "name": "MBInvertedConvLayer",
            "in_channels": layers[0].in_c,
            "out_channels": out_c,
            "kernel_size": depthwise.kernel,
            "stride": depthwise.stride,
            "expand_ratio": expand,
            "mid_channels": depthwise.in_c if expand > 1 else None,
            "act_func": activations[depthwise.activation],
            "use_se": any(layer.op == "scale" for layer in layers),
        },
        "shortcut": shortcut if layers[-1].op == "add" else None,
    }


def _field(value: Any, *names: str, where: str = "") -> Any:
    """A field within fields. Raises BadInput with its dotted name when it is missing."""
    for depth, name in enumerate(names, start=1):
        if not isinstance(value, dict) or name not in value:
            raise BadInput(f"net.config: field {where + '.'.join(names[:depth])!r} is missing")
        value = value[name]
    return value


def _block_field(block: Any) -> str:
    """What this file calls a block's convolutions."""
    return next((name for name in _BLOCK_FIELDS if isinstance(block, dict) and name in block), _BLOCK_FIELDS[0])


def _refuse_differences(value: dict[str, Any], expected: dict[str, Any]) -> None:
    """Raise BadInput for the first field that is not as the space builds it."""
    pairs = [
        (name, _field(value, name), expected[name])
        for name in ("first_conv", "final_expand_layer", "feature_mix_layer", "classifier")
    ]
    for index, (block, known) in enumerate(zip(value["blocks"], expected["blocks"], strict=True)):
        field = _block_field(block)
        pairs.append((f"blocks[{index}].{field}", block[field], known[_BLOCK_FIELDS[0]]))
        if (block.get("shortcut") is None) != (known["shortcut"] is None):
            there = "no shortcut" if known["shortcut"] is None else "an identity shortcut"
            raise BadInput(
                f"net.config: field 'blocks[{index}].shortcut' is {block.get('shortcut')!r}, expected {there}"
            )
    for where, found, known in pairs:
        if not isinstance(found, dict):
            raise BadInput(f"net.config: field '{where}' is {found!r:.40}, expected a layer")
        for name in _TELLING:
            if name in known and name in found and found[name] != known[name]:
                raise BadInput(f"net.config: field '{where}.{name}' is {found[name]!r}, expected {known[name]!r}")
