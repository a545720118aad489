"""What ``natdeploy search`` prints of a finished search."""

from __future__ import annotations

from pathlib import Path

import pytest

from natdeploy.cli import search
from natdeploy.verbs.search import SearchResult
from tests.report.made_run import BUDGET_MS, make_run


def test_the_front_and_what_the_last_iteration_learned_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = make_run(tmp_path / "run", bundles=0)
    history = made.run.history()
    volumes, surrogates = tuple(step.hypervolume for step in history), tuple(step.surrogate for step in history[1:])
    result = SearchResult(made.run.path, "host", "tvm", BUDGET_MS, tuple(made.front), volumes, surrogates, {}, {})
    search.show(result)
    told = capsys.readouterr().out
    assert made.front[0].id in told and "auto: mlp" in told
    assert "0.850" in told and "0.840" not in told  # cross-validated, of the last iteration alone
    assert result.to_json()["surrogates"][-1]["of"]["top1"]["chosen"] == "mlp"
