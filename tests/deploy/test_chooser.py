"""Choosing, with a workshop that builds nothing."""

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest

from natdeploy.deploy import chooser
from natdeploy.ground.errors import BadInput
from natdeploy.latency import LatencyModel, fit_latency_model
from natdeploy.runs import ArchiveEntry, RunConfig
from tests.deploy.stand_ins import SPACE, archs, entry
from tests.latency.timings import made_up

BUDGET_MS = 1.0


class ARun:
    """Four architectures that seem equally fast, until a model says otherwise."""

    def __init__(self, model: LatencyModel | None = None) -> None:
        self._model = model

    def config(self) -> RunConfig:
        return RunConfig(latency_ms=BUDGET_MS, runtime="onnxruntime")

    def with_model(self, model: LatencyModel) -> "ARun":
        return ARun(model)

    def archive(self) -> list[ArchiveEntry]:
        known = dict.fromkeys(archs(4), 0.5)
        if self._model is not None:
            known = dict(zip(known, map(float, self._model.predict(list(known)).mean_ms)))
        return [entry(arch, 0.9, ms, budget_ms=BUDGET_MS) for arch, ms in known.items()]


def make_chooser(measurements: list, built: list[str]) -> chooser.Chooser:
    run: Any = ARun()
    workshop: Any = SimpleNamespace(
        store=SimpleNamespace(query=lambda **_: measurements),
        profile=SimpleNamespace(timing=SimpleNamespace(threads=1)),
        make=lambda arch: built.append(arch.id),
        time=lambda candidate, runtime: SimpleNamespace(latency_ms=2 * BUDGET_MS if len(built) == 1 else 0.5),
    )
    model = fit_latency_model([item for item in measurements if item.protocol["threads"] == 1], SPACE, coverage=0.8)
    return chooser.Chooser(run, model, workshop, 5, lambda stage, fraction: None)


def test_a_miss_is_learned_from_for_the_same_threads_and_coverage() -> None:
    timings = made_up(60)
    other_threads = [dataclasses.replace(item, protocol={"threads": 2}, latency_ms=9.0) for item in made_up(60, seed=1)]
    built: list[str] = []
    choose = make_chooser([*timings, *other_threads], built)
    (chosen,) = choose.choose(["best"])
    assert [miss.arch_id for miss in chosen.met.missed] == built[:1] and len(built) == 2
    assert choose.model.coverage == 0.8
    expected = fit_latency_model(timings, SPACE, coverage=0.8).predict([chosen.met.entry.arch])
    assert chosen.met.entry.latency_ms == expected.mean_ms[0]


def test_a_wrong_id_is_found_before_anything_is_built() -> None:
    built: list[str] = []
    with pytest.raises(BadInput, match="pick 'zz'"):
        make_chooser(made_up(60), built).choose(["best", "zz"])
    assert built == []
