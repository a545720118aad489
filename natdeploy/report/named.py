"""How figures are written that are asked for by name: objectives, and what limits and budgets are on."""

from __future__ import annotations

from collections.abc import Sequence

from natdeploy.report.units import kib, millions, milliseconds, percent
from natdeploy.runs import ArchiveEntry, RunConfig, on_task
from natdeploy.runs.certainty import top1_error
from natdeploy.runs.quantities import argument_of, edge, kind_of

_TITLES = {
    "top1": "top-1",
    "latency_ms": "predicted ms",
    "energy_mj": "modelled mJ",
    "macs": "MACs",
    "params": "params",
    "peak_activation_bytes": "peak activations",
    "file_bytes": "model.onnx",
}
#: What one unit of a figure is on an axis, and what it is called there.
_UNITS = {
    "top1": (0.01, "%"),
    "macs": (1e6, "M"),
    "params": (1e6, "M"),
    "peak_activation_bytes": (1024, "KiB"),
    "file_bytes": (1024, "KiB"),
}


def title_of(name: str) -> str:
    """A figure's heading: ``predicted ms, pixel4 tvm``."""
    kind, argument = kind_of(name), argument_of(name)
    title = _TITLES.get(kind, kind)
    return f"{title}, {argument.replace(':', ' ')}" if argument else title


def axis_of(name: str) -> tuple[str, float]:
    """Title of an axis, and what values are divided by on it."""
    scale, unit = _UNITS.get(kind_of(name), (1.0, ""))
    return f"{title_of(name)}, {unit}" if unit else title_of(name), scale


def written(name: str, entry: ArchiveEntry) -> str:
    """A figure of an architecture, with its interval where it has one."""
    kind, value = kind_of(name), entry.value(name)
    if kind == "top1":
        return percent(value, top1_error(on_task(entry, argument_of(name))))
    if kind in ("macs", "params"):
        return millions(value)
    if kind.endswith("_bytes"):
        return kib(value)
    lower, upper = (entry.value(edge(name, upper=end)) for end in (False, True))
    return f"{milliseconds(value)} ({milliseconds(lower)} to {milliseconds(upper)})"


def further(config: RunConfig) -> Sequence[str]:
    """Figures that a run asks for beside those that every run has."""
    always = ("top1", "latency_ms", "macs", "params", "peak_activation_bytes")
    return [name for name in config.named if name not in always]
