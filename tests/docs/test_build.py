"""The documentation builds without a warning, which a broken link is, and its reference is that of the code."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import CHECKOUT, PAGES

pytest.importorskip("mkdocs", reason="MkDocs is not installed; pip install natdeploy[docs]")
pytest.importorskip("material", reason="MkDocs Material is not installed; pip install natdeploy[docs]")


def mkdocs(*arguments: object, cwd: Path = CHECKOUT) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(CHECKOUT)}
    command = [sys.executable, "-m", "mkdocs", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=300, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = mkdocs("build", "--strict", "--site-dir", folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_is_there_and_leads_somewhere(site: Path) -> None:
    for page in PAGES:
        assert (site / page.relative_to(CHECKOUT / "docs").with_suffix(".html")).is_file(), page
    for page in site.rglob("*.html"):
        links = re.findall(r'(?:href|src)="(?!https?:|mailto:|data:|#)([^"#]+)', page.read_text(encoding="utf-8"))
        base = site if page.name == "404.html" else page.parent
        for link in links:
            assert (base / link.lstrip("/")).exists() or link in (".", "/"), (page, link)


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    """Neither fonts nor scripts: readers are nobody else's business."""
    for page in site.rglob("*.html"):
        loaded = re.findall(
            r"<(?:script|link|img)[^>]+(?:href|src)=\"(https?:[^\"]+)", page.read_text(encoding="utf-8")
        )
        assert not loaded, (page, loaded)


def test_the_reference_has_every_command_and_every_verb(site: Path) -> None:
    from natdeploy import verbs
    from natdeploy.cli.main import app

    page = (site / "reference" / "cli.html").read_text(encoding="utf-8")
    for command in app.registered_commands:
        assert command.callback and f"natdeploy {command.callback.__name__.replace('_', '-')}" in page
    assert "natdeploy ci build" in page and "natdeploy devices add" in page
    page = (site / "reference" / "python" / "verbs.html").read_text(encoding="utf-8")
    for name in {*verbs.__all__} - {"ci"}:
        assert f'id="natdeploy.verbs.{name}"' in page or f'id="natdeploy.verbs.{name}.{name}"' in page, name


def test_the_manifests_schema_is_the_codes(site: Path) -> None:
    from natdeploy.deploy.manifest import Manifest

    schema = json.loads((site / "reference" / "manifest.schema.json").read_text(encoding="utf-8"))
    assert {"$schema", *Manifest.model_json_schema()} == {*schema}
    page = (site / "reference" / "manifest.html").read_text(encoding="utf-8")
    assert all(f"<code>{field}</code>" in page for field in Manifest.model_fields)


def test_a_broken_link_fails_the_build(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("[nowhere](nowhere.md)")
    settings = (CHECKOUT / "mkdocs.yml").read_text(encoding="utf-8")
    checks = settings[settings.index("validation:") : settings.index("theme:")]
    (tmp_path / "mkdocs.yml").write_text(f"site_name: x\nstrict: true\n{checks}")
    done = mkdocs("build", cwd=tmp_path)
    assert done.returncode != 0 and "nowhere.md" in done.stderr
