"""Gates: a bundle's figures against its baseline's, each by what is known of its uncertainty.

- Accuracy: a fall beyond so many standard errors of the difference of two proportions.
- Latency: the intervals must overlap; medians of two sessions always differ.
- Size: a rise beyond a share.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from natdeploy.deploy.baseline import AccuracyFigure, Baseline, LatencyFigure, ModelFigures
from natdeploy.runs.pipeline import AccuracyGate, GateSettings, LatencyGate, SizeGate

#: Begins the metric of a measured latency; the machine's fingerprint follows.
MEASURED = "measured latency"
Verdict = Literal["ok", "worse", "missing", "not compared"]


@dataclass(frozen=True)
class Compared:
    """One figure of one model against its baseline's.

    Attributes:
        entry, pick: which model.
        metric: ``top1``, ``measured latency``, ``predicted latency``, ``size`` or ``model``.
        baseline, found: the two figures in words.
        tolerance: what would have passed, in words.
        verdict: ``worse`` and ``missing`` fail; ``not compared`` says that there is nothing to compare with.
    """

    entry: str
    pick: str
    metric: str
    baseline: str
    found: str
    tolerance: str
    verdict: Verdict

    @property
    def failed(self) -> bool:
        """Whether the gate is closed by this."""
        return self.verdict in ("worse", "missing")


def compare(
    entry: str, baseline: Baseline | None, found: Mapping[str, ModelFigures], gates: GateSettings
) -> tuple[Compared, ...]:
    """All figures of an entry's models, one line each.

    A model without a baseline is missing one; a baseline's pick that was not built is missing, too.
    """
    before = baseline.models if baseline is not None else {}
    lines: list[Compared] = []
    for pick in sorted({*before, *found}):
        if pick not in before:
            advice = "natdeploy ci gate --update"
            lines.append(Compared(entry, pick, "model", "none", found[pick].arch_id, advice, "missing"))
        elif pick not in found:
            lines.append(Compared(entry, pick, "model", before[pick].arch_id, "not built", "-", "missing"))
        else:
            lines += _compared(entry, pick, before[pick], found[pick], gates)
    return tuple(lines)


def _compared(
    entry: str, pick: str, before: ModelFigures, found: ModelFigures, gates: GateSettings
) -> Iterator[Compared]:
    def line(metric: str, figures: tuple[str, str, str, Verdict]) -> Compared:
        return Compared(entry, pick, metric, *figures)

    split = gates.accuracy.split
    yield line("top1", _accuracy(before.accuracy.get(split), found.accuracy.get(split), gates.accuracy))
    for machine in sorted({*before.measured, *found.measured}):
        then, now = before.measured.get(machine), found.measured.get(machine)
        yield line(f"{MEASURED} ({machine})", _latency(then, now, gates.latency))
    yield line("predicted latency", _latency(before.predicted, found.predicted, gates.latency))
    yield line("size", _size(before.bytes, found.bytes, gates.size))


def _accuracy(
    before: AccuracyFigure | None, found: AccuracyFigure | None, gate: AccuracyGate
) -> tuple[str, str, str, Verdict]:
    tolerance = f"{gate.standard_errors:g} standard errors" + (f" + {gate.fall:.2%}" if gate.fall else "")
    said = _top1(before, gate.split), _top1(found, gate.split)
    if before is None:
        return *said, tolerance, "not compared"
    if found is None:
        return *said, tolerance, "missing"
    allowed = gate.standard_errors * math.hypot(before.standard_error, found.standard_error) + gate.fall
    fell = before.top1 - found.top1
    return *said, f"-{allowed:.2%} ({tolerance})", "worse" if fell > allowed + 1e-12 else "ok"


def _top1(figure: AccuracyFigure | None, split: str) -> str:
    if figure is None:
        return "none"
    return f"{figure.top1:.2%} +- {figure.standard_error:.2%} of {figure.images} {split} images"


def _latency(
    before: LatencyFigure | None, found: LatencyFigure | None, gate: LatencyGate
) -> tuple[str, str, str, Verdict]:
    said = _milliseconds(before), _milliseconds(found)
    tolerance = f"intervals overlap within +{gate.rise:.0%}"
    if before is None or found is None:  # another machine, or one that timed nothing: there is no like to compare with
        return *said, tolerance, "not compared"
    return *said, tolerance, "worse" if found.lower_ms > before.upper_ms * (1 + gate.rise) else "ok"


def _milliseconds(figure: LatencyFigure | None) -> str:
    return "none" if figure is None else f"{figure.latency_ms:.4g} ms [{figure.lower_ms:.4g}, {figure.upper_ms:.4g}]"


def _size(before: int, found: int, gate: SizeGate) -> tuple[str, str, str, Verdict]:
    worse = found > before * (1 + gate.rise)
    return f"{before:,} bytes", f"{found:,} bytes", f"+{gate.rise:.0%}", "worse" if worse else "ok"
