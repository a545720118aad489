"""``import-measurements``: what others published of a device, kept with where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from natdeploy.verbs.result import Result


@dataclass(frozen=True)
class ImportResult(Result):
    """Imported measurements.

    Attributes:
        device: hardware profile they are of.
        named: the device as the file names it.
        stored: the file they are kept in, apart from the device's own timings.
        counts: how many latencies by what they are of: block, operator, network, model.
        runtimes, settings: what the file tells of how they were taken.
        source, licence, published, runtime: where they come from.
        uses: what natdeploy predicts with them.
    """

    device: str
    named: str
    stored: Path
    counts: Mapping[str, int]
    runtimes: tuple[str, ...]
    settings: tuple[str, ...]
    source: str
    licence: str
    published: str
    runtime: str
    uses: tuple[str, ...]


def import_measurements(
    file: str | Path,
    *,
    format: str,
    device: str,
    named: str | None = None,
    source: str | None = None,
    licence: str | None = None,
    published: str | None = None,
    runtime: str | None = None,
) -> ImportResult:
    """Read a public file of latencies into a device's store; its own timings stay apart.

    Args:
        file: the file, as upstream has it or tidied.
        format: ``ofa-lut``, ``proxyless-lut``, ``msunas-lut``, ``help``, ``oneproxy``, ``mobile-ml-benchmark`` or
            ``ncnn``.
        device: hardware profile that the latencies are of.
        named: the device as the file names it, where it has several.
        source, licence, published, runtime: provenance, where it is not that of the format's usual publication.

    Raises BadInput for an unknown device or format, and for a bad file, naming line and column.
    """
    from collections import Counter

    from natdeploy.devices import load_profile
    from natdeploy.latency.imported.uses import imported_uses
    from natdeploy.measure.publications import import_published

    profile = load_profile(device, derive=False)
    table, stored = import_published(
        *(format, Path(file), profile.name),
        named=named,
        source=source,
        licence=licence,
        published=published,
        runtime=runtime,
    )
    publication, timings = table.origin.publication, table.timings
    return ImportResult(
        device=profile.name,
        named=table.origin.device,
        stored=stored,
        counts=dict(Counter(timing.kind for timing in timings)),
        runtimes=tuple(sorted({timing.runtime for timing in timings} - {""})),
        settings=tuple(dict.fromkeys(timing.setting for timing in timings if timing.setting)),
        source=publication.source,
        licence=publication.licence,
        published=publication.published,
        runtime=publication.runtime,
        uses=imported_uses(profile, timings),
    )
