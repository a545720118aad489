"""Tuning records: what is kept is found again, of the same device, target and generator only; damage has one line."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natdeploy.compiler import TuningRecord
from natdeploy.compiler.kernels.isa import Isa
from natdeploy.compiler.kernels.kind import MOST_CANDIDATES, Workload, candidate_schedules, default_schedule
from natdeploy.ground.errors import BadInput
from tests.compiler.conftest import TARGET
from tests.compiler.records import tuned

AVX512, AVX2, NEON = Isa(16, 32), Isa(8, 16), Isa(4, 32)
GEMM = {"kind": "gemm", "m": 49, "k": 64, "n": 96, "activation": "relu", "residual": False}
SMALL = {**GEMM, "m": 2, "n": 8}

size = st.integers(1, 300)
activation = st.just("relu")


def window(**more: st.SearchStrategy) -> st.SearchStrategy[Workload]:
    fields = {"in_h": size, "in_w": size, "kernel": st.sampled_from([3, 5, 7]), "stride": st.sampled_from([1, 2])}

    def with_output(made: Workload) -> Workload:
        return {**made, **{f"out_{axis}": (made[f"in_{axis}"] - 1) // made["stride"] + 1 for axis in "hw"}}

    return st.fixed_dictionaries({**fields, "activation": activation, **more}).map(with_output)


WORKLOADS = st.one_of(
    st.fixed_dictionaries(
        {"kind": st.sampled_from(["gemm", "gemv"]), "m": size, "k": size, "n": size, "residual": st.booleans()}
    ),
    window(kind=st.just("depthwise"), c=size),
    window(kind=st.just("expand"), in_c=size, c=size),
    window(kind=st.just("conv"), in_c=size, out_c=size, planar=st.booleans(), residual=st.just(False)),
    st.fixed_dictionaries({"kind": st.sampled_from(["pool", "scale", "add", "block"]), "m": size, "c": size}),
)


@given(workload=WORKLOADS, isa=st.sampled_from([AVX512, AVX2, NEON]))
def test_candidates_begin_with_the_rules_and_are_distinct(workload: Workload, isa: Isa) -> None:
    found = candidate_schedules(workload, isa)
    assert found[0] == default_schedule(workload, isa)
    assert 1 <= len(found) <= MOST_CANDIDATES and all(found.count(one) == 1 for one in found)
    assert all(one.keys() == found[0].keys() and min(one.values(), default=1) >= 1 for one in found)


def test_usual_workloads_have_candidates() -> None:
    depthwise = {"kind": "depthwise", "c": 72, "in_h": 28, "in_w": 28, "out_h": 28, "out_w": 28, "kernel": 5}
    usual = [GEMM, {**depthwise, "stride": 1, "activation": "relu"}, {**GEMM, "kind": "gemv", "m": 1}]
    for isa in (AVX512, AVX2, NEON):
        assert all(5 <= len(candidate_schedules(one, isa)) <= 10 for one in usual), isa


def test_what_is_kept_is_found_again(tmp_path: Path) -> None:
    record = TuningRecord("device", TARGET, tmp_path)
    rule, other, *_ = candidate_schedules(GEMM, AVX2)
    assert record.identity == "rules" and record.schedule(GEMM, AVX2) == rule
    record.keep(tuned(GEMM, AVX2, rule, chosen=rule))
    assert record.identity == TuningRecord("device", TARGET, tmp_path).identity == "rules"
    record.keep(tuned(GEMM, AVX2, rule, chosen=other))
    again = TuningRecord("device", TARGET, tmp_path)
    assert again.entries == record.entries == (tuned(GEMM, AVX2, rule, chosen=other),)
    assert again.identity == record.identity != "rules"
    assert again.schedule(GEMM, AVX2) == other and again.entries[0].gain == 0.9
    assert again.schedule(GEMM, AVX512) == default_schedule(GEMM, AVX512)  # other vectors are another workload
    assert again.schedule(SMALL, AVX2) == default_schedule(SMALL, AVX2)


def test_devices_targets_and_generators_do_not_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rule, other, *_ = candidate_schedules(GEMM, AVX2)
    TuningRecord("device", TARGET, tmp_path).keep(tuned(GEMM, AVX2, rule, chosen=other))
    assert TuningRecord("another", TARGET, tmp_path).entries == ()
    assert TuningRecord("device", {**TARGET, "mattr": ["+fma"]}, tmp_path).entries == ()
    assert TuningRecord("device", {**TARGET, "num-cores": 7}, tmp_path).entries != ()  # code does not depend on it
    monkeypatch.setattr("natdeploy.compiler.tuning.generator_versions", lambda: {"sources": "of tomorrow"})
    assert TuningRecord("device", TARGET, tmp_path).identity == "rules"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda value: "{", "not a readable tuning record"),
        (lambda value: [], "field 'schema' is not 1"),
        (lambda value: {**value, "schema": 9}, "field 'schema' is not 1"),
        (lambda value: {**value, "noise": "loud"}, "field 'noise'"),
        (lambda value: {**value, "trials": []}, "field 'chosen' is none of the tiles in field 'trials'"),
        (lambda value: {**value, "chosen": {"rows": 1, "vectors": 1}}, "field 'chosen' is none of the tiles"),
        (lambda value: {**value, "workload": {**GEMM, "m": 50}}, "field 'workload' is not the one"),
        (
            lambda value: {
                **value,
                "chosen": {"rows": 40, "vectors": 9},
                "trials": [*value["trials"], {**value["trials"][0], "schedule": {"rows": 40, "vectors": 9}}],
            },
            "no tile that this natdeploy would measure",
        ),
    ],
)
def test_a_damaged_file_is_one_line(tmp_path: Path, change, words: str) -> None:
    record = TuningRecord("device", TARGET, tmp_path)
    rule, other, *_ = candidate_schedules(GEMM, AVX2)
    record.keep(tuned(GEMM, AVX2, rule, chosen=other))
    (path,) = record.folder.iterdir()
    changed = change(json.loads(path.read_text()))
    path.write_text(changed if isinstance(changed, str) else json.dumps(changed))
    with pytest.raises(BadInput) as refused:
        TuningRecord("device", TARGET, tmp_path)
    assert str(path) in str(refused.value) and words in str(refused.value)
    assert "delete this file and run natdeploy tune again" in str(refused.value) and "\n" not in str(refused.value)
