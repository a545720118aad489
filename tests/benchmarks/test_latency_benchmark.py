"""The latency benchmark's tables and protocols, on made-up devices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.latency_figures import COVERAGES, FEW, MANY, Tally, few_shot_figures, hard_figures, scaling_figures
from benchmarks.latency_protocols import Asked, few_shot, run_scaling
from benchmarks.published_latencies import read_table
from natdeploy.spaces import get_space
from tests.latency.devices import SPACE, cells, latency_ms

CELLS = cells()[:100]
CELL = "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|"


def rows(device: int, **columns: object) -> pd.DataFrame:
    """A published table's rows of one made-up device."""
    return pd.DataFrame(
        {
            "arch_id": range(len(CELLS)),
            "arch_str": [CELL.format(*arch.ops) for arch in CELLS],
            "device": f"device{device}",
            "latency_ms": [latency_ms(arch, device) for arch in CELLS],
            **columns,
        }
    )


def write(path: Path, *frames: pd.DataFrame) -> Path:
    pd.concat(frames).sample(frac=1, random_state=0).to_csv(path, index=False)
    return path


def test_tables_are_read_together(tmp_path: Path) -> None:
    valid = (np.arange(len(CELLS)) != 3).astype(int)
    files = [
        write(tmp_path / "a.csv.gz", rows(0, batch=1), rows(0, batch=32, valid=valid)),
        write(tmp_path / "b.csv.gz", rows(1, batch=1)),
    ]
    table = read_table(files, SPACE.name, "arch_str")
    assert list(table.latency_ms) == ["device0_1", "device0_32", "device1_1"]
    assert table.archs == list(CELLS) and list(table.ids) == list(range(len(CELLS)))
    assert list(table.of("device0_32", np.ones(len(CELLS), bool))) == [*CELLS[:3], *CELLS[4:]]
    first = table.ids < 10
    assert table.of("device1_1", first) == {arch: pytest.approx(latency_ms(arch, 1)) for arch in CELLS[:10]}
    with pytest.raises(SystemExit, match="no device 'phone' in the table; it has device0_1, device0_32, device1_1"):
        table.of("phone", first)


def test_rows_that_are_not_valid_are_left_out(tmp_path: Path) -> None:
    valid = (np.arange(len(CELLS)) != 3).astype(int)
    table = read_table([write(tmp_path / "a.csv", rows(0, valid=valid))], SPACE.name, "arch_str")
    assert len(table.archs) == len(CELLS) - 1 and CELLS[3] not in table.archs


def test_few_measurements_of_a_new_device(tmp_path: Path) -> None:
    table = read_table([write(tmp_path / "a.csv", *(rows(device) for device in range(4)))], SPACE.name, "arch_str")
    sources = ["device0", "device1", "device2"]
    tally = few_shot(table, get_space(SPACE.name).name, 60, ["device3"], sources, [0])
    figures = few_shot_figures(tally)
    assert figures == {name: figures[name] for name in hard_figures(tally) if not name.startswith("gain")}
    assert all(np.isfinite(value) for value in figures.values())
    for count in FEW:
        assert figures[f"device3_spearman_{count}"] == figures[f"spearman_{count}"] > 0.8
        assert 0 < figures[f"coverage_80_{count}"] <= figures[f"coverage_95_{count}"] <= 1
        assert figures[f"width_80_{count}"] < figures[f"width_95_{count}"]


def test_scaling_has_no_sources_of_the_targets_family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("adreno640_gpu", "adreno630_gpu", "cortexA76", "myriad")
    file = write(tmp_path / "a.csv", *(rows(number).assign(device=name) for number, name in enumerate(names)))
    asked: list[list[str]] = []
    monkeypatch.setattr(
        "benchmarks.latency_protocols.scaling", lambda table, targets, sources, *_: asked.append(list(sources))
    )
    run_scaling(Asked([file]), range(1))
    run_scaling(Asked([file], targets=["myriad"]), range(1))
    run_scaling(Asked([file], sources=["adreno630_gpu"]), range(1))
    assert asked == [["cortexA76", "myriad"], ["adreno630_gpu", "adreno640_gpu", "cortexA76"], ["adreno630_gpu"]]


@pytest.mark.parametrize(
    ("ahead", "beats", "leads"), [((0.0, 0.02), 1.0, 1.0), ((-0.02, 0.015), 1.0, 0.0), ((-0.02, -0.01), 0.0, 0.0)]
)
def test_a_part_is_ahead_where_chance_does_not_explain_it(ahead: tuple[float, ...], beats: float, leads: float) -> None:
    tally = Tally()
    for count in MANY:
        for lead in ahead:
            for who in ("all", "sources", "own", "xgboost"):
                within = 0.9 + lead if who == "all" else 0.9 if who == "own" else 0.5
                spans = {f"{what}_{100 * at:.0f}": 0.1 for at in COVERAGES for what in ("coverage", "width")}
                tally.add("phone", count, who, {"within10": within, "spearman": 0.9, **spans})
    figures = scaling_figures(tally)
    assert (figures["beats_parts"], figures["ahead_of_parts"]) == (beats, leads)
    assert figures["lead_10"] == pytest.approx(np.mean(ahead))
    assert figures["lead_error_10"] == pytest.approx(abs(ahead[1] - ahead[0]) / 2)
