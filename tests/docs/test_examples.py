"""What the documents show works: YAML is valid, Python names what exists, quick commands are run."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

import natdeploy
from natdeploy.cli.main import app
from natdeploy.devices import load_profile
from natdeploy.runs import load_job
from natdeploy.runs.pipeline import is_pipeline, load_pipeline
from tests.docs.pages import CHECKOUT, DOCUMENTS, PAGES, blocks

#: Commands that need neither images, weights nor another device, and write nothing; every document's are run.
QUICK = re.compile(r"natdeploy (devices|devices (?!add|my-|\./)\S+|ci plan|validate natdeploy\.yaml)")


def documented(language: str) -> list[Any]:
    return [
        pytest.param(code, id=f"{document.relative_to(CHECKOUT)}-{number}")
        for document in DOCUMENTS
        for number, code in enumerate(blocks(document, language))
    ]


@pytest.mark.parametrize("code", documented("yaml"))
def test_yaml_is_valid(code: str, tmp_path: Path) -> None:
    value = yaml.safe_load(code)
    path = tmp_path / f"{value.get('name', 'example')}.yaml"
    path.write_text(code, encoding="utf-8")
    if is_pipeline(value):
        load_pipeline(path)
    elif "clusters" in value:
        load_profile(str(path), derive=False)
    elif "reach" in value:  # a part of a profile
        from natdeploy.devices import Reach

        Reach.model_validate(value["reach"])
    elif {"jobs", "stages"} & {*value}:
        pass  # of GitHub or GitLab: tests/test_workflows.py
    else:
        load_job(path)


@pytest.mark.parametrize("code", documented("python"))
def test_python_calls_what_exists_with_arguments_it_takes(code: str) -> None:
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call) and (name := ast.unparse(node.func)).startswith("natdeploy."):
            found: Any = natdeploy
            for part in name.split(".")[1:]:
                found = getattr(found, part)
            keywords = {keyword.arg: None for keyword in node.keywords if keyword.arg}
            inspect.signature(found).bind(*node.args, **keywords)


def quick_commands() -> list[str]:
    lines = [
        line.split(" # ")[0].strip() for path in DOCUMENTS for code in blocks(path, "sh") for line in code.splitlines()
    ]
    return sorted({line for line in lines if QUICK.fullmatch(line)})


def test_quick_commands_do_what_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path / "home"))
    (tmp_path / "natdeploy.yaml").write_text((CHECKOUT / "examples" / "ci" / "natdeploy.yaml").read_text())
    lines = [line for line in quick_commands() if line != "natdeploy devices host"]  # takes measurements
    assert {"natdeploy devices", "natdeploy ci plan"} < {*lines}
    for line in lines:
        if line == "natdeploy devices my-board":
            continue
        done = CliRunner().invoke(app, line.split()[1:])
        assert done.exit_code == 0 and done.stdout, f"{line}: {done.output}"


def test_the_tutorials_picture_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = blocks(CHECKOUT / "docs" / "tutorial.md", "python")
    exec(code, {})
    from PIL import Image

    assert Image.open("digit.png").size == (8, 8)


def test_pages_speak_of_the_project_alone() -> None:
    for page in PAGES:
        assert not re.search(r"/work\b|issue \d", page.read_text(encoding="utf-8")), page
