"""Markdown for job summaries."""

from __future__ import annotations

import re

from natdeploy.verbs.ci.markdown import CHART_POINTS, front_chart, markdown_table


def test_cells_stay_cells() -> None:
    text = markdown_table([("a|b", False), ("n", True)], [["x\ny", "1|2"]])
    assert text == "| a\\|b | n |\n| --- | ---: |\n| x y | 1\\|2 |\n"


def test_a_front_is_a_staircase() -> None:
    text = front_chart("digits-host", [(0.5, 0.90), (0.75, 0.95), (1.0, 0.99)])
    assert text.startswith("```mermaid\nxychart-beta\n") and text.endswith("```\n")
    (line,) = re.findall(r"line \[(.*)\]", text)
    values = [float(value) for value in line.split(", ")]
    assert len(values) == CHART_POINTS and values == sorted(values)
    assert (values[0], values[-1], set(values)) == (90, 99, {90, 95, 99})
    assert "0.5 --> 1" in text


def test_one_model_is_no_chart() -> None:
    assert front_chart("digits-host", [(0.5, 0.9)]) == front_chart("digits-host", []) == ""
