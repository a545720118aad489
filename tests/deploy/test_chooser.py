"""Choosing, with a workshop that builds nothing."""

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest

from natdeploy.deploy import chooser
from natdeploy.ground.errors import BadInput
from natdeploy.latency import fit_latency_model
from natdeploy.runs import RunConfig
from tests.deploy.stand_ins import SPACE, archs, entry
from tests.latency.timings import made_up

BUDGET_MS = 1.0


def make_chooser(measurements: list, classes: int, built: list[str]) -> chooser.Chooser:
    entries = [entry(arch, 0.9, 0.5, budget_ms=BUDGET_MS) for arch in archs(4)]
    run: Any = SimpleNamespace(
        config=lambda: RunConfig(latency_ms=BUDGET_MS, runtime="onnxruntime"), archive=lambda: entries
    )
    workshop: Any = SimpleNamespace(
        store=SimpleNamespace(query=lambda **_: measurements),
        profile=SimpleNamespace(timing=SimpleNamespace(threads=1)),
        dataset=SimpleNamespace(classes=range(classes)),
        make=lambda arch: built.append(arch.id),
        time=lambda candidate, runtime: SimpleNamespace(latency_ms=2 * BUDGET_MS if len(built) == 1 else 0.5),
    )
    model = fit_latency_model([item for item in measurements if item.protocol["threads"] == 1], SPACE, coverage=0.8)
    return chooser.Chooser(run, model, workshop, 5, lambda stage, fraction: None)


@pytest.mark.parametrize("classes", [10, 500])
def test_a_miss_is_learned_from_for_the_same_threads_coverage_and_classes(classes: int) -> None:
    timings = made_up(60)
    other_threads = [dataclasses.replace(item, protocol={"threads": 2}, latency_ms=9.0) for item in made_up(60, seed=1)]
    built: list[str] = []
    choose = make_chooser([*timings, *other_threads], classes, built)
    (chosen,) = choose.choose(["best"])
    assert [miss.arch_id for miss in chosen.met.missed] == built[:1] and len(built) == 2
    assert choose.model.coverage == 0.8
    expected = fit_latency_model(timings, SPACE, coverage=0.8).predict([chosen.met.entry.arch], num_classes=classes)
    assert chosen.met.entry.latency_ms == expected.mean_ms[0]


def test_a_wrong_id_is_found_before_anything_is_built() -> None:
    built: list[str] = []
    with pytest.raises(BadInput, match="pick 'zz'"):
        make_chooser(made_up(60), 10, built).choose(["best", "zz"])
    assert built == []
