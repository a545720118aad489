"""Several devices, limits and further objectives as a user meets them, on devices that are not here."""

from __future__ import annotations

import pytest

from natdeploy import verbs
from natdeploy.ground.errors import BadInput, BudgetNotMet
from natdeploy.report import front_table
from natdeploy.report.sharing import sharing_table
from natdeploy.runs import RunFolder, ServedRun
from natdeploy.verbs.places import device_fields
from natdeploy.verbs.search import SearchResult

PREDICTED = {"space": "ofa-mbv3-w1.0", "accuracy": "predictor:ofa-imagenet"}
SMALL = {"search.initial": 16, "search.iterations": 1, "search.surrogate_evaluations": 200}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    return verbs.search(
        25,
        device=["note10", "rpi4=260"],
        objectives=["top1", "latency_ms", "latency_ms:rpi4", "energy_mj:rpi4"],
        limits=["params<=6e6"],
        out=tmp_path_factory.mktemp("many") / "run",
        settings=SMALL,
        **PREDICTED,
    )


def test_the_result_says_what_sharing_costs_and_where_each_figure_comes_from(found: SearchResult) -> None:
    assert set(found.sharing["devices"]) == {"latency_ms", "latency_ms:rpi4:tvm"}
    assert found.sharing["devices"]["latency_ms:rpi4:tvm"]["budget_ms"] == 260
    assert "latencies of note10" in found.caution and "rpi4" in found.caution
    assert "not measured" in found.energy["rpi4:tvm"]["model"] and "load_w" in found.energy["rpi4:tvm"]["about"]
    assert found.front and all(entry.params <= 6e6 for entry in found.front)
    assert found.to_json()["sharing"]["shared"]["id"] == found.sharing["shared"]["id"]
    assert found.to_json()["surrogates"] == [{"name": "predictor:ofa-imagenet", "of": {}}]  # nothing had to be learned


def test_tables_have_the_further_figures(found: SearchResult) -> None:
    names = [column.name for column in front_table(RunFolder(found.run)).columns]
    assert {"predicted ms, rpi4 tvm", "modelled mJ, rpi4 tvm"} <= set(names)
    rows = sharing_table(found.sharing).rows
    assert [row[0] for row in rows] == ["note10 with tvm", "rpi4 with tvm"]


def test_each_device_may_be_built_for(found: SearchResult) -> None:
    served = ServedRun(RunFolder(found.run), "rpi4")
    best = {entry.id: entry for entry in served.archive()}[found.sharing["devices"]["latency_ms:rpi4:tvm"]["id"]]
    assert served.config().latency_ms == 260 >= best.latency_upper_ms


def test_asked_again_it_is_the_same_run_and_another_budget_is_not(found: SearchResult) -> None:
    fields = {
        "objectives": ["top1", "latency_ms", "latency_ms:rpi4", "energy_mj:rpi4"],
        "out": found.run,
        "settings": SMALL,
        **PREDICTED,
    }
    again = verbs.search(25, device=["note10", "rpi4=260"], limits=["params<=6e6"], **fields)
    assert again.front == found.front
    for device, limits, field in (
        (["note10", "rpi4=250"], ["params<=6e6"], "further_devices.rpi4"),
        (["note10", "rpi4=260"], ["params<=7e6"], "limits"),
    ):
        with pytest.raises(BadInput, match=f"'{field}'"):
            verbs.search(25, device=device, limits=limits, **fields)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"device": ["note10", "nope"]}, "unknown device 'nope'"),
        ({"device": ["note10", "rpi4=fast"]}, "further_devices.rpi4"),
        ({"device": ["note10", "rpi4", "rpi4"]}, "named twice"),
        ({"device": ["note10", "rpi4:onnxruntime=30"]}, "expected a device alone; a runtime's latency is an objective"),
        ({"device": ["note10=3", "rpi4"]}, "the first device's budget is --latency-ms"),
        ({"device": "note10", "objectives": ["energy_mj:pixel4"]}, "no energy without the field 'power'"),
        ({"device": "note10", "objectives": ["latency_ms:rpi4:nope"]}, "no runtime 'nope'"),
        ({"device": "note10", "limits": ["beauty>=1"]}, "no limit on 'beauty'"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_done(tmp_path, fields: dict, words: str) -> None:
    with pytest.raises(BadInput) as caught:
        verbs.search(25, out=tmp_path / "run", settings=SMALL, **PREDICTED, **fields)
    assert words in str(caught.value) and not (tmp_path / "run").exists()


def test_limits_that_nothing_keeps(tmp_path) -> None:
    with pytest.raises(BudgetNotMet, match="macs<=1000000 was asked for"):
        verbs.search(25, device="note10", limits=["macs<=1e6"], out=tmp_path / "run", settings=SMALL, **PREDICTED)
    assert not (tmp_path / "run").exists()


def test_devices_on_the_command_line() -> None:
    assert device_fields(["host"]) == {"device": "host"}
    assert device_fields(["host", "pixel4=12", "rpi4"]) == {
        "device": "host",
        "further_devices": {"pixel4": "12", "rpi4": None},
    }
