"""Layers in the words of Once-for-All's ``net.config``, as its ``build_from_config`` takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from natdeploy.spaces.layer import Layer


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
