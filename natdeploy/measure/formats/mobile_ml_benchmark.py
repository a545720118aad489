"""Models and GPU operators on phones: USC's mobile-ml-benchmark, in its own wide CSV (microseconds) or tidied (ms).

Its columns are ``DEVICE|CORES|PRECISION|mean`` and ``...|std`` for whole models, ``DEVICE|gpu|float`` and
``DEVICE|gpu|kernel`` for operators. The runtime is part of the file's name: ``tflite_...`` or ``torch_...``.
"""

from __future__ import annotations

import ast
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from natdeploy.measure.formats.lines import Place, Row, header, number, read_text, rows
from natdeploy.measure.published import PublishedTiming

_FRAMEWORKS = ("tflite", "torch")
_MS_PER_US = 1e-3


def mobile_ml_benchmark(path: Path) -> Iterator[PublishedTiming]:
    """Whole models, or operators of their runs on a GPU."""
    text = read_text(path)
    names = header(text)
    if "latency_ms" in names:
        return _tidied_operators(path, text) if "operation" in names else _tidied_models(path, text)
    return _operators(path, text, names) if "operation" in names else _models(path, text, names)


def _tidied_models(path: Path, text: str) -> Iterator[PublishedTiming]:
    columns = ("kind", "model", "framework", "device", "config", "precision", "flops", "size_bytes", "latency_ms")
    for row in rows(path, text, columns):
        what = _model(row, "flops", "size_bytes")
        yield PublishedTiming(
            *("model", what, row.positive("latency_ms"), row.optional("std_ms"), row.text("device")),
            runtime=_framework(row.text("framework"), row.at("framework")),
            setting=f"{row.text('config')} {row.text('precision')}",
        )


def _tidied_operators(path: Path, text: str) -> Iterator[PublishedTiming]:
    columns = ("model", "op_index", "operation", "feature", "framework", "device", "kernel", "latency_ms")
    for row in rows(path, text, columns):
        try:
            feature = json.loads(row.text("feature"))
        except ValueError:
            row.at("feature").refuse("not JSON")
        what = _operator(row, row.whole("op_index"), feature) | {"kernel": row.fields["kernel"]}
        yield PublishedTiming(
            *("operator", what, row.number("latency_ms", least=0), None, row.text("device")),
            runtime=_framework(row.text("framework"), row.at("framework")),
            setting="gpu float",
        )


def _models(path: Path, text: str, names: list[str]) -> Iterator[PublishedTiming]:
    runtime = _framework(path.name, Place(path, 1))
    timed = _settings(path, names, parts=4, last="mean")
    for row in rows(path, text, ("model", "FLOPS", "size")):
        what = _model(row, "FLOPS", "size")
        for name, device, *setting in timed:
            if not row.fields[name].strip():
                continue
            spread = row.optional(name.removesuffix("mean") + "std")
            yield PublishedTiming(
                *("model", what, _MS_PER_US * row.positive(name)),
                None if spread is None else _MS_PER_US * spread,
                *(device, runtime, " ".join(setting[:2])),
            )


def _operators(path: Path, text: str, names: list[str]) -> Iterator[PublishedTiming]:
    runtime = _framework(path.name, Place(path, 1))
    timed = _settings(path, names, parts=3, last="float")
    counts: Counter[str] = Counter()
    for row in rows(path, text, ("model", "operation", "feature")):
        try:
            feature = ast.literal_eval(row.text("feature"))
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            row.at("feature").refuse("expected a dictionary")
        what = _operator(row, counts[row.text("model")], feature)
        counts[row.text("model")] += 1
        for name, device, *setting in timed:
            if row.fields[name].strip():
                kernel = row.fields.get(name.removesuffix("float") + "kernel", "")
                latency_ms = _MS_PER_US * number(row.text(name), row.at(name), least=0)
                yield PublishedTiming(
                    *("operator", what | {"kernel": kernel}, latency_ms, None, device, runtime, " ".join(setting))
                )


def _model(row: Row, macs: str, size: str) -> dict[str, Any]:
    return {"model": row.text("model"), "flops": row.whole(macs), "size_bytes": row.whole(size)}


def _operator(row: Row, index: int, feature: Any) -> dict[str, Any]:
    """Fields in lower case, whole numbers as such."""
    if not isinstance(feature, dict):
        row.at("feature").refuse(f"found {feature!r:.40}, expected fields with values")
    fields = {str(name).lower(): _plain(value) for name, value in feature.items()}
    return {"model": row.text("model"), "op_index": index, "operation": row.text("operation"), "feature": fields}


def _plain(value: Any) -> int | float | str:
    try:
        found = float(value)
    except (TypeError, ValueError):
        return str(value)
    return int(found) if found == int(found) else found


def _settings(path: Path, names: list[str], *, parts: int, last: str) -> list[tuple[str, ...]]:
    """Names of the columns that hold latencies, each with its parts."""
    found = [(name, *name.split("|")) for name in names if name.count("|") == parts - 1 and name.endswith(f"|{last}")]
    if not found:
        Place(path, 1).refuse(
            f"no column named DEVICE|CORES|...|{last}; expected the repository's own CSV or a tidied one"
        )
    return found


def _framework(text: str, place: Place) -> str:
    found = next((name for name in _FRAMEWORKS if text.startswith(name)), None)
    return found or place.refuse(f"found {text!r:.60}, expected a name that starts with {' or '.join(_FRAMEWORKS)}")
