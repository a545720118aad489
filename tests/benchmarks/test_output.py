"""The command line that benchmarks share."""

from __future__ import annotations

import pytest

from benchmarks.output import jobs_option, parser_of
from natdeploy.ground.processes import allowed_processors


def test_as_many_jobs_as_processors_where_none_are_asked_for() -> None:
    parser = parser_of("A benchmark.", quick="hardly any")
    jobs_option(parser, "parts")
    assert parser.parse_args([]).jobs == len(allowed_processors())
    assert parser.parse_args(["--jobs", "3"]).jobs == 3


@pytest.mark.parametrize(("asked", "said"), [("0", "at least 1, not '0'"), ("-2", "not '-2'"), ("two", "not 'two'")])
def test_no_jobs_at_all_are_a_usage_error(asked: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = parser_of("A benchmark.", quick="hardly any")
    jobs_option(parser, "parts")
    with pytest.raises(SystemExit) as stopped:
        parser.parse_args([f"--jobs={asked}"])
    assert stopped.value.code == 2 and said in capsys.readouterr().err.splitlines()[-1]
