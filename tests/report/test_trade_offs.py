"""Figures and tables of searches with several objectives and devices."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.browser import DRAWN, chromium, open_page
from natdeploy.report import write_report
from tests.report.made_run import make_run
from tests.report.page import Page

NAMES = ("top1", "latency_ms", "macs", "params")
SHARING = {
    "shared": {"id": "aaa", "top1": 0.8, "latencies_ms": {"latency_ms": 0.4, "latency_ms:rpi4:tvm": 3.0}},
    "devices": {
        "latency_ms": {"device": "host", "runtime": "tvm", "budget_ms": 0.5, "id": "bbb", "top1": 0.85, "lost": 0.05},
        "latency_ms:rpi4:tvm": {
            **{"device": "rpi4", "runtime": "tvm", "budget_ms": 4.0, "id": None, "top1": None, "lost": None}
        },
    },
}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, object]:
    made = make_run(tmp_path_factory.mktemp("trades") / "run", objectives=NAMES)
    summary = made.run.result_path / "summary.json"
    summary.write_text(json.dumps({**json.loads(summary.read_text()), "sharing": SHARING}))
    return write_report(made.run, measurements=made.holdout), made


def test_parallel_lines_go_from_the_best_value_up_to_the_worst_down(page) -> None:
    path, made = page
    found = Page(path)
    lines = [found.trace("parallel", name) for name in ("front", "chosen")]
    heights = {}
    for line in lines:
        assert line["x"][:5] == [0, 1, 2, 3, None] and line["customdata"][4] is None
        for arch, place, height in zip(line["customdata"], line["x"], line["y"]):
            if arch is not None:
                heights[arch, NAMES[place]] = height
    assert {arch for arch, _ in heights} == {entry.id for entry in made.front}
    for name in NAMES:
        ranked = sorted(made.front, key=lambda entry: entry.value(name), reverse=name == "top1")
        assert heights[ranked[0].id, name] == 1 and heights[ranked[-1].id, name] == 0
    assert {arch for arch in lines[1]["customdata"] if arch} == {made.front[-1].id}  # the bundle that make_run made


def test_every_pair_of_objectives_is_drawn_once(page) -> None:
    path, made = page
    figure = Page(path).figure("pairs")
    pairs = {(trace["xaxis"], trace["yaxis"]) for trace in figure["data"]}
    assert len(pairs) == 6  # of four objectives
    first = next(trace for trace in figure["data"] if trace["xaxis"] == "x" and trace["name"] == "front")
    assert first["x"] == [pytest.approx(100 * entry.top1, rel=1e-5) for entry in made.front]
    assert first["y"] == [pytest.approx(entry.latency_ms, rel=1e-5) for entry in made.front]
    domains = [figure["layout"][f"xaxis{pair[0][1:]}"]["domain"] for pair in pairs]
    assert all(0 <= low < high <= 1 for low, high in domains)


def test_what_sharing_costs_is_a_table(page) -> None:
    rows = Page(page[0]).rows
    assert ["host with tvm", "0.500", "bbb", "85.0 %", "aaa", "80.0 %", "0.400", "5.0 points"] in rows
    assert ["rpi4 with tvm", "4.00", "none", "-", "aaa", "80.0 %", "3.00", "-"] in rows


def test_two_objectives_need_no_further_figures(made) -> None:
    found = {figure["id"] for figure in Page(write_report(made.run, measurements=made.holdout)).data["figures"]}
    assert "front" in found and not {"parallel", "pairs"} & found


@pytest.mark.skipif(chromium() is None, reason="Chromium is not installed (Debian: apt-get install chromium)")
def test_a_browser_draws_every_line_and_pair(page, tmp_path: Path) -> None:
    path, made = page
    with open_page(path.as_uri(), tmp_path / "profile") as tab:
        tab.wait_for(DRAWN)
        shown = "[...document.querySelectorAll('#figure-{} .{}')].length"
        assert int(tab.evaluate(shown.format("pairs", "subplot.cartesian, #figure-pairs .subplot"))) == 6
        assert int(tab.evaluate(shown.format("parallel", "point"))) == 4 * len(made.front)
