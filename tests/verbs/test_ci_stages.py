"""ci build makes what changed and nothing else: the verbs behind it are stand-ins that note that they were called."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from natdeploy.compiler import tuning_of
from natdeploy.compiler.kernels.isa import Isa
from natdeploy.compiler.kernels.kind import candidate_schedules
from natdeploy.devices import load_profile
from natdeploy.ground.errors import BudgetNotMet
from natdeploy.ground.files import read_json, write_json
from natdeploy.latency import prior_latency_model
from natdeploy.runs import JobConfig, RunFolder
from natdeploy.runs.folder import write_items
from natdeploy.verbs import ci
from natdeploy.verbs.bundle_info import bundle_info
from tests.compiler.records import tuned
from tests.deploy.stand_ins import archs, entry, make_bundle


class Stages:
    """What was called since the last look."""

    def __init__(self) -> None:
        self.called: list[str] = []

    def take(self) -> list[str]:
        called, self.called = self.called, []
        return called

    def search(self, job: JobConfig, progress: object) -> None:
        self.called.append("search")
        run = Path(str(job.out))
        if not RunFolder.exists(run):
            RunFolder.create(run, job.run_config(), lambda file: file.write_text("{}"))
        write_json(run / "result" / "summary.json", {})
        write_items(run / "result" / "front.json", [entry(arch, 0.9, 1.0) for arch in archs(1)])

    def build(self, run: Path, *, pick: object, attempts: int, out: Path, **_: object) -> SimpleNamespace:
        self.called.append("build")
        budget_ms = RunFolder(run).config().latency_ms
        scratch = out.parent / "scratch"
        manifest = make_bundle(scratch / "made", measured_ms=budget_ms / 2)
        name = f"{manifest.name}-{'-'.join(pick)}"  # type: ignore[arg-type]
        shutil.copytree(scratch / "made", out / name, dirs_exist_ok=True)
        return SimpleNamespace(bundles=(bundle_info(out / name, manifest),))


@pytest.fixture
def stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without_llvm_mca: None) -> Iterator[Stages]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path / "home"))
    found = Stages()
    monkeypatch.setattr(import_module("natdeploy.verbs.search"), "search_job", found.search)
    monkeypatch.setattr(import_module("natdeploy.verbs.build"), "build", found.build)
    monkeypatch.setattr(import_module("natdeploy.verbs.report"), "report", lambda run, out: None)
    monkeypatch.setattr(import_module("natdeploy.report.picture"), "write_picture", lambda runs, out: None)
    prior = prior_latency_model(load_profile("pixel4"), "mbv3-micro", "tvm")
    monkeypatch.setattr(
        import_module("natdeploy.verbs.job"), "ensure_latency_model", lambda job, profile, progress: prior
    )
    yield found


def built(latency_ms: float = 2.0, **task: object) -> dict[str, str]:
    value = {"tasks": {"digits": {"data": "digits", **task}}, "devices": {"pixel4": {"latency_ms": latency_ms}}}
    Path("natdeploy.yaml").write_text(yaml.safe_dump(value))
    (found,) = ci.build().entries
    return dict(found.stages)


def record() -> dict[str, str]:
    return read_json(Path("ci/digits-pixel4/build.json"), "record")


def test_an_unchanged_entry_is_reused(stages: Stages) -> None:
    assert built() == {"latency model": "prior", "search": "made", "build": "made"}
    first = record()
    assert stages.take() == ["search", "build"]
    assert built() == {"latency model": "prior", "search": "reused", "build": "reused"}
    assert stages.take() == [] and record() == first


def test_another_budget_searches_and_builds_with_the_same_latency_model(stages: Stages) -> None:
    built()
    before = record()
    stages.take()
    assert built(3.0)["search"] == "made"
    assert stages.take() == ["search", "build"]
    after = record()
    assert before["latency_model"] == after["latency_model"]
    assert all(before[stage] != after[stage] for stage in ("inputs", "search", "build"))
    assert built(2.0)["search"] == "reused"  # the earlier search is still there
    assert stages.take() == ["build"] and record()["search"] == before["search"]


def test_searches_that_were_not_used_for_long_go(stages: Stages) -> None:
    def searches() -> set[str]:
        return {path.name for path in Path("ci/digits-pixel4/runs").iterdir()}

    kept = Path("ci/digits-pixel4/runs/of-my-own")
    kept.mkdir(parents=True)
    keys = []
    for latency_ms in (2.0, 3.0, 4.0, 5.0):
        built(latency_ms)
        keys.append(record()["search"][:16])
    assert searches() == {*keys, kept.name}
    assert built(2.0)["search"] == "reused"  # the oldest is the one used last now
    built(6.0)
    assert searches() == {keys[0], keys[2], keys[3], record()["search"][:16], kept.name}
    assert built(3.0)["search"] == "made"


def test_other_picks_build_again_from_the_same_search(stages: Stages) -> None:
    built()
    stages.take()
    assert built(build={"pick": "knee"}) == {"latency model": "prior", "search": "reused", "build": "made"}
    assert stages.take() == ["build"]
    (bundle,) = Path("ci/digits-pixel4/bundles").iterdir()  # that of the earlier pick is gone
    assert bundle.name.endswith("knee")


def test_other_tiles_build_again_from_the_same_search(stages: Stages) -> None:
    built()
    stages.take()
    workload = {"kind": "gemm", "m": 49, "k": 64, "n": 96, "activation": "relu", "residual": False}
    rule, other, *_ = candidate_schedules(workload, Isa(4, 32))
    tuning_of(load_profile("pixel4")).keep(tuned(workload, Isa(4, 32), rule, chosen=other))
    assert built() == {"latency model": "prior", "search": "reused", "build": "made"}
    assert stages.take() == ["build"]


def test_other_images_or_settings_search_again(stages: Stages) -> None:
    built()
    for change in ({"seed": 1}, {"search": {"iterations": 1}}, {"objectives": ["top1", "latency_ms", "macs"]}):
        stages.take()
        assert built(**change)["search"] == "made"
        assert stages.take() == ["search", "build"]


def test_a_damaged_bundle_is_built_again(stages: Stages) -> None:
    built()
    stages.take()
    next(Path("ci").rglob("libmodel.so")).write_bytes(b"damaged")
    assert built() == {"latency model": "prior", "search": "reused", "build": "made"}
    assert stages.take() == ["build"]


def test_an_unfinished_search_is_continued(stages: Stages) -> None:
    built()
    next(Path("ci").rglob("summary.json")).unlink()
    assert built()["search"] == "continued"


def test_a_budget_that_is_not_met_leaves_no_record(stages: Stages, monkeypatch: pytest.MonkeyPatch) -> None:
    def missed(*args: object, **kwargs: object) -> None:
        raise BudgetNotMet("nothing fits")

    monkeypatch.setattr(import_module("natdeploy.verbs.build"), "build", missed)
    with pytest.raises(BudgetNotMet):
        built()
    assert not Path("ci/digits-pixel4/build.json").exists()
