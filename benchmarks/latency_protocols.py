"""The protocols of published latency tables: few measurements of a new device, and from few to many."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.latency_figures import FEW, MANY, Tally, judge, middle
from benchmarks.published_latencies import EDGE, FAMILIES, GPUS, ONEPROXY, PROTOCOLS, TABLES, Table, read_table
from natdeploy.latency import SourceKnowledge
from natdeploy.latency.intervals.quality import point_quality
from natdeploy.spaces import Arch, get_space

#: Architectures that are predicted in scaling, at most.
JUDGED = 500


@dataclass(frozen=True)
class Asked:
    """Files and devices that were asked for instead of a task's own."""

    tables: Sequence[Path] = ()
    targets: Sequence[str] = ()
    sources: Sequence[str] = ()


def run_few_shot(asked: Asked, space: str, seeds: Sequence[int]) -> Tally:
    """HELP's protocol on a space's table, with its default devices or those asked for."""
    protocol = PROTOCOLS[space]
    table = read_table(asked.tables or [TABLES / protocol.file], space, protocol.text)
    targets, sources = asked.targets or protocol.targets, asked.sources or protocol.sources
    return few_shot(table, space, protocol.first_part, targets, sources, seeds)


def run_hard(asked: Asked, seeds: Sequence[int]) -> Tally:
    """GPUs alone as sources of phones, boards and ASIC, and the reverse."""
    protocol = PROTOCOLS["fbnet"]
    table = read_table(asked.tables or [TABLES / protocol.file], "fbnet", protocol.text)
    kinds = [[name for name in table.latency_ms if name.rsplit("_", 1)[0] in kind] for kind in (GPUS, EDGE)]
    tally = Tally()
    for sources, targets in (kinds, kinds[::-1]):
        judged = [name for name in targets if name in (asked.targets or targets)]
        tally.found |= few_shot(table, "fbnet", protocol.first_part, judged, sources, seeds).found
    return tally


def run_scaling(asked: Asked, seeds: Sequence[int], counts: Sequence[int] = MANY) -> Tally:
    """Sources are all devices but the targets and the target's family."""
    table = read_table(asked.tables or [ONEPROXY], "nasbench201", "arch_str")
    targets = asked.targets or ("adreno640_gpu",)
    families = [family for family in FAMILIES if any(family in target for target in targets)]
    others = [
        name for name in table.latency_ms if name not in targets and not any(family in name for family in families)
    ]
    return scaling(table, targets, asked.sources or others, seeds, counts)


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
            _say(f"{space} {target} seed {seed}")
    return tally


def scaling(
    table: Table, targets: Sequence[str], sources: Sequence[str], seeds: Sequence[int], counts: Sequence[int] = MANY
) -> Tally:
    """From few to many chosen measurements, beside what parts of the knowledge give alone; random splits."""
    tally = Tally()
    for seed in seeds:
        order = np.random.default_rng([seed, 2]).permutation(len(table.ids))
        first, query = (np.zeros(len(order), bool) for _ in range(2))
        first[order[: max(counts)]] = True
        query[order[max(counts) :][:JUDGED]] = True
        knowledge = learn(table, "nasbench201", sources, first)
        for target in targets:
            measurable, judged = table.of(target, first), table.of(target, query)
            for count in counts:
                chosen = knowledge.choose(min(count, len(measurable)), among=list(measurable), seed=seed)
                measured = {arch: measurable[arch] for arch in chosen}
                for who in ("all", "sources", "own"):
                    tally.add(target, count, who, transfer(knowledge, measured, judged, who, seed, False))
                tally.add(target, count, "xgboost", xgboost(knowledge, measured, judged, seed))
        _say(f"scaling seed {seed}")
    return tally


def learn(table: Table, space: str, sources: Sequence[str], rows: np.ndarray) -> SourceKnowledge:
    """Source devices, from the rows that may be read."""
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

    def table(archs: Iterable[Arch]) -> np.ndarray:
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


def _say(text: str) -> None:
    """Progress on stderr."""
    print(text, file=sys.stderr, flush=True)
