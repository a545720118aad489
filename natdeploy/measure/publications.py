"""From a published file to a device's published measurements: which formats there are and what is known of each."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import sha256_file
from natdeploy.ground.registry import Registry
from natdeploy.measure.published import Origin, Publication, PublishedTable, PublishedTiming

#: Functions ``(path) -> Iterator[PublishedTiming]`` that raise BadInput naming line and column.
FORMATS = Registry(
    "measurement format",
    {
        "ofa-lut": "natdeploy.measure.formats.lookup_tables:ofa_lut",
        "proxyless-lut": "natdeploy.measure.formats.lookup_tables:proxyless_lut",
        "msunas-lut": "natdeploy.measure.formats.lookup_tables:msunas_lut",
        "help": "natdeploy.measure.formats.networks:help_csv",
        "oneproxy": "natdeploy.measure.formats.networks:oneproxy_csv",
        "mobile-ml-benchmark": "natdeploy.measure.formats.mobile_ml_benchmark:mobile_ml_benchmark",
        "ncnn": "natdeploy.measure.formats.ncnn:ncnn",
    },
)
#: Where files of a format come from, as published; a user's own file in the same format needs its own words.
PUBLICATIONS = {
    "ofa-lut": Publication(
        "github.com/gatech-sysml/CompOFA @ 6b53946, NAS/checkpoints/latency_table@note10 (Once-for-All's tables)",
        *("Apache-2.0", "2021", "unstated runtime"),
    ),
    "proxyless-lut": Publication(
        "github.com/han-cai/files @ a7c9bcd, proxylessnas/mobile_trim.yaml",
        *("none stated (ProxylessNAS is MIT)", "2019", "unstated runtime"),
    ),
    "msunas-lut": Publication(
        "github.com/mikelzc1990/nsganetv2 @ 04c495a, data/i7-8700K_lut.yaml",
        *("Apache-2.0", "2020", "unstated runtime"),
    ),
    "help": Publication("github.com/HayeonLee/HELP @ 45f70eb, data/*/latency", *("MIT", "2021", "unstated runtime")),
    "oneproxy": Publication(
        "github.com/Ren-Research/OneProxy @ e3c9b2c, latency_data", *("MIT", "2021", "unstated runtime")
    ),
    "mobile-ml-benchmark": Publication(
        "github.com/qed-usc/mobile-ml-benchmark @ 40ba833, dataset (Li et al., EdgeSys 2024)",
        *("MIT", "2024", "tflite or torch, named with each timing"),
    ),
    "ncnn": Publication("github.com/Tencent/ncnn @ a4d2ea1, benchmark/README.md", "BSD-3-Clause", "2024", "ncnn"),
}


def read_published(format_name: str, path: Path) -> list[PublishedTiming]:
    """All latencies of a file. Raises BadInput: an unknown format, or the file with line and column of its fault."""
    found = list(FORMATS.get(format_name)(Path(path)))
    if not found:
        raise BadInput(f"{path}: no measurements in this file")
    return found


def import_published(
    format_name: str,
    path: Path,
    device: str,
    *,
    named: str | None = None,
    **stated: str | None,
) -> tuple[PublishedTable, Path]:
    """Read a file and keep what it says of one device.

    Args:
        format_name: a name of :data:`FORMATS`.
        path: the file.
        device: hardware profile that the latencies are of.
        named: the same device as the file names it; not needed where the file has one device, or the same name.
        stated: fields of :class:`~natdeploy.measure.published.Publication` in place of those of the format's usual
            one; None leaves the usual.

    Returns the table and where it is kept. Raises BadInput for a bad file, or a device that it does not have.
    """
    timings = read_published(format_name, path)
    devices = list(dict.fromkeys(timing.device for timing in timings))
    name = named or (devices[0] if len(devices) == 1 else device)
    if name not in devices:
        raise BadInput(
            f"{path}: no device {name!r} in this file; say which one is meant with --of: "
            f"{'; '.join(shown or 'unnamed' for shown in devices[:40])}" + (" ..." if len(devices) > 40 else "")
        )
    usual = PUBLICATIONS.get(format_name, Publication("not stated", "not stated", "not stated", "not stated"))
    publication = replace(usual, **{field: value for field, value in stated.items() if value is not None})
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    origin = Origin(publication, format_name, Path(path).name, sha256_file(Path(path)), name, now)
    table = PublishedTable(origin, tuple(timing for timing in timings if timing.device == name))
    return table, table.save(device)
