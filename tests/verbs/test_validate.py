"""validate finds what would stop a job, without running it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from natdeploy.cli.main import app
from natdeploy.deploy.baseline import Baseline, ModelFigures, write_baseline
from natdeploy.ground.errors import BadInput, BudgetNotMet
from natdeploy.verbs import validate

CHECKOUT = Path(__file__).parents[2]
JOBS = sorted((CHECKOUT / "examples").glob("*.yaml"))
PIPELINES = sorted((CHECKOUT / "examples" / "ci").glob("*.yaml"))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path / "home"))
    return tmp_path


def pipeline(**changes: object) -> Path:
    value = {"tasks": {"digits": {"data": "digits"}}, "devices": {"pixel4": {"latency_ms": 2}}, **changes}
    Path("natdeploy.yaml").write_text(yaml.safe_dump(value))
    return Path("natdeploy.yaml")


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.name)
def test_shipped_pipelines_are_valid(path: Path) -> None:
    result = validate(path)
    assert result.kind == "pipeline" and len(result.jobs) == 3
    assert all({"settings", "images", "supernet"} <= set(job.checked) for job in result.jobs)
    assert "budget" in result.jobs[1].checked and "percentile" in result.jobs[0].not_checked[0]


def test_the_readmes_pipeline_is_valid() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (CHECKOUT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    (text,) = (block for block in blocks if block.startswith("tasks:"))
    Path("natdeploy.yaml").write_text(text)
    assert [job.name for job in validate("natdeploy.yaml").jobs] == ["digits-host", "digits-pixel4", "digits-rpi4"]


@pytest.mark.parametrize(
    ("fields", "kind", "words"),
    [
        ({"limits": ["macs<=1000"]}, BudgetNotMet, "keeps macs<=1000"),
        ({"limits": ["macs=1000"]}, BadInput, "expected NAME<=VALUE"),
        ({"objectives": ["top1", "energy_mj"]}, BadInput, "field 'power'"),
        ({"further_devices": {"nope": 3}}, BadInput, "unknown device 'nope'"),
        ({"further_data": {"pets": "no/such/folder"}}, BadInput, "data 'no/such/folder'"),
    ],
)
def test_limits_energies_and_further_devices_are_looked_at(fields: dict, kind: type[Exception], words: str) -> None:
    Path("job.yaml").write_text(yaml.safe_dump({"device": "pixel4", "latency_ms": 2, **fields}))
    with pytest.raises(kind, match=words):
        validate("job.yaml")


def test_nothing_is_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("natdeploy.data.sources.huggingface._load", lambda text: pytest.fail(f"{text} is downloaded"))
    further = {"hub": "hf:some/set", "cifar": "cifar10", "copy": "dtd:hf:some/copy"}
    Path("job.yaml").write_text(yaml.safe_dump({"device": "pixel4", "latency_percentile": 40, "further_data": further}))
    (job,) = validate("job.yaml").jobs
    assert "images: cifar10, dtd:hf:some/copy, hf:some/set: downloaded when the search starts" in job.not_checked


def test_there_is_a_pipeline_to_start_from() -> None:
    assert CHECKOUT / "examples" / "ci" / "natdeploy.yaml" in PIPELINES


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.name)
def test_shipped_jobs_are_valid_or_name_what_to_fill_in(path: Path) -> None:
    try:
        assert validate(path).kind == "job"
    except BadInput as error:
        assert "path/to/" in str(error) or "eleven-digits/" in str(error)  # the user's own, or made by a script


def test_the_demo_is_valid() -> None:
    (job,) = validate(CHECKOUT / "examples" / "digits.yaml").jobs
    assert job.checked == ("settings", "images", "supernet")


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"devices": {"pixel5": {"latency_ms": 2}}}, "device 'pixel5': unknown device 'pixel5'"),
        ({"devices": {"pixel4": {"latency_ms": 2, "runtime": "onnxruntime"}}}, "field 'runtime'"),
        ({"tasks": {"digits": {"data": "no/such/folder"}}}, "no/such/folder"),
        ({"tasks": {"digits": {"supernet": "none.safetensors"}}}, "none.safetensors"),
        ({"tasks": {"digits": {"space": "ofa-mbv3-w1.0"}}}, "field 'supernet': box is of space mbv3-micro"),
        ({"tasks": {"digits": {"search": {"surrogate": "guess"}}}}, "unknown surrogate 'guess'"),
        ({"tasks": {"digits": {"objectives": ["top2"]}}}, "unknown objective 'top2'"),
        ({"tasks": {"digits": {"adapt": {"augmentation": "flip-flop"}}}}, "adapt.augmentation"),
    ],
)
def test_faults_are_named_with_their_entry(changes: dict, fault: str) -> None:
    with pytest.raises(BadInput) as error:
        validate(pipeline(**changes))
    assert str(error.value).startswith("natdeploy.yaml: task 'digits' on device 'pixel")
    assert fault in str(error.value) and "\n" not in str(error.value)


def test_a_budget_that_nothing_meets_is_told_before_anything_runs(capsys: pytest.CaptureFixture[str]) -> None:
    path = pipeline(devices={"pixel4": {"latency_ms": 0.001}})
    with pytest.raises(BudgetNotMet, match=r"no architecture of mbv3-micro meets 0\.001 ms on pixel4.*can be met"):
        validate(path)
    with pytest.raises(SystemExit) as left:
        app(["validate", str(path)])
    assert left.value.code == 4 and capsys.readouterr().err.count("\n") == 1
    assert not Path("home").exists() or not list(Path("home").rglob("*.sqlite"))


def test_baselines_are_read() -> None:
    figures = ModelFigures(arch_id="a", runtime="tvm", bytes=1, accuracy={}, predicted=None, measured={})
    path = write_baseline("baselines", Baseline(entry="digits-pixel4", models={"best": figures}))
    validate(pipeline())
    path.rename("baselines/digits-pixel3.json")
    with pytest.raises(BadInput, match=r"digits-pixel3\.json: a baseline of no entry"):
        validate(pipeline())
    Path("baselines/digits-pixel3.json").rename(path)
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 0'))
    with pytest.raises(BadInput, match="field 'schema_version' is 0"):
        validate(pipeline())


def test_examples_are_found_by_name() -> None:
    found = validate("example:digits")
    assert (found.kind, found.file.name, found.jobs[0].device) == ("job", "digits.yaml", "host")
    with pytest.raises(BadInput, match=r"example:nope: no such example; known: .*example:digits"):
        validate("example:nope")


def test_neither_job_nor_pipeline() -> None:
    for number, text in enumerate(("", "- 1", "latency_ms: 1\nlatency_percentile: 2", "latency_ms: [", "x: 1")):
        path = Path(f"{number}.yaml")
        path.write_text(text)
        with pytest.raises(BadInput, match=rf"{number}\.yaml"):
            validate(path)
