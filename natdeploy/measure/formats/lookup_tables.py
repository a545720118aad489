"""Lookup tables of blocks: OFA's (YAML, one file per image size), ProxylessNAS's and MSuNAS's, or tidied as CSV.

Upstream, a table maps texts such as ``expanded_conv-input:96x96x24-output:48x48x32-expand:72-kernel:7-...`` to their
``mean`` and ``var`` or ``std`` in ms. OFA's ``expand`` counts channels, that of the others is a ratio.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from natdeploy.measure.formats.lines import Place, Row, header, number, read_text, rows
from natdeploy.measure.published import PublishedTiming
from natdeploy.spaces import Block

#: What the tables call their blocks, and the kernel and stride that are not written down.
_NAMES = {
    "expanded_conv": ("mbconv", 0, 0),
    "MBConv": ("mbconv", 0, 0),
    "Conv": ("conv", 3, 2),
    "first_conv": ("conv", 3, 2),
    "Conv_1": ("conv", 1, 1),
    "final_expand_layer": ("conv", 1, 1),
    "Conv_2": ("conv", 1, 1),
    "feature_mix_layer": ("conv", 1, 1),
    "AvgPool2D": ("pool", 1, 1),
    "Logits": ("linear", 1, 1),
    "classifier": ("linear", 1, 1),
}
_SHAPES = ("in_h", "in_w", "in_c", "out_h", "out_w", "out_c")
_COLUMNS = ("op", *_SHAPES, "mid_c", "kernel", "stride", "idskip", "latency_ms", "std_ms")


def ofa_lut(path: Path) -> Iterator[PublishedTiming]:
    """Once-for-All's tables of the Note10 and the like."""
    return _read(path, expand_is_channels=True)


def proxyless_lut(path: Path) -> Iterator[PublishedTiming]:
    """ProxylessNAS's ``mobile_trim.yaml``."""
    return _read(path, expand_is_channels=False)


def msunas_lut(path: Path) -> Iterator[PublishedTiming]:
    """MSuNAS's ``i7-8700K_lut.yaml``."""
    return _read(path, expand_is_channels=False)


def _read(path: Path, *, expand_is_channels: bool) -> Iterator[PublishedTiming]:
    text = read_text(path)
    if "latency_ms" in header(text):
        for row in rows(path, text, _COLUMNS):
            yield _of_row(row)
    else:
        yield from _of_yaml(path, text, expand_is_channels)


def _of_row(row: Row) -> PublishedTiming:
    name = row.text("op")
    if name not in _NAMES:
        row.at("op").refuse(f"found {name!r}, expected one of {', '.join(_NAMES)}")
    op, kernel, stride = _NAMES[name]
    in_h, in_w, in_c, out_h, out_w, out_c = (row.whole(column, least=1) for column in _SHAPES)
    hswish = bool(row.whole("hs")) if row.fields.get("hs", "").strip() else None
    block = Block(
        *(op, in_h, in_w, in_c, out_h, out_w, out_c),
        mid_c=row.whole("mid_c", least=1) if op == "mbconv" else 0,
        kernel=kernel or row.whole("kernel", least=1),
        stride=stride or row.whole("stride", least=1),
        skip=op == "mbconv" and bool(row.whole("idskip")),
        se=bool(row.whole("se", empty=0)) if "se" in row.fields else False,
        hswish=hswish if op == "mbconv" else None,
    )
    device = row.fields.get("device", "").strip()
    size = row.fields.get("image_size", row.fields.get("image_sizes", "")).strip()
    setting = f"image size {size}" if size else ""
    return PublishedTiming(
        "block", block.to_json(), row.positive("latency_ms"), row.optional("std_ms"), device, setting=setting
    )


def _of_yaml(path: Path, text: str, expand_is_channels: bool) -> Iterator[PublishedTiming]:
    try:
        # The C parser, where it was built, takes seconds off the larger tables.
        root = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = Place(path, mark.line + 1, mark.column + 1) if mark else Place(path, 1)
        place.refuse(f"not plain YAML: {getattr(error, 'problem', None) or 'nested too deeply'}")
    if not isinstance(root, yaml.MappingNode):
        Place(path, 1).refuse("expected a table from blocks to their mean latency")
    for key, value in root.value:
        block = _of_key(str(key.value), _place(path, key), expand_is_channels)
        if not isinstance(value, yaml.MappingNode):
            _place(path, value).refuse("expected 'mean' and 'var' or 'std'")
        found = {str(name.value): item for name, item in value.value}
        if "mean" not in found:
            _place(path, value).refuse("field 'mean' is missing")
        numbers = {
            name: number(str(found[name].value), _place(path, found[name]), least=0)
            for name in ("mean", "std", "var")
            if name in found
        }
        if not numbers["mean"]:
            _place(path, found["mean"]).refuse("found 0, expected more")
        spread = numbers.get("std", math.sqrt(numbers["var"]) if "var" in numbers else None)
        yield PublishedTiming("block", block.to_json(), numbers["mean"], spread)


def _of_key(key: str, place: Place, expand_is_channels: bool) -> Block:
    name, *parts = key.split("-")
    fields = dict(part.partition(":")[::2] for part in parts)
    if name not in _NAMES:
        place.refuse(f"found block {name!r}, expected one of {', '.join(_NAMES)}")
    op, kernel, stride = _NAMES[name]
    shape = (*_shape(fields.get("input", ""), place), *_shape(fields.get("output", ""), place))
    if op != "mbconv":
        return Block(op, *shape, kernel=kernel, stride=stride)
    for field in ("expand", "kernel", "stride", "idskip"):
        if not fields.get(field, "").isdecimal():
            place.refuse(f"field {field!r} of {key!r:.60} is {fields.get(field)!r}, expected a whole number")
    expand = int(fields["expand"])
    return Block(
        op,
        *shape,
        mid_c=expand if expand_is_channels else expand * shape[2],
        kernel=int(fields["kernel"]),
        stride=int(fields["stride"]),
        skip=fields["idskip"] == "1",
        se=fields.get("se") == "1",
        hswish=fields["hs"] == "1" if "hs" in fields else None,
    )


def _shape(text: str, place: Place) -> tuple[int, int, int]:
    """Height, width and channels of ``96x96x24``; a vector is one pixel."""
    if not re.fullmatch(r"[1-9]\d{0,5}(x[1-9]\d{0,5}x[1-9]\d{0,5})?", text):
        place.refuse(f"found shape {text!r:.40}, expected for instance 96x96x24")
    sizes = [int(size) for size in text.split("x")]
    return (1, 1, sizes[0]) if len(sizes) == 1 else (sizes[0], sizes[1], sizes[2])


def _place(path: Path, node: yaml.Node) -> Place:
    return Place(path, node.start_mark.line + 1, node.start_mark.column + 1)
