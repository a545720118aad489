"""``diff``: in what two bundles, or two runs, differ."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from natdeploy.verbs.result import Result

if TYPE_CHECKING:
    from natdeploy.deploy import Manifest
    from natdeploy.runs import RunFolder

#: Said of a field that one of the two does not have.
ABSENT = "-"


@dataclass(frozen=True)
class Difference:
    """A field in which the two differ.

    Attributes:
        field: its dotted name.
        a, b: the two values in words.
        note: what that means, where it can be said: by how much, whether beyond the uncertainty.
    """

    field: str
    a: str
    b: str
    note: str


@dataclass(frozen=True)
class DiffResult(Result):
    """What was compared.

    Attributes:
        a, b: the folders.
        kind: what they are.
        same_model: whether both have one architecture, weights and artifacts; of runs, one configuration and front.
        differences: every field in which they differ; none where they are equal.
    """

    a: Path
    b: Path
    kind: Literal["bundle", "run"]
    same_model: bool
    differences: tuple[Difference, ...]


def diff(a: str | Path, b: str | Path) -> DiffResult:
    """Compare two bundles, file by file and figure by figure, or two runs, setting by setting and front by front.

    Raises BadInput where the two are not of one kind, VerificationFailed for a damaged bundle.
    """
    from natdeploy.deploy.integrity import check_files
    from natdeploy.ground.errors import BadInput
    from natdeploy.runs import RunFolder

    a, b = Path(a), Path(b)
    runs = RunFolder.exists(a), RunFolder.exists(b)
    if runs[0] != runs[1]:
        run, other = (a, b) if runs[0] else (b, a)
        raise BadInput(f"{run} is a run and {other} is not; give two bundles or two runs")
    if runs[0]:
        one, other_run = RunFolder(a), RunFolder(b)
        found = tuple(_runs(one, other_run))
        told = {difference.field.split(".")[0] for difference in found}
        return DiffResult(a, b, "run", not told & {"settings", "front"}, found)
    manifests = check_files(a), check_files(b)
    found = tuple(_bundles(*manifests))
    told = {difference.field.split(".")[0] for difference in found}
    return DiffResult(a, b, "bundle", not told & {"model", "artifacts", "preprocessing"}, found)


def _bundles(a: Manifest, b: Manifest) -> Iterator[Difference]:
    for field in ("model", "device", "preprocessing", "provenance"):
        yield from _fields(a.to_json()[field], b.to_json()[field], field)
    yield from _fields(_artifacts(a), _artifacts(b), "artifacts")
    for split in ("val", "test"):
        yield from _accuracy(a, b, split)
    yield from _latency(a, b)
    files = [{one.path: f"{one.sha256[:12]} ({one.bytes:,} bytes)" for one in m.files} for m in (a, b)]
    yield from _fields(files[0], files[1], "files")


def _artifacts(manifest: Manifest) -> dict[str, Any]:
    return {one.runtime: {"digest": one.digest, "toolchain": one.toolchain} for one in manifest.artifacts}


def _accuracy(a: Manifest, b: Manifest, split: str) -> Iterator[Difference]:
    one, other = a.accuracy_of(split), b.accuracy_of(split)
    if one == other:
        return
    said = [ABSENT if x is None else f"{x.top1:.2%} +- {x.standard_error:.2%} of {x.images}" for x in (one, other)]
    note = ""
    if one is not None and other is not None:
        change, error = other.top1 - one.top1, math.hypot(one.standard_error, other.standard_error)
        note = f"{change:+.2%}" + (f", {abs(change) / error:.1f} standard errors" if error else "")
    yield Difference(f"top1.{split}", said[0], said[1], note)


def _latency(a: Manifest, b: Manifest) -> Iterator[Difference]:
    yield from _fields({"budget_ms": a.latency.budget_ms}, {"budget_ms": b.latency.budget_ms}, "latency")
    one, other = a.latency.predicted, b.latency.predicted
    if one != other:
        said = [
            ABSENT if x is None else f"{x.mean_ms:.4g} ms [{x.lower_ms:.4g}, {x.upper_ms:.4g}]" for x in (one, other)
        ]
        note = ""
        if one is not None and other is not None:
            apart = one.lower_ms > other.upper_ms or other.lower_ms > one.upper_ms
            note = f"{other.mean_ms / one.mean_ms - 1:+.1%}, intervals {'apart' if apart else 'overlap'}"
        yield Difference("latency.predicted", said[0], said[1], note)
    measured = [{m.runtime: m for m in manifest.latency.measured or ()} for manifest in (a, b)]
    for runtime in sorted({*measured[0], *measured[1]}):
        then, now = measured[0].get(runtime), measured[1].get(runtime)
        if then != now:
            said = [ABSENT if x is None else f"{x.latency_ms:.4g} ms +- {x.mad_ms:.2g}" for x in (then, now)]
            note = "" if then is None or now is None else f"{now.latency_ms / then.latency_ms - 1:+.1%}"
            yield Difference(f"latency.measured.{runtime}", said[0], said[1], note)


def _runs(a: RunFolder, b: RunFolder) -> Iterator[Difference]:
    settings = [run.config().model_dump(mode="json", exclude={"created", "threads"}) for run in (a, b)]
    yield from _fields(settings[0], settings[1], "settings")
    finished = [{"finished": run.is_finished} for run in (a, b)]
    yield from _fields(finished[0], finished[1], "run")
    if not (a.is_finished and b.is_finished):
        return
    yield from _fields(a.summary(), b.summary(), "summary")
    fronts = [
        {one.id: f"{one.top1:.2%}, {one.latency_ms:.4g} ms (at most {one.latency_upper_ms:.4g})" for one in run.front()}
        for run in (a, b)
    ]
    yield from _fields(fronts[0], fronts[1], "front")


def _fields(a: Any, b: Any, name: str) -> Iterator[Difference]:
    """Differences of nested mappings, each by its dotted name."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        for key in [*a, *(key for key in b if key not in a)]:
            yield from _fields(a.get(key, ABSENT), b.get(key, ABSENT), f"{name}.{key}")
    elif a != b:
        note = f"{b / a - 1:+.1%}" if _is_number(a) and _is_number(b) and a else ""
        yield Difference(name, _text(a), _text(b), note)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(item)}" for name, item in value.items())
    return f"{value:.6g}" if isinstance(value, float) else str(value)
