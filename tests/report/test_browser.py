"""The page as a browser draws it, where Chromium is installed."""

import shutil
import subprocess

import pytest

from natdeploy.report import write_report

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
