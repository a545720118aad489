"""The page as a browser draws it, where Chromium is installed."""

import json
import re
import shutil
import subprocess

import pytest

from natdeploy.report import write_report
from tests.report.made_run import make_run

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


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
def test_many_architectures_are_drawn(tmp_path):
    """Five thousand points, each of which can be pointed at; how long it takes is benchmarks/report_page.py's."""
    made = make_run(tmp_path / "run", count=60, bundles=0)
    many = tmp_path / "run" / "result" / "archive.json"
    entries = json.loads(many.read_text())
    kinds = [{**entry["arch"], "ks": [k, *entry["arch"]["ks"][1:]]} for entry in entries for k in range(3, 203, 2)]
    copies = [{**entries[index // 100], "arch": arch} for index, arch in enumerate(kinds)][:5000]
    many.write_text(json.dumps(copies))
    path = write_report(made.run, out=tmp_path / "report.html", measurements=made.holdout)
    options = "--headless --no-sandbox --disable-gpu --disable-background-networking --no-first-run --dump-dom"
    command = [
        CHROMIUM,
        *options.split(),
        "--virtual-time-budget=9000",
        f"--user-data-dir={tmp_path / 'profile'}",
        path.as_uri(),
    ]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout
    assert re.search(r'data-drawn-ms="\d+"', dom)
    assert dom.count('class="point') >= 5000
