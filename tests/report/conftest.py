import pytest

from tests.report.made_run import MadeRun, make_run


@pytest.fixture(autouse=True)
def _empty_home(tmp_path, monkeypatch):
    """No test sees or writes this user's own timings."""
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> MadeRun:
    return make_run(tmp_path_factory.mktemp("report") / "digits-run", bundles=2)
