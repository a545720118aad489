"""``report`` as a verb: one run, several, a picture, and a run that goes on."""

import shutil
from pathlib import Path

import pytest

from natdeploy import verbs
from natdeploy.ground.errors import BadInput
from tests.report.made_run import make_run
from tests.report.page import Page


@pytest.fixture(autouse=True)
def _empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path / "home"))


def test_one_run_and_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (make_run(tmp_path / name, count=40, bundles=0, seed=seed) for seed, name in enumerate("ab"))
    alone = verbs.report(first.run.path, picture=tmp_path / "a.svg")
    assert alone.report == first.run.path / "report.html"
    assert alone.picture is not None and alone.picture.is_file()
    monkeypatch.chdir(tmp_path)
    both = verbs.report(first.run.path, second.run.path)
    assert both.report == Path("comparison.html")
    assert both.runs == (first.run.path, second.run.path)
    assert {trace["name"] for trace in Page(both.report).figure("front")["data"]} == {"a", "b"}


def test_a_wrong_picture_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    made = make_run(tmp_path / "run", count=40, bundles=0)
    for verb in (verbs.report, verbs.watch_report):
        with pytest.raises(BadInput, match=r"\.svg or \.png"):
            verb(made.run.path, picture=tmp_path / "front.jpg")
    assert not made.run.report_path.exists()


def test_a_run_is_watched_until_it_is_finished(tmp_path: Path) -> None:
    done = make_run(tmp_path / "done", count=40, bundles=0)
    going = make_run(tmp_path / "going", count=40, finished=False, bundles=0)
    seen: list[str] = []

    def finish(stage: str, _: float) -> None:
        """As the search would, once the run's page is there."""
        seen.append(stage)
        page = Page(going.run.report_path)
        assert page.data["refresh_s"] > 0 and "has not finished" in page.text
        shutil.copytree(done.run.result_path, going.run.result_path)

    told = verbs.watch_report(going.run.path, look_s=0.01, progress=finish)
    assert len(seen) == 1 and "shows iteration" in seen[0]
    last = Page(told.report)
    assert "refresh_s" not in last.data
    assert "has not finished" not in last.text


def test_a_finished_run_is_reported_at_once(tmp_path: Path) -> None:
    made = make_run(tmp_path / "run", count=40, bundles=0)
    assert "refresh_s" not in Page(verbs.watch_report(made.run.path).report).data
