"""How latency predictions are judged, and the figures that stand for many judgements."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from natdeploy.latency import LatencyPrediction
from natdeploy.latency.intervals.quality import point_quality

COVERAGES = (0.8, 0.9, 0.95)
#: Measurements of the target in few-shot and in scaling.
FEW, MANY = (10, 20), (10, 100, 300, 900)
#: Standard errors by which chance alone leads once in twenty times.
ONE_SIDED = 1.645


@dataclass
class Tally:
    """Outcomes by target, number of measurements and predictor."""

    found: dict[tuple[str, int, str], list[dict[str, float]]] = field(default_factory=dict)

    def add(self, target: str, count: int, who: str, outcome: Mapping[str, float]) -> None:
        """Keep one seed's outcome."""
        self.found.setdefault((target, count, who), []).append(dict(outcome))

    def mean(self, what: str, count: int, who: str, target: str | None = None) -> float:
        """Mean over seeds, and over targets if none is named."""
        per_target = [
            float(np.mean([outcome[what] for outcome in outcomes]))
            for (name, number, predictor), outcomes in self.found.items()
            if (number, predictor) == (count, who) and target in (None, name)
        ]
        return float(np.mean(per_target))

    def lead(self, what: str, count: int, who: str, other: str) -> tuple[float, float]:
        """Mean by which one predictor is ahead of another, paired over targets and seeds, and its standard error."""
        ahead = np.array(
            [
                outcome[what] - beside[what]
                for target in self.targets()
                for outcome, beside in zip(self.found[target, count, who], self.found[target, count, other])
            ]
        )
        error = ahead.std(ddof=1) / len(ahead) ** 0.5 if len(ahead) > 1 else 0.0
        return float(ahead.mean()), float(error)

    def targets(self) -> list[str]:
        """Targets in order."""
        return list(dict.fromkeys(target for target, _, _ in self.found))


def judge(
    measured_ms: np.ndarray, prediction: Callable[[float], LatencyPrediction], kept: np.ndarray
) -> dict[str, float]:
    """Figures of a prediction: ranks and errors over the kept rows, coverage over all."""
    found: dict[str, float] = {}
    for coverage in COVERAGES:
        predicted = prediction(coverage)
        inside = (predicted.lower_ms <= measured_ms) & (measured_ms <= predicted.upper_ms)
        found[f"coverage_{100 * coverage:.0f}"] = float(inside.mean())
        width = (predicted.upper_ms - predicted.lower_ms) / predicted.mean_ms
        found[f"width_{100 * coverage:.0f}"] = float(np.median(width))
    quality = point_quality(measured_ms[kept], predicted.mean_ms[kept])
    return found | {"spearman": quality.spearman, "within10": quality.within10, "mape": quality.mape}


def middle(latency_ms: np.ndarray) -> np.ndarray:
    """Mask without the slowest and the fastest tenth, as in HELP's code."""
    order = np.argsort(latency_ms, kind="stable")
    kept = np.zeros(len(order), bool)
    kept[order[int(0.1 * len(order)) : int(0.9 * len(order))]] = True
    return kept


def few_shot_figures(tally: Tally) -> dict[str, float]:
    """The better way to measure is the chosen one; figures of the random one beside it."""
    figures: dict[str, float] = {}
    for count in FEW:
        figures[f"spearman_{count}"] = tally.mean("spearman", count, "chosen")
        figures[f"mape_{count}"] = tally.mean("mape", count, "chosen")
        figures[f"within10_{count}"] = tally.mean("within10", count, "chosen")
        for who in ("random", "sources", "own", "sources_chosen", "own_chosen", "no_sources_chosen"):
            figures[f"{who}_spearman_{count}"] = tally.mean("spearman", count, who)
        for target in tally.targets():
            figures[f"{target}_spearman_{count}"] = tally.mean("spearman", count, "chosen", target)
            figures[f"{target}_random_spearman_{count}"] = tally.mean("spearman", count, "random", target)
        for coverage in COVERAGES:
            for what in ("coverage", "width"):
                name = f"{what}_{100 * coverage:.0f}"
                figures[f"{name}_{count}"] = tally.mean(name, count, "chosen")
    return figures


def hard_figures(tally: Tally) -> dict[str, float]:
    """Gain over the better of sources alone and own measurements alone, each from random measurements."""
    figures = few_shot_figures(tally)
    for count in FEW:
        for name, suffix in (("gain", ""), ("gain_same_measurements", "_chosen")):
            better = max(tally.mean("spearman", count, f"{who}{suffix}") for who in ("sources", "own"))
            figures[f"{name}_{count}"] = tally.mean("spearman", count, "chosen") / better
    return figures


def scaling_figures(tally: Tally, counts: Sequence[int] = MANY) -> dict[str, float]:
    """Shares within +-10 %, of the parts too.

    ``beats_parts`` is 1 if no part is ahead of the blend at any number of measurements by more than chance explains:
    paired over targets and seeds, one-sided at 5 %. ``lead_N`` is the blend's lead over the best part, which may be
    less than 0, with its standard error; ``ahead_of_parts`` is 1 if none of these is.
    """
    figures: dict[str, float] = {}
    beats = True
    for count in counts:
        parts = {who: tally.mean("within10", count, who) for who in ("sources", "own", "xgboost")}
        leads = {who: tally.lead("within10", count, "all", who) for who in parts}
        lead, error = min(leads.values())
        figures |= {f"lead_{count}": lead, f"lead_error_{count}": error}
        figures[f"within10_{count}"] = tally.mean("within10", count, "all")
        figures |= {f"{who}_within10_{count}": value for who, value in parts.items()}
        figures[f"spearman_{count}"] = tally.mean("spearman", count, "all")
        for target in tally.targets():
            figures[f"{target}_within10_{count}"] = tally.mean("within10", count, "all", target)
        for coverage in COVERAGES:
            for what in ("coverage", "width"):
                name = f"{what}_{100 * coverage:.0f}"
                figures[f"{name}_{count}"] = tally.mean(name, count, "all")
        beats = beats and all(lead + ONE_SIDED * error >= 0 for lead, error in leads.values())
    ahead = all(figures[f"lead_{count}"] >= 0 for count in counts)
    return figures | {"beats_parts": float(beats), "ahead_of_parts": float(ahead)}


def coverage_figures(tallies: Mapping[str, tuple[Tally, str]]) -> dict[str, float]:
    """Empirical coverage per task and in all, with widths."""
    figures: dict[str, float] = {}
    cells = [
        (f"{task}_{count}", tally, count, who)
        for task, (tally, who) in tallies.items()
        for count in dict.fromkeys(number for _, number, predictor in tally.found if predictor == who)
    ]
    for coverage in COVERAGES:
        for what in ("coverage", "width"):
            name = f"{what}_{100 * coverage:.0f}"
            per_task = {task: tally.mean(name, count, who) for task, tally, count, who in cells}
            figures |= {f"{task}_{name}": value for task, value in per_task.items()}
            figures[name] = float(np.mean(list(per_task.values())))
            if what == "coverage":
                figures[f"{name}_worst"] = min(per_task.values())
    return figures
