"""Progress and tables."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import pytest

from natdeploy import verbs
from natdeploy.cli import options, output, tables
from natdeploy.ground.errors import BadInput
from natdeploy.verbs.doctor import Check, DoctorResult


def test_progress_without_a_terminal_is_a_line_per_stage(capsys) -> None:
    with output.progress_on_stderr() as progress:
        for done in range(10):
            progress(f"timing networks: {done}/10", done / 20)
        progress("training [red]predictor", 0.5)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 2
    assert "training [red]predictor (50%)" in captured.err


def test_each_iterations_surrogates_are_a_line(capsys) -> None:
    with output.progress_on_stderr() as progress:
        for number in (1, 2):
            progress(f"iteration {number}: evolving", 0.1 * number)
            progress(f"surrogates of iteration {number}: top1 by gp (tau 0.9{number}), top1:pets by mlp", 0.1 * number)
            progress(f"iteration {number}: evaluating candidates: 1 of 8", 0.1 * number)
    lines = capsys.readouterr().err.splitlines()
    for number in (1, 2):
        told = f"surrogates of iteration {number}: top1 by gp (tau 0.9{number}), top1:pets by mlp"
        assert sum(told in line for line in lines) == 1


def test_tables_do_not_read_markup(capsys) -> None:
    tables.grid("title", (("name", False), ("value", True)), [("[bold]x[/bold]", 3)])
    assert "[bold]x[/bold]" in capsys.readouterr().out


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_a_name_of_any_bytes_is_printed(natdeploy, flags: tuple[str, ...], monkeypatch) -> None:
    name = os.fsdecode(b"caf\xe9")
    monkeypatch.setattr(verbs, "doctor", lambda: DoctorResult(True, (Check(name, True, True, "x", "y", ""),)))
    found = natdeploy("doctor", *flags)
    assert found.exit_code == 0 and "caf\\udce9" in found.stdout
    if flags:
        assert json.loads(found.stdout)["checks"][0]["name"] == name


def test_nested_figures_become_dotted_names() -> None:
    value: Mapping[str, Any] = {"a": {"b": 0.12345678, "c": None}, "d": [1, 2], "e": [{"f": "x"}]}
    assert dict(tables.flat(value)) == {"a.b": "0.1235", "a.c": "None", "d": "1, 2", "e.0.f": "x"}


def test_assignments_are_yaml() -> None:
    found = options.assignments(["search.iterations=3", "objectives=[top1, macs]", "data=a=b"])
    assert found == {"search.iterations": 3, "objectives": ["top1", "macs"], "data": "a=b"}
    for text in ("nothing", "=3", "a=[", "a=!!python/name:os.system", "out=", "out=null", "a=2001-99-99"):
        with pytest.raises(BadInput, match="--set"):
            options.assignments([text])
