"""Latencies of whole networks of known spaces: HELP's and OneProxy's tables as tidied CSV.

Upstream both keep latencies in pickles apart from the architectures; those are not loaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from natdeploy.ground.errors import BadInput
from natdeploy.measure.formats.lines import Place, Row, header, read_text, rows
from natdeploy.measure.published import PublishedTiming
from natdeploy.spaces import Arch, get_space
from natdeploy.spaces.mobilenetv3 import MobileNetV3Space, ofa_w10

#: The column that tells an architecture, and the space it belongs to.
_TEXTS = {"ops": "fbnet", "arch_str": "nasbench201", "kernels": "ofa-mbv3-w1.0"}
#: Image sizes of HELP's OFA networks: more than the space is searched over.
_OFA_SIZES = tuple(range(128, 257, 4))


def help_csv(path: Path) -> Iterator[PublishedTiming]:
    """HELP's latencies by device and batch, of NAS-Bench-201, FBNet or OFA networks."""
    return _read(path, ("device", "batch", "latency_ms"))


def oneproxy_csv(path: Path) -> Iterator[PublishedTiming]:
    """OneProxy's latencies of NAS-Bench-201 networks by device; rows that are marked invalid are left out."""
    return _read(path, ("device", "measured_by", "latency_ms", "valid"))


def _read(path: Path, columns: tuple[str, ...]) -> Iterator[PublishedTiming]:
    text = read_text(path)
    names = header(text)
    known = next((name for name in _TEXTS if name in names), None)
    if known is None:
        Place(path, 1).refuse(f"no column tells the architecture; expected one of {', '.join(_TEXTS)}")
    needed = ("image_size", "depths", "expands") if known == "kernels" else ()
    for row in rows(path, text, (*columns, known, *needed)):
        if "valid" in columns and not row.whole("valid"):
            continue
        setting = f"batch {row.whole('batch', least=1)}" if "batch" in columns else row.text("measured_by")
        what = _arch(row, known).to_json()
        yield PublishedTiming("network", what, row.positive("latency_ms"), device=row.text("device"), setting=setting)


def _arch(row: Row, column: str) -> Arch:
    try:
        if column != "kernels":
            return _from_text(_TEXTS[column], row.text(column))
        sizes = {
            name: [int(size) for size in row.text(field).split("-")]
            for name, field in (("ks", "kernels"), ("e", "expands"), ("d", "depths"))
        }
        arch = Arch.from_json({**sizes, "r": row.whole("image_size", least=1), "w": 1.0}, space=_TEXTS[column])
        _ofa_space().check(arch)
        return arch
    except (BadInput, ValueError) as error:
        if isinstance(error, BadInput) and str(error).startswith(str(row.path)):
            raise
        row.at(column).refuse(str(error))


@lru_cache(maxsize=1 << 15)
def _from_text(space: str, text: str) -> Arch:
    arch: Arch = get_space(space).from_text(text)  # type: ignore[attr-defined]
    return arch


@lru_cache(maxsize=1)
def _ofa_space() -> MobileNetV3Space:
    return replace(ofa_w10(), resolutions=_OFA_SIZES)
