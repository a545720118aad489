"""The benchmarks of surrogates and of search efficiency, on made-up accuracies; the oracle on the measured ones."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from benchmarks import ofa_accuracies, search_efficiency, surrogates
from benchmarks.ofa_accuracies import Oracle, read_table, space_at_224
from benchmarks.search_efficiency_ways import SEARCHES, Outcome, Sizes, Task, one_search
from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import read_json
from natdeploy.spaces import Arch, costs
from natdeploy.spaces.published import subnet_form

SPACE = space_at_224()
SMALL = Sizes(initial=8, candidates=5, nsga2_population=10, linas_population=6, linas_judged=40)
COLUMNS = ("depths", "kernels", "expands", "image_size", "macs", "top1")


def made_up(archs: Sequence[Arch]) -> np.ndarray:
    """Top-1 in per cent that grows with size, with less and less gain."""
    sizes = np.array([sum(arch.e) + 0.3 * sum(arch.ks) for arch in archs])
    return 78 - 12 * np.exp(-sizes / 60)


class MadeUp:
    slope, intercept, rank_correlation = 1.0, 0.0, 1.0

    def __call__(self, archs: Sequence[Arch]) -> np.ndarray:
        return made_up(archs)


def row(arch: Arch, **changes: object) -> dict[str, object]:
    form = subnet_form(arch, every_place=True)
    lists = {"depths": form["d"], "kernels": form["ks"], "expands": form["e"]}
    written = {name: "-".join(map(str, values)) for name, values in lists.items()}
    numbers = {"image_size": arch.r, "macs": costs(SPACE.layers(arch)).macs, "top1": made_up([arch])[0]}
    return written | numbers | changes


def write(path: Path, rows: list[dict[str, object]], columns: Sequence[str] = COLUMNS) -> Path:
    with gzip.open(path, "wt") if path.suffix == ".gz" else path.open("w") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def sample(count: int) -> list[Arch]:
    rng = np.random.default_rng(0)
    return [SPACE.sample(rng) for _ in range(count)]


@pytest.mark.parametrize("name", ["table.csv", "table.csv.gz"])
def test_equal_phenotypes_are_one_row(tmp_path: Path, name: str) -> None:
    small, other = SPACE.smallest(), sample(1)[0]
    inactive = row(small)["kernels"].split("-")
    inactive[3] = "7"  # beyond the first stage's depth of two
    rows = [row(small, top1=70), row(small, kernels="-".join(inactive), top1=71), row(other, top1=75)]
    found = read_table(write(tmp_path / name, rows))
    assert found.archs == (small, other)
    assert found.top1.tolist() == [70.5, 75] and found.macs[0] == costs(SPACE.layers(small)).macs


@pytest.mark.parametrize(
    ("changes", "columns", "message"),
    [
        ({"kernels": "3-3"}, COLUMNS, r"line 2: architecture: field 'ks'"),
        ({"depths": "2-2-2-2-9"}, COLUMNS, "line 2: .*"),
        ({"top1": "good"}, COLUMNS, "line 2: could not convert"),
        ({"image_size": 100}, COLUMNS, "line 2: space ofa-mbv3-w1.0: field 'r' is 100"),
        ({}, COLUMNS[:-1], "column 'top1' is missing"),
    ],
)
def test_bad_tables_name_file_and_line(tmp_path: Path, changes: dict, columns: Sequence[str], message: str) -> None:
    path = write(tmp_path / "table.csv", [row(SPACE.largest(), **changes)], columns)
    with pytest.raises(BadInput, match=rf"^{path}.*{message}"):
        read_table(path)
    with pytest.raises(BadInput, match="no rows"):
        read_table(write(tmp_path / "empty.csv", []))
    with pytest.raises(BadInput, match="cannot be read"):
        read_table(tmp_path / "missing.csv")


@pytest.mark.skipif(not ofa_accuracies.PREDICTOR.exists(), reason="needs the data packs beside the checkout")
def test_oracle_agrees_with_what_was_measured() -> None:
    oracle, measured = Oracle(), read_table()
    found = oracle(measured.archs)
    assert oracle.rank_correlation > 0.98 and np.std(found - measured.top1) < 0.3
    assert found.mean() == pytest.approx(measured.top1.mean(), abs=1e-6)
    np.testing.assert_allclose(oracle(measured.archs[7:9]), found[7:9])
    low, high = oracle([SPACE.smallest(), SPACE.largest()])
    assert 70 < low < 73 and 77 < high < 78.5
    np.testing.assert_allclose(  # the table's own MACs are ours
        measured.macs[:20], [costs(SPACE.layers(arch)).macs for arch in measured.archs[:20]]
    )


def test_surrogates_prints_what_it_promises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surrogates, "SIZES", (24,))
    monkeypatch.setattr(surrogates, "SPLITS", 1)
    table = write(tmp_path / "table.csv", [row(arch) for arch in sample(60)])
    found = surrogates.measure(table, seed=0, quick=False)["figures"]
    assert {"tau_24", "macs_tau_24", "gp_tau_24", "rbf_ensemble_rho_24", "mlp_rmse_24"} <= set(found)
    assert found["tau_24"] > 0.6 and "macs_rmse_24" not in found
    with pytest.raises(BadInput, match="distinct subnets, at least 34"):
        surrogates.measure(write(tmp_path / "few.csv", [row(arch) for arch in sample(20)]), seed=0, quick=False)


@pytest.mark.parametrize("name", ["ours", "linas", "linas_in_small_rounds", "nsga2", "random"])
def test_searches_know_only_what_they_evaluated(name: str) -> None:
    asked: list[Arch] = []

    def oracle(archs: Sequence[Arch]) -> np.ndarray:
        asked.extend(archs)
        return made_up(archs)

    tasks = [Task(oracle), Task(oracle)]
    for task in tasks:
        SEARCHES[name](task, 20, 5, SMALL)
    first, again = (list(task.evaluated) for task in tasks)
    assert first == again and len(first) >= 20
    assert len(asked) == len(first) + len(again)  # nothing was asked for twice
    points = [[1 - made_up([arch])[0] / 100, costs(SPACE.layers(arch)).macs / 1e6] for arch in first]
    np.testing.assert_allclose(tasks[0].found(), points)


def test_the_hypervolume_is_of_the_first_evaluations() -> None:
    points = [[0.2, 300.0], [0.27, 150.0], [0.15, 200.0]]
    outcome = Outcome(points, 1.0)
    assert search_efficiency.hypervolume(outcome, 2) == pytest.approx((0.1 * 300 + 0.03 * 150) / (0.3 * 600))
    assert search_efficiency.hypervolume(outcome, 3) > search_efficiency.hypervolume(outcome, 2)
    with pytest.raises(RuntimeError, match="stopped after 3 of 4"):
        search_efficiency.hypervolume(outcome, 4)


def test_search_efficiency_prints_what_it_promises_and_takes_what_it_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The first seed in a process as always, the second one here."""
    asked: list[tuple[str, int]] = []

    def here(parts, jobs):
        asked.extend(parts)
        yield from ((place, part()) for place, part in parts.items())

    monkeypatch.setattr(ofa_accuracies, "Oracle", MadeUp)
    how = {"quick": False, "keep": tmp_path / "kept", "jobs": 1, "budgets": (10, 12), "sizes": SMALL}
    alone = search_efficiency.measure([0], **how)["figures"]
    promised = {f"hv_{prefix}{budget}" for prefix in search_efficiency.PREFIXES.values() for budget in (10, 12)}
    assert promised | {"seeds"} == set(alone)
    monkeypatch.setattr("benchmarks.workers.side_by_side", here)
    result = search_efficiency.measure([0, 1], **how)
    assert asked == [(name, 1) for name in SEARCHES]
    assert promised | {f"{name}_std" for name in promised} | {"seeds"} == set(result["figures"])
    assert result["figures"]["hv_10"] != alone["hv_10"] and "oracle" in result["environment"]["accuracy"]
    kept = read_json(tmp_path / "kept" / "nsga2-0.json", "outcome of a process")
    assert kept["costs"] == one_search(MadeUp(), "nsga2", 0, 12, SMALL).costs
    with pytest.raises(BadInput, match="other settings"):
        search_efficiency.measure([0], **{**how, "budgets": (10, 14)})
