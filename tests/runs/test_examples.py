"""Job files that come with natdeploy."""

from pathlib import Path

import pytest

from natdeploy.ground.errors import BadInput
from natdeploy.runs import load_job
from natdeploy.runs.examples import example_folder, job_path


def test_every_shipped_job_is_found_by_name() -> None:
    files = sorted(example_folder().glob("*.yaml"))
    assert "digits" in {file.stem for file in files}
    for file in files:
        assert job_path(Path(f"example:{file.stem}")) == file


def test_other_paths_stay_what_they_are() -> None:
    assert job_path(Path("jobs/mine.yaml")) == Path("jobs/mine.yaml")


def test_a_shipped_job_is_loaded_wherever_one_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_job(Path("example:digits")).latency_percentile == 40


@pytest.mark.parametrize("name", ["nope", "", "../examples/digits", "digits.yaml"])
def test_an_unknown_name_lists_the_known(name: str) -> None:
    with pytest.raises(BadInput, match=r"no such example; known: .*example:digits"):
        load_job(Path(f"example:{name}"))
