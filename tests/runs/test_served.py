from pathlib import Path

import numpy as np
import pytest

from natdeploy.ground.errors import BudgetNotMet
from natdeploy.runs import ArchiveEntry, RunConfig, RunFolder, ServedRun
from natdeploy.runs.folder import write_items
from natdeploy.spaces import get_space

SPACE = get_space("mbv3-micro")
OTHER = "latency_ms:pixel4:tvm"


def entry(arch, ms: float, there_ms: float, macs: int) -> ArchiveEntry:
    more = {OTHER: there_ms, "latency_lower_ms:pixel4:tvm": there_ms, "latency_upper_ms:pixel4:tvm": there_ms}
    return ArchiveEntry(arch, 0.9, 0.5, 100, ms, ms, ms, macs, 1, 1, 0, True, more=more)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    config = RunConfig(latency_ms=5, further_devices={"pixel4": 9}, limits="macs<=100")
    run = RunFolder.create(tmp_path / "run", config, lambda path: path.write_text("{}"))
    entries = [entry(SPACE.smallest(), 4, 10, 50), entry(SPACE.largest(), 6, 8, 80)]
    run.state_path.mkdir()
    write_items(run.state_path / "archive.json", [*entries, entry(SPACE.sample(np.random.default_rng(0)), 1, 1, 200)])
    write_items(run.state_path / "front.json", entries)
    return run


def test_each_device_sees_its_own_latencies_budget_and_model(run: RunFolder) -> None:
    first, second = ServedRun(run, "host"), ServedRun(run, "pixel4")
    assert (first.config().latency_ms, second.config().latency_ms) == (5, 9)
    assert (first.config().device, second.config().device) == ("host", "pixel4")
    assert first.latency_model_path == run.latency_model_path
    assert second.latency_model_path.name == "pixel4-tvm.json"
    assert [one.latency_ms for one in first.front()] == [4] and [one.latency_ms for one in second.front()] == [8]


def test_what_breaks_a_limit_is_not_there(run: RunFolder) -> None:
    assert all(one.macs <= 100 for one in ServedRun(run).archive()) and len(run.archive()) == 3
    write_items(run.state_path / "archive.json", [entry(SPACE.smallest(), 4, 10, 500)])
    with pytest.raises(BudgetNotMet, match="keeps macs<=100"):
        ServedRun(run).archive()
