"""The demo's benchmark: what ``--quick`` asks for is a job that would be accepted."""

from benchmarks.quickstart import CHECKOUT, QUICK
from natdeploy.runs import load_job


def test_quick_is_a_valid_job() -> None:
    job = load_job(CHECKOUT / "examples" / "digits.yaml", dict(QUICK))
    assert job.profile.networks == QUICK["profile.networks"]
