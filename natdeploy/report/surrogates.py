"""What the search learned with, iteration by iteration: the surrogates, and how well they ranked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from natdeploy.report.named import title_of
from natdeploy.report.table import Table, number, table_of, text
from natdeploy.report.units import NONE
from natdeploy.runs import HistoryStep


@dataclass(frozen=True)
class _Learned:
    """An objective, or a limit, as it was learned in one iteration."""

    iteration: int
    name: str
    surrogate: str
    quality: Mapping[str, Any]


def surrogates_table(history: Sequence[HistoryStep]) -> Table:
    """A row for each iteration and each objective, or limit, that was learned; none where accuracies are predicted."""
    return table_of(
        "Surrogates",
        [
            _Learned(step.iteration, name, step.surrogate["name"], quality)
            for step in history
            for name, quality in step.surrogate.get("of", {}).items()
        ],
        [
            number("iteration", lambda row: str(row.iteration)),
            text("of", lambda row: title_of(row.name)),
            text("surrogate", _chosen),
            number("Kendall tau, cross-validated", lambda row: _digits(row.quality.get("cv_kendall"))),
            number("on the candidates", lambda row: _digits(row.quality.get("kendall"))),
            text("not chosen", _others),
        ],
    )


def _chosen(row: _Learned) -> str:
    chosen = row.quality.get("chosen")
    return f"{row.surrogate}: {chosen}" if chosen else row.surrogate


def _others(row: _Learned) -> str:
    """What ``auto`` did not take, the best first, with its cross-validated tau."""
    taus = {name: tau for name, tau in row.quality.get("cv_kendall_of", {}).items() if name != row.quality["chosen"]}
    ordered = sorted(taus, key=lambda name: (-2.0 if taus[name] is None else taus[name], name), reverse=True)
    return ", ".join(f"{name} {_digits(taus[name])}" for name in ordered) or NONE


def _digits(value: float | None) -> str:
    return NONE if value is None else f"{value:.3f}"
