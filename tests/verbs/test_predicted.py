"""A search by predicted accuracies as a user meets it: the front, the report, and a build that lacks its weights."""

from __future__ import annotations

import pytest

from natdeploy import verbs
from natdeploy.verbs.search import SearchResult

SMALL = {"search.initial": 12, "search.iterations": 2, "search.surrogate_evaluations": 200}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    out = tmp_path_factory.mktemp("predicted") / "run"
    return verbs.search(25, device="note10", accuracy="predictor:ofa-imagenet", out=out, settings=SMALL)


def test_everything_is_said_to_be_predicted(found: SearchResult) -> None:
    assert "predicted, not measured" in found.accuracy and "224 px" in found.accuracy
    assert "published measurements" in found.caution
    assert {entry.accuracy_source for entry in found.front} == {"predicted"}
    json = found.to_json()
    assert all(entry["accuracy_source"] == "predicted" for entry in json["front"])


def test_the_report_says_so(found: SearchResult) -> None:
    page = verbs.report(found.run).report.read_text(encoding="utf-8")
    assert "predicted, not measured" in page and "accuracy predictor ofa-imagenet" in page
    assert "on 0 validation images" not in page and "0 images" not in page


def test_asked_again_it_is_read(found: SearchResult) -> None:
    again = verbs.search(
        25, device="note10", space="ofa-mbv3-w1.0", accuracy="predictor:ofa-imagenet", out=found.run, settings=SMALL
    )
    assert again.front == found.front
