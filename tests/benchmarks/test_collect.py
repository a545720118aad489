"""Figures in documents come from benchmarks, and the documents' templates fit what the benchmarks print."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.collect import MARK, fill, load

CHECKOUT = Path(__file__).parents[2]
RESULT = {"benchmark": "quick-start", "figures": {"top1": 0.98125}, "environment": {"cores": 2, "quick": False}}
DOCUMENT = "a\n<!-- figures quick-start: {top1:.1%} on {environment[cores]} cores -->\n{text}<!-- end figures -->\nb\n"
#: Keys that every full run of a benchmark prints.
PROMISED = {
    "ofa_equivalence": ["max_abs_diff", "subnets", "logits_std", "params_equal", "macs_equal"],
    "calibration": ["least_points", "most_points", "random_points", "random", "subnets"],
    "quickstart": [
        "seconds_total",
        "seconds_profile",
        "seconds_search",
        "seconds_build",
        "test_top1",
        "test_images",
        "budget_ms",
        "measured_ms",
        "coverage_90",
        "interval_width_90",
        "coverage_networks",
        "front_size",
        "hypervolume_first",
        "hypervolume_last",
        "hypervolume_random",
        "predictor_within10",
        "predictor_spearman",
        "repeatability_within10",
    ],
    "static_rank": ["networks", "mca_spearman", "roofline_spearman", "macs_spearman"],
    "timing_protocol": [
        *(f"{what}{loaded}" for what in ("repeatability_corrected", "repeatability_raw") for loaded in ("", "_loaded")),
        *("rank_correlation", "rank_correlation_loaded", "networks"),
    ],
    "ci_roundtrip": ["seconds_first", "seconds_unchanged", "gates_remeasured_green", "bundles"],
    "training_steps": ["ratio", "ratio_processor", "steps", "threads"],
    "surrogates": [
        *(
            f"{row}{figure}"
            for row in ("", "macs_", "gp_", "mlp_", "rbf_ensemble_", "xgboost_", "ridge_", "cart_")
            for figure in ("rho_100", "tau_100", "rho_300", "tau_300")
        ),
        *(
            f"{row}{figure}"
            for row in ("", "gp_", "mlp_", "rbf_ensemble_", "xgboost_", "ridge_", "cart_")
            for figure in ("rmse_100", "rmse_300")
        ),
        *("subnets", "splits"),
    ],
    "compiled": [
        *("geomean_vs_ort", "geomean_vs_best", "worst_vs_ort", "geomean_vs_litert", "fma_peak_share"),
        *("ort_fma_peak_share", "max_rel_error", "quiet", "reference_drift", "threads", "subnets"),
    ],
    "search_efficiency": [
        *(
            f"hv_{search}{budget}{spread}"
            for search in ("", "large_rounds_", "linas_", "linas_small_rounds_", "nsga2_", "random_")
            for budget in (100, 250)
            for spread in ("", "_std")
        ),
        "seeds",
    ],
    **{
        f"latency-few-shot-{space}": [
            f"{who}spearman_{count}" for who in ("", "random_", "sources_chosen_", "own_chosen_") for count in (10, 20)
        ]
        for space in ("fbnet", "nasbench201", "hard")
    },
    "latency-scaling": [f"within10_{count}" for count in (10, 100, 300, 900)],
    "latency-kernels": ["within10", "ceiling_within10", "kernel_mape"],
    "latency-cpu-networks": ["mape", "elsewhere_mape", "flops_mape"],
    "latency-ofa": [f"spearman_b{batch}" for batch in (1, 32, 64)],
    "latency-tables": ["mape", "nets_within5"],
    "latency-prior": [
        f"{device}_{who}spearman_{what}"
        for device in ("note10", "pixel1")
        for who in ("", "macs_")
        for what in ("blocks", "networks")
    ],
    "latency-host": [
        *(
            f"host_{runtime}_{what}"
            for runtime in ("ort", "tvm")
            for what in ("within10", "mape", "repeat_mape", "coverage")
        ),
        *("host_ort_networks", "host_ort_training_networks", "host_minutes"),
    ],
    "transfer": [
        f"{data}_{figure}"
        for data in ("flowers12", "dtd10")
        for figure in (
            *("hv_nat", "hv_no_adaptation", "se_hv"),
            *("top1_nat_over_budgets", "top1_no_adaptation_over_budgets", "se_over_budgets"),
            *("top1_nat_at_largest", "top1_finetune_largest", "se_largest"),
            *("top1_nat_at_mid", "top1_finetune_mid", "se_mid"),
            *(f"seconds_{way}" for way in ("nat", "no_adaptation", "finetune_largest", "finetune_mid")),
        )
    ],
}


def collect(*args: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, CHECKOUT / "benchmarks" / "collect.py", *args]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True)


def test_marked_places_are_filled_again_and_again() -> None:
    once = fill(DOCUMENT, {"quick-start": RESULT})
    assert "-->\n98.1% on 2 cores\n<!-- end" in once
    assert fill(once, {"quick-start": RESULT}) == once
    assert fill(DOCUMENT, {"another": RESULT}) == DOCUMENT


def test_rows_of_one_benchmark_have_marks_of_their_own(tmp_path: Path) -> None:
    rows = []
    for row, top1 in (("one", 0.25), ("two", 0.75)):
        rows.append(tmp_path / f"{row}.json")
        rows[-1].write_text(json.dumps({**RESULT, "figures": {"top1": top1}, "environment": {"row": row}}))
    marks = "".join(
        f"<!-- figures quick-start-{row}: {{top1:.0%}} -->\n<!-- end figures -->\n" for row in ("one", "two")
    )
    assert [found["text"] for found in MARK.finditer(fill(marks, load(rows)))] == ["25%\n", "75%\n"]


def test_the_command(tmp_path: Path) -> None:
    result, document = tmp_path / "r.json", tmp_path / "d.md"
    result.write_text(json.dumps(RESULT))
    document.write_text(DOCUMENT)
    assert collect(result, "--into", document, "--check").returncode == 1
    assert document.read_text() == DOCUMENT
    assert collect(result, "--into", document).returncode == 0
    assert "98.1% on 2 cores" in document.read_text()
    assert collect(result, "--into", document, "--check").returncode == 0


@pytest.mark.parametrize(
    "value",
    [
        {**RESULT, "environment": {"quick": True}},
        {**RESULT, "figures": {}},
        {"figures": {}},
        [],
    ],
)
def test_other_results_are_refused(value: object, tmp_path: Path) -> None:
    result, document = tmp_path / "r.json", tmp_path / "d.md"
    result.write_text(json.dumps(value))
    document.write_text(DOCUMENT)
    found = collect(result, "--into", document)
    assert found.returncode == 2
    assert "Traceback" not in found.stderr
    assert document.read_text() == DOCUMENT


def test_two_results_of_one_benchmark_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(RESULT))
    (tmp_path / "b.json").write_text(json.dumps(RESULT))
    with pytest.raises(ValueError, match="second"):
        load([tmp_path / "a.json", tmp_path / "b.json"])


@pytest.mark.parametrize(("document", "least"), [("README.md", 6), ("docs/latencies.md", 6), ("docs/search.md", 1)])
def test_documents_want_only_figures_that_are_promised(document: str, least: int) -> None:
    text = (CHECKOUT / document).read_text(encoding="utf-8")
    names = [found["name"] for found in MARK.finditer(text)]
    assert len(names) >= least
    environment = {"cores": 2, "processor": "p", "date": "d", "isa": "i", "space": "s"}
    results = {n: {"figures": dict.fromkeys(PROMISED[n], 0.5), "environment": environment} for n in names}
    assert fill(text, results) != text
