"""The page as a browser draws it, where Chromium is installed."""

import json
import subprocess

import pytest

from benchmarks.browser import DRAWN, chromium, open_page
from natdeploy.report import write_report
from tests.report.made_run import make_run
from tests.report.page import Page

CHROMIUM = chromium()
#: Where the middle point of the cloud lies on the screen.
AMID_THE_CLOUD = """(() => {
  const report = JSON.parse(document.getElementById("report-data").textContent);
  const { x, y } = report.figures[0].data[0], plot = document.getElementById("figure-front");
  const middle = x.length >> 1, { xaxis, yaxis } = plot._fullLayout, frame = plot.getBoundingClientRect();
  return `${frame.left + xaxis._offset + xaxis.d2p(x[middle])} ${frame.top + yaxis._offset + yaxis.d2p(y[middle])}`;
})()"""
HIDE_ALL = "Plotly.restyle('figure-front', { visible: 'legendonly' }), 1"


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: apt-get install chromium)")
def test_figures_and_blocks_are_drawn_without_an_error(made, tmp_path):
    path = write_report(made.run, out=tmp_path / "report.html", measurements=made.holdout)
    options = "--headless --no-sandbox --disable-gpu --disable-background-networking --no-first-run"
    quiet = f"--virtual-time-budget=4000 --enable-logging=stderr --user-data-dir={tmp_path / 'profile'}"
    command = [CHROMIUM, *options.split(), *quiet.split(), "--dump-dom", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in done.stderr, done.stderr
    dom = done.stdout.split('<script type="application/json"')[0]
    assert dom.count('class="main-svg"') >= 3
    best = made.front[-1]
    assert f"{best.id} (chosen)" in dom
    assert dom.count('class="block"') == sum(best.arch.d)
    assert "budget 0.500 ms" in dom


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: apt-get install chromium)")
def test_each_of_many_architectures_can_be_pointed_at(tmp_path):
    """Five thousand points are one picture; how long it takes is benchmarks/report_page.py's."""
    made = make_run(tmp_path / "run", count=60, bundles=0)
    many = tmp_path / "run" / "result" / "archive.json"
    entries = json.loads(many.read_text())
    kinds = [{**entry["arch"], "ks": [k, *entry["arch"]["ks"][1:]]} for entry in entries for k in range(3, 203, 2)]
    copies = [{**entries[index // 100], "arch": arch} for index, arch in enumerate(kinds)][:5000]
    many.write_text(json.dumps(copies))
    path = write_report(made.run, out=tmp_path / "report.html", measurements=made.holdout)
    traces = [trace for trace in Page(path).figure("front")["data"] if trace["name"].endswith("the budget")]
    assert sum(len(trace["x"]) for trace in traces) >= 4900
    with open_page(path.as_uri(), tmp_path / "profile") as tab:
        tab.wait_for(DRAWN)
        drawn = int(tab.evaluate("document.querySelector('canvas.cloud').dataset.points"))
        assert drawn == sum(len(trace["x"]) for trace in traces)
        assert tab.evaluate("document.querySelectorAll('#figure-front .point').length") < 500
        x, y = (float(value) for value in tab.evaluate(AMID_THE_CLOUD).split())
        tab.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        shown = tab.wait_for("document.querySelector('.tip:not([hidden])')?.innerText")
        assert shown.splitlines()[0] == tab.evaluate("document.querySelector('#model h3').innerText")
        assert "MACs" in shown and "stage 5" in shown
        tab.call("Input.dispatchMouseEvent", type="mouseMoved", x=5, y=5)
        assert tab.wait_for("document.querySelector('.tip').hidden")
        tab.evaluate(HIDE_ALL)
        assert tab.wait_for("document.querySelector('canvas.cloud').dataset.points === '0'")
