"""Tables for the command line, and how figures are written."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natdeploy.deploy import read_manifest
from natdeploy.report import Column, Table, front_table, result_table
from natdeploy.report.surrogates import surrogates_table
from natdeploy.report.units import arch_text, kib, millions, milliseconds, percent, stages
from natdeploy.spaces import get_space


def test_the_result_table_tells_what_was_built(made):
    table = result_table(made.bundles)
    assert len(table.rows) == 2
    best = made.front[-1]
    row = dict(zip(table.to_json()["columns"], next(row for row in table.rows if row[0] == best.id)))
    assert row["picked as"] == "best"
    assert row["test top-1"] == "97.8 ± 0.8 %"
    assert row["measured ms"] == milliseconds(best.latency_ms * 1.03)
    assert row["predicted ms (interval)"].startswith(milliseconds(best.latency_ms))
    assert row["size"] == "977 KiB"  # library and weights, not the ONNX file of the other runtime
    assert row["MACs"] == millions(best.macs)


def test_of_several_data_sets_each_row_names_its_own(made):
    own, other = (read_manifest(path / "manifest.json") for path in made.bundles)
    other = other.model_copy(update={"provenance": other.provenance.model_copy(update={"task": "pets"})})
    assert "data set" not in result_table([own]).to_json()["columns"]
    table = result_table([own, other])
    column = table.to_json()["columns"].index("data set")
    assert [row[column] for row in table.rows] == ["digits", "pets"]


def test_manifests_and_folders_are_the_same(made):
    manifests = [read_manifest(path / "manifest.json") for path in made.bundles]
    assert sorted(result_table(manifests).rows) == sorted(result_table(made.bundles).rows)


def test_what_was_not_measured_says_so(made):
    manifest = read_manifest(made.bundles[0] / "manifest.json")
    bare = manifest.model_copy(update={"accuracy": [], "latency": manifest.latency.model_copy(update={"measured": []})})
    row = result_table([bare]).rows[0]
    assert row[2] == "not measured"
    assert row[4] == "not measured"


def test_the_front_table_lists_the_front(made):
    table = front_table(made.run)
    assert [row[0] for row in table.rows] == [entry.id for entry in made.front]
    assert table.rows[0][-1] == arch_text(made.front[0].arch)


def test_each_data_set_has_its_own_surrogate_and_older_runs_have_none_to_tell_of(made):
    steps = made.run.history()
    first = steps[1].surrogate["of"]["top1"]
    named = {"name": "gp", "of": {"top1:pets": {"cv_kendall": None, "kendall": None}, "top1": first}}
    table = surrogates_table(
        [steps[0], replace(steps[1], surrogate=named), replace(steps[2], surrogate={"name": "gp"})]
    )
    assert [row[:3] for row in table.rows] == [("1", "top-1, pets", "gp"), ("1", "top-1", "gp: mlp")]
    assert table.rows[0][3:] == ("-", "-", "-")


def test_a_row_must_fit_its_columns():
    with pytest.raises(ValueError, match="cells"):
        Table("t", (Column("a"), Column("b")), (("1",),))


@given(st.floats(1e-6, 1e6))
def test_milliseconds_keep_three_digits(value):
    assert float(milliseconds(value)) == pytest.approx(value, rel=0.0051)
    assert "e" not in milliseconds(value)


def test_figures_are_written_alike():
    assert milliseconds(0.0) == "0"
    assert milliseconds(None) == "-"
    assert percent(None) == "-"
    assert percent(0.5, 0.012) == "50.0 ± 1.2 %"
    assert millions(4_774_000) == "4.77 M"
    assert kib(2048) == "2 KiB"
    assert kib(3 << 20) == "3.00 MiB"


def test_stages_hold_every_block():
    arch = get_space("mbv3-micro").largest()
    assert [len(stage) for stage in stages(arch)] == list(arch.d)
    assert arch_text(arch).count("7x6") == sum(arch.d)
