"""Several runs side by side."""

import shutil

import pytest

from natdeploy.ground.errors import BadInput
from natdeploy.report import write_comparison
from natdeploy.runs import RunFolder
from tests.report.made_run import make_run
from tests.report.page import Page


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("compare") / "other-run", count=60, bundles=0, seed=3)


@pytest.fixture(scope="module")
def page(made, other, tmp_path_factory):
    return Page(write_comparison([made.run, other.run], tmp_path_factory.mktemp("page") / "two.html"))


def test_every_front_is_drawn_with_its_intervals(page, made, other):
    for name, run in (("digits-run", made), ("other-run", other)):
        trace = page.trace("front", name)
        assert trace["x"] == pytest.approx([entry.latency_ms for entry in run.front], abs=1e-6)
        ends = [x + up for x, up in zip(trace["x"], trace["error_x"]["array"])]
        assert ends == pytest.approx([entry.latency_upper_ms for entry in run.front], abs=2e-6)
    assert page.trace("front", "digits-run")["line"] != page.trace("front", "other-run")["line"]
    assert len(page.trace("front", "digits-run, measured")["x"]) == 2


def test_every_point_can_be_drawn_as_blocks(page):
    for trace in page.figure("front")["data"]:
        for key in trace["customdata"]:
            assert key in page.data["models"]
    assert page.data["shown"] in page.data["models"]
    assert set(page.data["chosen"]) <= set(page.data["models"])
    assert len(page.data["chosen"]) == 2


def test_the_page_stands_alone(page):
    assert page.unclosed == []
    for tag, attributes in page.tags:
        assert tag not in ("link", "iframe", "object", "embed", "base", "img"), tag
        assert not {"src", "href"} & set(attributes)
    assert "refresh_s" not in page.data


def test_the_tables_name_run_and_device(page, made):
    rows = [row for row in page.rows if row and row[0] == "digits-run"]
    assert any(made.front[-1].id in row and "host" in row for row in rows)
    assert any("finished" in row for row in rows)


def test_runs_of_different_images_are_said_to_be(made, tmp_path):
    foreign = make_run(tmp_path / "foreign", count=40, bundles=0, data="/pictures")
    page = Page(write_comparison([made.run, foreign.run], tmp_path / "c.html"))
    assert "accuracies cannot be compared" in page.text
    twin = RunFolder(shutil.copytree(made.run.path, tmp_path / "deep" / "digits-run"))
    page = Page(write_comparison([made.run, twin], tmp_path / "d.html"))
    assert "accuracies cannot be compared" not in page.text
    assert {"deep/digits-run"} <= {trace["name"] for trace in page.figure("front")["data"]}


def test_one_run_or_one_twice_is_refused(made, tmp_path):
    with pytest.raises(BadInput, match="at least two"):
        write_comparison([made.run], tmp_path / "c.html")
    with pytest.raises(BadInput, match="given twice"):
        write_comparison([made.run, made.run], tmp_path / "c.html")
    assert not (tmp_path / "c.html").exists()
