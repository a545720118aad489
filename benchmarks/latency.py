"""Latency prediction on published measurements, by the protocols of the papers that published them.

    python benchmarks/latency.py few-shot --space fbnet|nasbench201 [--hard] [--target A,B --sources C,D]
    python benchmarks/latency.py scaling [--target adreno640_gpu]
    python benchmarks/latency.py coverage

Options: ``--json`` (one object on stdout, all else on stderr), ``--seeds N``, ``--seed S``, ``--quick``,
``--table FILE`` (other files with the same columns, read together). Without ``--table`` the tidied tables of HELP (Lee
et al. 2021) and OneProxy (Lu et al. 2022) are read from ``shared/data/latency`` beside the checkout.

few-shot is HELP's protocol: sources are measured on the first part of the architectures (by ``arch_id``), the 10 or 20
measurements of the target come from there too, and the next 1,000 are predicted, less the slowest and fastest tenth.
No device's latency of a predicted architecture is read but the target's, to judge.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from natdeploy.latency import LatencyPrediction, SourceKnowledge
    from natdeploy.spaces import Arch

CHECKOUT = Path(__file__).resolve().parents[1]
TABLES = CHECKOUT.parent / "shared" / "data" / "latency"
COVERAGES = (0.8, 0.9, 0.95)
#: Measurements of the target in few-shot, and in scaling with how many architectures are judged at most.
FEW, MANY, JUDGED = (10, 20), (10, 100, 300, 900), 500
#: Scaling leaves out sources of the target's own family.
FAMILIES = ("adreno",)


@dataclass(frozen=True)
class Protocol:
    """How a published table is split, and the devices of the default run."""

    file: str
    text: str
    first_part: int
    targets: str
    sources: str


PROTOCOLS = {
    "fbnet": Protocol(
        "help_fbnet.csv.gz",
        "ops",
        4000,
        "raspi4_1,eyeriss_1",
        "titanx_1,titanx_32,titanx_64,silver_4210r_1,pixel3_1,essential_ph_1",
    ),
    "nasbench201": Protocol(
        "help_nb201.csv.gz",
        "arch_str",
        900,
        "titan_rtx_256,gold_6226_1,pixel2_1,raspi4_1,eyeriss_1",
        "titanx_1,titanx_32,titanx_256,silver_4210r_1,pixel3_1,essential_ph_1",
    ),
}
#: Kinds of devices that have next to nothing in common: sources of one kind, targets of the other.
GPUS = ("1080ti", "2080ti", "titan_rtx", "titanx", "titanxp", "v100")
EDGE = ("essential_ph", "pixel2", "pixel3", "samsung_a50", "samsung_s7", "raspi4", "fpga", "eyeriss")


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

    def targets(self) -> list[str]:
        """Targets in order."""
        return list(dict.fromkeys(target for target, _, _ in self.found))


@dataclass(frozen=True)
class Table:
    """Latencies in ms: a row per architecture (``arch_id`` ascending), a column per device."""

    ids: np.ndarray
    archs: list[Arch]
    latency_ms: pd.DataFrame

    def of(self, device: str, rows: np.ndarray) -> dict[Arch, float]:
        """Measurements of a device among the rows (a mask)."""
        if device not in self.latency_ms:
            raise SystemExit(f"latency: no device {device!r} in the table; it has {', '.join(self.latency_ms)}")
        values = self.latency_ms[device].to_numpy()
        return {self.archs[row]: float(values[row]) for row in np.flatnonzero(rows & np.isfinite(values))}


def read_table(files: Sequence[Path], space: str, text: str) -> Table:
    """Read tidied tables together; a device is its name, with the batch where there is one."""
    from natdeploy.spaces import get_space

    rows = pd.concat([pd.read_csv(file) for file in files])
    if "valid" in rows:
        rows = rows[rows["valid"] == 1]
    if "batch" in rows:
        rows["device"] = rows["device"] + "_" + rows["batch"].astype(str)
    rows = rows.drop_duplicates(["arch_id", "device"])
    latency_ms = rows.pivot(index="arch_id", columns="device", values="latency_ms").sort_index()
    texts = rows.drop_duplicates("arch_id").set_index("arch_id")[text].reindex(latency_ms.index)
    archs = [get_space(space).from_text(value) for value in texts]
    return Table(latency_ms.index.to_numpy(), archs, latency_ms)


def judge(
    measured_ms: np.ndarray, prediction: Callable[[float], LatencyPrediction], kept: np.ndarray
) -> dict[str, float]:
    """Figures of a prediction: ranks and errors over the kept rows, coverage over all."""
    from natdeploy.latency.quality import point_quality

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


def few_shot(
    table: Table, space: str, first_part: int, targets: Sequence[str], sources: Sequence[str], seeds: Sequence[int]
) -> Tally:
    """HELP's protocol, with chosen and random measurements, and each part of the knowledge alone."""
    first = table.ids < first_part
    query = ~first & (table.ids < first_part + 1000)
    knowledge = learn(table, space, sources, first)
    tally = Tally()
    for target in targets:
        measurable, judged = table.of(target, first), table.of(target, query)
        for seed in seeds:
            shuffled = np.random.default_rng([seed, 1]).permutation(len(measurable))
            pool = list(measurable)
            design = knowledge.choose(max(FEW), among=pool, seed=seed)
            for count in FEW:
                drawn = [pool[row] for row in shuffled[:count]]
                for who, archs, known in (
                    ("chosen", design[:count], "all"),
                    ("random", drawn, "all"),
                    ("sources", drawn, "sources"),
                    ("own", drawn, "own"),
                    ("sources_chosen", design[:count], "sources"),
                    ("own_chosen", design[:count], "own"),
                    ("no_sources_chosen", design[:count], "no sources"),
                ):
                    outcome = transfer(knowledge, {arch: measurable[arch] for arch in archs}, judged, known, seed, True)
                    tally.add(target, count, who, outcome)
            say(f"{space} {target} seed {seed}")
    return tally


def scaling(table: Table, targets: Sequence[str], sources: Sequence[str], seeds: Sequence[int]) -> Tally:
    """From ten to many chosen measurements, beside what parts of the knowledge give alone; random splits."""
    tally = Tally()
    for seed in seeds:
        order = np.random.default_rng([seed, 2]).permutation(len(table.ids))
        first, query = (np.zeros(len(order), bool) for _ in range(2))
        first[order[: max(MANY)]] = True
        query[order[max(MANY) :][:JUDGED]] = True
        knowledge = learn(table, "nasbench201", sources, first)
        for target in targets:
            measurable, judged = table.of(target, first), table.of(target, query)
            for count in MANY:
                chosen = knowledge.choose(min(count, len(measurable)), among=list(measurable), seed=seed)
                measured = {arch: measurable[arch] for arch in chosen}
                for who in ("all", "sources", "own"):
                    tally.add(target, count, who, transfer(knowledge, measured, judged, who, seed, False))
                tally.add(target, count, "xgboost", xgboost(knowledge, measured, judged, seed))
        say(f"scaling seed {seed}")
    return tally


def learn(table: Table, space: str, sources: Sequence[str], rows: np.ndarray) -> SourceKnowledge:
    """Source devices, from the rows that may be read."""
    from natdeploy.latency import SourceKnowledge
    from natdeploy.spaces import get_space

    return SourceKnowledge.of(get_space(space), {name: table.of(name, rows) for name in sources})


def transfer(
    knowledge: SourceKnowledge,
    measured: Mapping[Arch, float],
    judged: Mapping[Arch, float],
    known: str,
    seed: int,
    trimmed: bool,
) -> dict[str, float]:
    """Fit on the measured, judge on others."""
    predictor = knowledge.transfer(measured, knowledge=known, seed=seed)
    archs, latency_ms = list(judged), np.array(list(judged.values()))
    kept = middle(latency_ms) if trimmed else np.ones(len(latency_ms), bool)
    return judge(latency_ms, lambda coverage: predictor.predict(archs, coverage), kept)


def xgboost(
    knowledge: SourceKnowledge, measured: Mapping[Arch, float], judged: Mapping[Arch, float], seed: int
) -> dict[str, float]:
    """The field's usual model from scratch, on the same encoding."""
    from xgboost import XGBRegressor

    from natdeploy.latency.quality import point_quality

    def table(archs: Iterator[Arch] | Mapping[Arch, float]) -> np.ndarray:
        encoded = knowledge.devices.sources.encoding(list(archs))
        return np.concatenate([encoded.structure, encoded.genes], axis=1)

    model = XGBRegressor(
        n_estimators=400,
        max_depth=4,
        learning_rate=0.05,
        subsample=0.8,
        colsample_bytree=0.5,
        n_jobs=1,
        random_state=seed,
    )
    model.fit(table(measured), np.log(list(measured.values())))
    quality = point_quality(np.array(list(judged.values())), np.exp(model.predict(table(judged)).astype(np.float64)))
    return {"spearman": quality.spearman, "within10": quality.within10, "mape": quality.mape}


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


def scaling_figures(tally: Tally) -> dict[str, float]:
    """Shares within +-10 %, of the parts too."""
    figures: dict[str, float] = {}
    beats = True
    for count in MANY:
        parts = {who: tally.mean("within10", count, who) for who in ("sources", "own", "xgboost")}
        figures[f"within10_{count}"] = tally.mean("within10", count, "all")
        figures |= {f"{who}_within10_{count}": value for who, value in parts.items()}
        figures[f"spearman_{count}"] = tally.mean("spearman", count, "all")
        for target in tally.targets():
            figures[f"{target}_within10_{count}"] = tally.mean("within10", count, "all", target)
        for coverage in COVERAGES:
            for what in ("coverage", "width"):
                name = f"{what}_{100 * coverage:.0f}"
                figures[f"{name}_{count}"] = tally.mean(name, count, "all")
        beats = beats and figures[f"within10_{count}"] >= max(parts.values())
    return figures | {"beats_parts": float(beats)}


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


def run_few_shot(options: argparse.Namespace, space: str, seeds: Sequence[int]) -> Tally:
    """The default devices, or those asked for."""
    protocol = PROTOCOLS[space]
    table = read_table(options.table or [TABLES / protocol.file], space, protocol.text)
    targets, sources = (
        (value or default).split(",")
        for value, default in ((options.target, protocol.targets), (options.sources, protocol.sources))
    )
    return few_shot(table, space, protocol.first_part, targets, sources, seeds)


def run_hard(options: argparse.Namespace, seeds: Sequence[int]) -> Tally:
    """GPUs alone as sources of phones, boards and ASIC, and the reverse."""
    protocol = PROTOCOLS["fbnet"]
    table = read_table(options.table or [TABLES / protocol.file], "fbnet", protocol.text)
    kinds = [[name for name in table.latency_ms if name.rsplit("_", 1)[0] in kind] for kind in (GPUS, EDGE)]
    tally = Tally()
    for sources, targets in (kinds, kinds[::-1]):
        asked = [name for name in targets if not options.target or name in options.target.split(",")]
        tally.found |= few_shot(table, "fbnet", protocol.first_part, asked, sources, seeds).found
    return tally


def run_scaling(options: argparse.Namespace, seeds: Sequence[int]) -> Tally:
    """Sources are all devices but the targets and the target's family."""
    table = read_table(options.table or [TABLES / "oneproxy_nb201.csv.gz"], "nasbench201", "arch_str")
    targets = (options.target or "adreno640_gpu").split(",")
    families = [family for family in FAMILIES if any(family in target for target in targets)]
    others = [
        name for name in table.latency_ms if name not in targets and not any(family in name for family in families)
    ]
    return scaling(table, targets, options.sources.split(",") if options.sources else others, seeds)


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Do the task."""
    seeds = range(options.seed, options.seed + (2 if options.quick else options.seeds))
    if options.task == "few-shot":
        if options.hard:
            return hard_figures(run_hard(options, seeds))
        return few_shot_figures(run_few_shot(options, options.space, seeds))
    if options.task == "scaling":
        return scaling_figures(run_scaling(options, seeds))
    tallies = {space: (run_few_shot(options, space, seeds), "chosen") for space in PROTOCOLS}
    return coverage_figures(
        {**tallies, "hard": (run_hard(options, seeds), "chosen"), "scaling": (run_scaling(options, seeds), "all")}
    )


def environment(options: argparse.Namespace) -> dict[str, Any]:
    """What the figures depend on besides the code."""
    from natdeploy import __version__

    return {
        "natdeploy": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "data": [str(file) for file in options.table] or "HELP and OneProxy, tidied",
        "task": options.task,
        "space": options.space,
        "hard": options.hard,
        "target": options.target,
        "sources": options.sources,
        "seed": options.seed,
        "seeds": 2 if options.quick else options.seeds,
        "load_average": os.getloadavg()[0],
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def say(text: str) -> None:
    """Progress on stderr."""
    print(text, file=sys.stderr, flush=True)


def show(figures: Mapping[str, float]) -> None:
    """A table on stdout."""
    from rich.console import Console
    from rich.table import Table as RichTable

    table = RichTable("figure", "value")
    for name, value in figures.items():
        table.add_row(name, f"{value:.4f}")
    Console().print(table)


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("task", choices=("few-shot", "scaling", "coverage"))
    parser.add_argument("--space", choices=tuple(PROTOCOLS), default="fbnet")
    parser.add_argument("--hard", action="store_true", help="few-shot: no source device is like the targets")
    parser.add_argument("--target", help="devices, joined by commas")
    parser.add_argument("--sources", help="devices, joined by commas")
    parser.add_argument("--table", type=Path, action="append", default=[], help="tables to read instead; repeatable")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--quick", action="store_true", help="two seeds, in about a minute")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    options = parser.parse_args()
    if options.task == "coverage" and (options.table or options.target or options.sources):
        parser.error("coverage takes no --table, --target and --sources: it is over all tasks' own")
    if options.seeds < 1:
        parser.error(f"--seeds must be at least 1, not {options.seeds}")
    sys.path.insert(0, str(CHECKOUT))
    figures = measure(options)
    if options.json:
        found = {"benchmark": "latency", "figures": figures, "environment": environment(options)}
        print(json.dumps(found, indent=1, allow_nan=False))
    else:
        show(figures)


if __name__ == "__main__":
    main()
