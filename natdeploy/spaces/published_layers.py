"""Layers in the words of Once-for-All's ``net.config``, written and compared; its ``build_from_config`` takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from natdeploy.ground.errors import BadInput
from natdeploy.spaces.layer import Layer

#: What a block's convolutions are called in ``net.config``: in the published files, and in OFA's release on PyPI.
_BLOCK_FIELDS = ("mobile_inverted_conv", "conv")
#: What is compared when a ``net.config`` is read; the rest says nothing about the network, or is always the same.
_TELLING = (
    *("in_channels", "out_channels", "in_features", "out_features", "kernel_size", "stride", "groups", "dilation"),
    *("expand_ratio", "mid_channels", "act_func", "use_se", "use_bn", "bias"),
)


def network_form(layers: Sequence[Layer], expands: Sequence[int], activations: Mapping[str, str]) -> dict[str, Any]:
    """All but the classifier.

    Args:
        layers: of a MobileNetV3 space.
        expands: expand ratio of each searchable block.
        activations: their names there.
    """
    named = {layer.name: layer for layer in layers}
    return {
        "bn": {"momentum": 0.1, "eps": 1e-05},
        "first_conv": _conv(named["first_conv"], activations),
        "blocks": [
            _block(members, expand, activations)
            for (_, members), expand in zip(_blocks(layers), (1, *expands), strict=True)
        ],
        "final_expand_layer": _conv(named["final_expand_layer"], activations),
        "feature_mix_layer": _conv(named["feature_mix_layer"], activations),
    }


def classifier_form(layer: Layer, dropout: float) -> dict[str, Any]:
    """OFA's ``LinearLayer``."""
    return {
        "name": "LinearLayer",
        "in_features": layer.in_c,
        "out_features": layer.out_c,
        "bias": True,
        "use_bn": False,
        "act_func": None,
        "dropout_rate": dropout,
        "ops_order": "weight_bn_act",
    }


def field_of(value: Any, *names: str, where: str = "") -> Any:
    """A field within fields. Raises BadInput with its dotted name when it is missing."""
    for depth, name in enumerate(names, start=1):
        if not isinstance(value, dict) or name not in value:
            raise BadInput(f"net.config: field {where + '.'.join(names[:depth])!r} is missing")
        value = value[name]
    return value


def block_field(block: Any) -> str:
    """What this file calls a block's convolutions."""
    return next((name for name in _BLOCK_FIELDS if isinstance(block, dict) and name in block), _BLOCK_FIELDS[0])


def refuse_differences(value: dict[str, Any], expected: dict[str, Any]) -> None:
    """Raise BadInput for the first field that is not as the space builds it."""
    pairs = [
        (name, field_of(value, name), expected[name])
        for name in ("first_conv", "final_expand_layer", "feature_mix_layer", "classifier")
    ]
    for index, (block, known) in enumerate(zip(value["blocks"], expected["blocks"], strict=True)):
        field = block_field(block)
        pairs.append((f"blocks[{index}].{field}", block[field], known[_BLOCK_FIELDS[0]]))
        if _is_no_shortcut(block.get("shortcut")) != (known["shortcut"] is None):
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


def _is_no_shortcut(value: Any) -> bool:
    """Nothing, or what OFA's older code wrote for nothing."""
    return value is None or (isinstance(value, dict) and value.get("name") == "ZeroLayer")
