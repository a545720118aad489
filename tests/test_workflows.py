"""The workflow and the action: pinned, read-only, of GitHub's schema, clean for zizmor, and their very scripts run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.verbs.made_entries import built

CHECKOUT = Path(__file__).parents[1]
WORKFLOW = CHECKOUT / ".github" / "workflows" / "natdeploy.yml"
ACTION = CHECKOUT / "action.yml"
GITLAB = CHECKOUT / "examples" / "ci" / "gitlab-ci.yml"
SCHEMAS = {WORKFLOW: "github-workflows", ACTION: "github-actions", GITLAB: "gitlab-ci"}


def read(path: Path) -> dict[str, Any]:
    value = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(value, dict)
    return value


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every step with its job's name; those of the action too."""
    for job, value in read(WORKFLOW)["jobs"].items():
        yield from ((job, step) for step in value["steps"])
    yield from (("action", step) for step in read(ACTION)["runs"]["steps"])


def tool(name: str) -> str:
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed; pip install natdeploy[dev]")
    return found


def test_actions_are_pinned_by_commit() -> None:
    used = [step["uses"] for _, step in steps() if "uses" in step]
    assert used and all(re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", name) for name in used)
    text = WORKFLOW.read_text() + ACTION.read_text()
    assert len(re.findall(r"uses: \S+@[0-9a-f]{40} # v\d+\.\d+\.\d+\n", text)) == len(used)


def test_permissions_are_read_only_but_for_the_attestation() -> None:
    workflow = read(WORKFLOW)
    assert workflow["permissions"] == {"contents": "read"}
    own = {job: value["permissions"] for job, value in workflow["jobs"].items() if "permissions" in value}
    assert own == {"publish": {"contents": "read", "id-token": "write", "attestations": "write"}}
    checkouts = [step for _, step in steps() if "checkout" in step.get("uses", "")]
    assert checkouts and all(step["with"] == {"persist-credentials": False} for step in checkouts)


def test_nothing_is_pasted_into_a_script() -> None:
    assert not [step["name"] for _, step in steps() if "${{" in step.get("run", "")]


def test_devices_are_used_one_at_a_time_and_never_by_forks() -> None:
    jobs = read(WORKFLOW)["jobs"]
    device = jobs["device"]
    assert device["runs-on"] == ["self-hosted", "${{ matrix.device }}"]
    assert device["strategy"]["max-parallel"] == 1 and device["concurrency"]["cancel-in-progress"] is False
    assert "head.repo.full_name == github.repository" in device["if"] and "pull_request_target" in device["if"]
    assert jobs["build"]["strategy"]["fail-fast"] is False


def test_the_readmes_call_names_inputs_that_exist() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (CHECKOUT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    (call,) = (yaml.safe_load(block)["jobs"]["models"] for block in blocks if block.startswith("jobs:"))
    assert "/.github/workflows/natdeploy.yml@" in call["uses"]
    inputs = read(WORKFLOW)[True]["workflow_call"]["inputs"]  # YAML's `on` is a truth value
    assert {*call["with"]} <= {*inputs}
    assert call["permissions"] == read(WORKFLOW)["jobs"]["publish"]["permissions"]


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.name)
def test_files_are_of_their_schema(path: Path) -> None:
    command = [tool("check-jsonschema"), "--builtin-schema", f"vendor.{SCHEMAS[path]}", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_zizmor_finds_nothing() -> None:
    command = [tool("zizmor"), "--offline", "--no-progress", "--strict-collection", str(WORKFLOW), str(ACTION)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


class Runner:
    """Runs a job's scripts the way GitHub does: bash -e, variables for outputs and the summary."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        programs = folder / "bin"
        programs.mkdir()
        (programs / "natdeploy").write_text(f'#!/bin/sh\nexec {sys.executable} -m natdeploy.cli.main "$@"\n')
        (programs / "natdeploy").chmod(0o755)
        self.output, self.summary = folder / "output", folder / "summary.md"
        self.environment = {
            **os.environ,
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(CHECKOUT),
            "NATDEPLOY_FILE": "natdeploy.yaml",
            "NATDEPLOY_OUT": "ci",
            "NATDEPLOY_HOME": str(folder / "home"),
            "GITHUB_OUTPUT": str(self.output),
            "GITHUB_STEP_SUMMARY": str(self.summary),
        }

    def __call__(self, job: str, name: str, exits: int = 0, **variables: str) -> str:
        (script,) = [step["run"] for where, step in steps() if where == job and step.get("name") == name]
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", script],
            cwd=self.folder,
            env={**self.environment, **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == exits, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runner:
    monkeypatch.chdir(tmp_path)
    value = {"tasks": {"digits": {"data": "digits"}}, "devices": {"host": {"latency_ms": 2}}}
    Path("natdeploy.yaml").write_text(yaml.safe_dump(value))
    return Runner(tmp_path)


def test_the_scripts_from_plan_to_publish(runner: Runner) -> None:
    runner("plan", "Validate")
    runner("plan", "Plan")
    name, _, matrix = runner.output.read_text().partition("=")
    (entry,) = json.loads(matrix)["include"]
    assert name == "matrix" and matrix.count("\n") == 1
    built(entry["name"], entry["device"])  # in place of the scripts Build and Verify, which a slow test runs
    runner("build", "Pack", DEVICE=entry["device"], TASK=entry["task"])
    uploaded = runner.folder / "downloaded" / "built" / f"natdeploy-built-{entry['name']}"
    uploaded.mkdir(parents=True)
    (runner.folder / "ci" / "packed" / f"{entry['name']}.tar.gz").rename(uploaded / f"{entry['name']}.tar.gz")
    shutil.rmtree(runner.folder / "ci")
    runner("gate", "Unpack")
    assert "natdeploy ci gate --update" in runner("gate", "Gate", exits=6)
    assert "### Gate failed" in runner.summary.read_text()
    subprocess.run(["natdeploy", "ci", "gate", "--update"], check=True, env=runner.environment)
    runner("gate", "Gate")
    assert "### Gate passed" in runner.summary.read_text()
    runner("publish", "Publish")
    assert "| digits-host |" in runner.summary.read_text()
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], check=True, cwd=runner.folder / "published")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_scripts_that_build_and_verify(runner: Runner) -> None:
    small = {
        "data": "digits",
        "runtime": "onnxruntime",
        "search": {"initial": 6, "iterations": 1, "candidates": 2, "random_baseline": False},
        "adapt": {"warm_up_epochs": 1, "epochs_per_iteration": 0},
        "profile": {"networks": 30, "holdout": 10, "runtimes": ["onnxruntime"]},
    }
    value = {"tasks": {"digits": small}, "devices": {"host": {"latency_percentile": 60}}}
    Path("natdeploy.yaml").write_text(yaml.safe_dump(value))
    variables = {"DEVICE": "host", "TASK": "digits", "ENTRY": "digits-host"}
    runner("build", "Build", **variables)
    assert "all checksums hold" in runner("build", "Verify", **variables)
    again = runner("build", "Build", **variables)
    assert "latency model reused" in again and "search reused" in again and "build reused" in again
    runner("action", "Pack", **variables)
    assert runner.output.read_text() == "archive=ci/packed/digits-host.tar.gz\n"
