import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
SHARED = CHECKOUT.parent / "shared" / "data" / "latency"


@pytest.fixture(autouse=True)
def checkout_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(CHECKOUT), *sys.path])


def test_an_unknown_table_is_named() -> None:
    from benchmarks.latency_tables import tables_figures

    with pytest.raises(SystemExit, match="no table 'note11'; there are ofa_note10, msunas_i7_8700k"):
        tables_figures(["note11"], 1)


@pytest.mark.slow
def test_image_sizes_and_released_networks_of_the_note10() -> None:
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not there: published measurements are needed")
    from benchmarks.latency_tables import tables_figures

    figures = tables_figures(["ofa_note10"], 2)
    assert figures["mape"] == figures["ofa_note10_mape"] <= 0.025
    assert figures["ofa_note10_networks_mape"] <= 0.015
    assert (figures["nets_within5"], figures["nets_within5_not_in_table"]) == (1.0, 1.0)
