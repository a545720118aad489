"""The tutorial, followed literally in an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import CHECKOUT, NOT_RUN, blocks

TUTORIAL = CHECKOUT / "docs" / "tutorial.md"


def script() -> str:
    """All its blocks in order; Python's through the interpreter."""
    parts = []
    for code in blocks(TUTORIAL, "sh", "python"):
        is_python = code.startswith("import ")
        parts.append(f"python - <<'CODE'\n{code}CODE\n" if is_python else code)
    return "\n".join(parts)


def test_all_but_the_installation_is_followed() -> None:
    assert TUTORIAL.read_text(encoding="utf-8").count(NOT_RUN) == 1
    assert "pip install" not in script() and "natdeploy build runs/digits" in script()


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_tutorial_works(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, command in (("natdeploy", "-m natdeploy.cli.main"), ("python", "")):
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} {command} "$@"\n')
        (programs / name).chmod(0o755)
    folder = tmp_path / "work"
    folder.mkdir()
    environment = {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": str(CHECKOUT),
        "NATDEPLOY_HOME": str(tmp_path / "home"),
    }
    done = subprocess.run(["bash", "-eux", "-c", script()], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert (folder / "front.svg").is_file() and (folder / "runs" / "digits" / "report.html").is_file()
    assert "verified" in done.stdout
