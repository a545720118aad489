"""The page as a whole, and every figure's data."""

import re
import shutil

import pytest

from natdeploy.ground.errors import BadInput, VerificationFailed
from natdeploy.report import write_report
from natdeploy.report.figure import THEME
from natdeploy.runs import note_bundle
from tests.report.made_run import BUDGET_MS, make_run, timing
from tests.report.page import Page


@pytest.fixture(scope="module")
def page(made, tmp_path_factory) -> Page:
    out = tmp_path_factory.mktemp("page") / "report.html"
    return Page(write_report(made.run, out=out, measurements=made.holdout))


def test_the_report_lies_in_the_run(made):
    path = write_report(made.run)
    assert path == made.run.path / "report.html"
    assert path.stat().st_size > 1_000_000  # plotly.js is inside


def test_equal_runs_give_equal_bytes(made, tmp_path):
    first = write_report(made.run, out=tmp_path / "a.html", measurements=made.holdout)
    second = write_report(made.run, out=tmp_path / "b.html", measurements=made.holdout)
    assert first.read_bytes() == second.read_bytes()


def test_nothing_is_fetched(page):
    for tag, attributes in page.tags:
        assert tag not in ("link", "iframe", "object", "embed", "base", "img"), tag
        assert not {"src", "href", "srcset", "action", "data", "poster"} & set(attributes), (tag, attributes)
    policy = next(a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "http" not in policy


def test_style_and_script_load_nothing_either():
    from importlib.resources import files

    for name in ("style.css", "script.js", "cloud.js"):
        text = files("natdeploy.report").joinpath("page", name).read_text()
        assert not re.search(r"https?:|url\(|@import|fetch\(|XMLHttpRequest|import\(", text), name


def test_the_document_is_well_formed(page):
    assert page.unclosed == []
    names = [attributes["id"] for _, attributes in page.tags if attributes.get("id")]
    assert len(names) == len(set(names))
    assert [tag for tag, _ in page.tags].count("h1") == 1
    assert any(attributes.get("name") == "viewport" for _, attributes in page.tags)


def test_every_figure_has_its_place_and_its_data(page):
    names = [figure["id"] for figure in page.data["figures"]]
    assert names == ["front", "predictor", "progress"]
    for figure in page.data["figures"]:
        assert f"figure-{figure['id']}" in page.ids
        assert f"caption-{figure['id']}" in page.ids
        assert figure["data"]
        for trace in figure["data"]:
            assert len(trace["x"]) == len(trace["y"]) > 0


def test_plotly_accepts_every_figure(page):
    graph_objects = pytest.importorskip("plotly.graph_objects")

    def coloured(value):
        if isinstance(value, str):
            return "#123456" if value.startswith("@") else value
        if isinstance(value, list):
            return [coloured(item) for item in value]
        return {key: coloured(item) for key, item in value.items()} if isinstance(value, dict) else value

    for figure in page.data["figures"]:
        graph_objects.Figure(data=coloured(figure["data"]), layout=coloured(figure["layout"]))


def test_every_colour_is_defined_for_light_and_dark(page):
    from importlib.resources import files

    style = files("natdeploy.report").joinpath("page", "style.css").read_text()
    used = set(re.findall(r'"@([a-z]+)"', str(page.data["figures"]).replace("'", '"')))
    assert used <= set(THEME)
    for name in THEME:
        assert style.count(f"--{name}:") == 2, name


def test_the_front_shows_every_architecture_once(page, made):
    shown = [trace for trace in page.figure("front")["data"] if not trace["name"].startswith("chosen")]
    drawn = {}
    for trace in shown:
        for name, x, y in zip(trace["customdata"], trace["x"], trace["y"]):
            assert name not in drawn
            drawn[name] = (x, y, trace["name"])
    assert set(drawn) == {entry.id for entry in made.archive}
    for entry in made.archive:
        x, y, kind = drawn[entry.id]
        assert x == pytest.approx(entry.latency_ms, abs=1e-6)
        assert y == pytest.approx(100 * entry.top1, abs=1e-3)
        assert (kind == "front") == (entry.id in {e.id for e in made.front})
        assert (kind == "over the budget") == (not entry.feasible)


def test_front_bars_are_the_predicted_intervals(page, made):
    trace = page.trace("front", "front")
    ends = [entry.latency_upper_ms for entry in made.front]
    starts = [entry.latency_lower_ms for entry in made.front]
    assert [x + up for x, up in zip(trace["x"], trace["error_x"]["array"])] == pytest.approx(ends, abs=2e-6)
    assert [x - down for x, down in zip(trace["x"], trace["error_x"]["arrayminus"])] == pytest.approx(starts, abs=2e-6)
    best = made.front[-1]
    share = (best.top1 * best.val_images + 2) / (best.val_images + 4)  # Agresti and Coull
    error = (share * (1 - share) / (best.val_images + 4)) ** 0.5
    assert trace["error_y"]["arrayminus"][-1] == pytest.approx(100 * error, abs=1e-3)
    assert all(y + up <= 100.001 for y, up in zip(trace["y"], trace["error_y"]["array"]))


def test_budget_line_and_chosen_models_are_drawn(page, made):
    line = page.figure("front")["layout"]["shapes"][0]
    assert (line["x0"], line["x1"]) == (BUDGET_MS, BUDGET_MS)
    chosen = page.trace("front", "chosen, predicted")
    assert set(chosen["customdata"]) == {made.front[-1].id, made.front[-2].id}
    measured = page.trace("front", "chosen, measured")
    assert measured["x"] == pytest.approx([1.03 * x for x in chosen["x"]], abs=2e-6)
    assert page.data["shown"] == made.front[-1].id


def test_every_architecture_can_be_drawn_as_blocks(page, made):
    for entry in made.archive:
        model = page.data["models"][entry.id]
        assert [len(stage) for stage in model["stages"]] == list(entry.arch.d)
        assert [k for stage in model["stages"] for k, _ in stage] == list(entry.arch.ks)
        assert [e for stage in model["stages"] for _, e in stage] == list(entry.arch.e)
        assert model["macs"] == entry.macs


def test_predicted_stands_against_measured(page, made):
    judged = page.trace("predictor", "networks not trained on")
    measured = {one.arch.id: one.latency_ms for one in made.holdout}
    assert dict(zip(judged["text"], judged["y"])) == pytest.approx(measured, abs=1e-6)
    inside = [lower <= y <= upper for y, (lower, upper) in zip(judged["y"], judged["customdata"])]
    assert sum(inside) / len(inside) >= 0.8
    assert f"{sum(inside)} of {len(inside)} networks" in page.text
    assert page.trace("predictor", "chosen")["y"] == pytest.approx(page.trace("front", "chosen, measured")["x"])
    assert len(page.trace("predictor", "tried, over the budget")["x"]) == 3


def test_only_comparable_trusted_holdout_timings_are_shown(made, tmp_path):
    arch = made.archive[0].arch
    wrong = [
        timing(arch, "train"),
        timing(arch, "holdout", trusted=False),
        timing(arch, "holdout", runtime="onnxruntime"),
        timing(arch, "holdout", device_fingerprint="0" * 64),
        timing(arch, "holdout", toolchain={"tvm": "0.1"}),
    ]
    page = Page(write_report(made.run, out=tmp_path / "r.html", measurements=wrong))
    assert "networks not trained on" not in [trace["name"] for trace in page.figure("predictor")["data"]]
    assert "are not on this machine" in page.text


def test_the_users_own_timings_are_found(made, tmp_path):
    from natdeploy.measure import MeasurementStore

    assert not (tmp_path / "home").exists()
    write_report(made.run, out=tmp_path / "none.html")
    assert not (tmp_path / "home").exists()  # a report makes no store
    MeasurementStore().add_all(made.holdout)
    page = Page(write_report(made.run, out=tmp_path / "r.html"))
    assert len(page.trace("predictor", "networks not trained on")["x"]) == len(made.holdout)


def test_progress_is_the_history(page, made):
    search = page.trace("progress", "search")
    history = made.run.history()
    assert search["x"] == [step.evaluations for step in history]
    assert search["y"] == pytest.approx([step.hypervolume for step in history], abs=1e-6)
    assert set(page.trace("progress", "random architectures")["y"]) == {0.71}
    assert "64 random architectures (5 within the budget)" in page.text


def test_what_each_iteration_learned_with_is_a_table(page):
    assert ["1", "top-1", "auto: mlp", "0.810", "0.550", "gp 0.700, cart -"] in page.rows
    assert len([row for row in page.rows if "auto: mlp" in row]) == 5


def test_the_choice_is_explained(page, made):
    best = made.front[-1]
    feasible = [entry for entry in made.archive if entry.feasible]
    assert "Picked as best" in page.text
    assert f"of {len(feasible)} architectures differ from it by no more than one standard error" in page.text
    assert f"{best.id}-host" in page.text
    assert f"{made.front[0].id} was tried before it" in page.text
    assert "Picked as knee" in page.text


def test_every_figure_says_where_it_comes_from(page):
    sources = {row[0]: row[1] for row in page.rows if len(row) == 2}
    assert "270 validation images" in sources["validation top-1"]
    assert "trained on timings of this very device" in sources["predicted latency"]
    assert "latency_ms 0.5" in sources["hypervolume"]
    assert sources["MACs, parameters, activations"].endswith("of networks with 10 classes")
    assert "30 networks, never trained on" in sources["predictor quality"]
    tested = [source for figure, source in sources.items() if figure.startswith("test top-1")]
    assert len(tested) == 2
    assert all("359 test images" in source for source in tested)
    assert any(figure.startswith("measured latency") and "trusted" in source for figure, source in sources.items())


def test_predictor_quality_stands_beside_its_baselines(page, made):
    rows = {row[0]: row for row in page.rows if row}
    assert {"natdeploy", "macs", "lookup table", "timing 10 networks again"} <= set(rows)
    assert "promised 90 %" in rows["natdeploy"][6]


def test_a_running_search_can_be_reported(tmp_path):
    made = make_run(tmp_path / "run", count=40, finished=False, bundles=0)
    page = Page(write_report(made.run))
    assert "has not finished" in page.text
    assert "Nothing is built yet" in page.text
    assert [trace["name"] for trace in page.figure("progress")["data"]] == ["search"]
    assert page.data["chosen"] == []


def test_a_budget_nothing_meets_is_reported(tmp_path):
    made = make_run(tmp_path / "run", count=40, bundles=0)
    archive = made.run.result_path / "archive.json"
    archive.write_text(archive.read_text().replace('"feasible": true', '"feasible": false'))
    (made.run.result_path / "front.json").write_text("[]")
    page = Page(write_report(made.run))
    assert [trace["name"] for trace in page.figure("front")["data"]] == ["over the budget"]


def test_names_cannot_break_out_of_the_page(tmp_path):
    data = "/data/</script><img src=x onerror=alert(1)>"
    made = make_run(tmp_path / "<b>run", count=40, bundles=0, data=data)
    page = Page(write_report(made.run))
    assert page.unclosed == []
    assert "img" not in [tag for tag, _ in page.tags]
    assert "<b>run" in page.text


def test_bundles_built_elsewhere_are_told_of_while_they_are_there(tmp_path):
    made = make_run(tmp_path / "run", count=40, bundles=2)
    elsewhere = tmp_path / "elsewhere" / made.bundles[1].name
    shutil.move(made.bundles[1], elsewhere)
    note_bundle(made.run, elsewhere)
    assert set(Page(write_report(made.run)).data["chosen"]) == {made.front[-1].id, made.front[-2].id}
    shutil.rmtree(elsewhere)
    page = Page(write_report(made.run))
    assert page.data["chosen"] == [made.front[-1].id]
    assert f"No longer there as it was built: {elsewhere}" in page.text


def test_other_folders_as_bundles(made, tmp_path):
    page = Page(write_report(made.run, [made.bundles[1]], tmp_path / "one.html"))
    assert page.data["chosen"] == [made.front[-2].id]
    with pytest.raises(VerificationFailed, match=r"nowhere/manifest\.json"):
        write_report(made.run, [tmp_path / "nowhere"], tmp_path / "two.html")
    assert not (tmp_path / "two.html").exists()


def test_a_run_without_an_archive_is_refused(tmp_path):
    made = make_run(tmp_path / "run", count=40, bundles=0)
    (made.run.result_path / "archive.json").write_text("[]")
    with pytest.raises(BadInput, match="archive is empty"):
        write_report(made.run)
    (made.run.result_path / "archive.json").unlink()
    with pytest.raises(BadInput):
        write_report(made.run)
    assert not (made.run.path / "report.html").exists()


def test_a_full_disk_is_a_clear_error(made):
    from pathlib import Path

    with pytest.raises(BadInput, match="disk is full"):
        write_report(made.run, out=Path("/dev/full"))


def test_a_large_archive_stays_small(tmp_path):
    large = make_run(tmp_path / "run", count=1040, bundles=0)
    small = make_run(tmp_path / "small", count=40, bundles=0)
    grown = write_report(large.run).stat().st_size - write_report(small.run).stat().st_size
    assert grown / 1000 < 600  # bytes an architecture


def test_the_band_holds_the_intervals(page, made):
    band = page.trace("predictor", "90 % interval")
    judged = page.trace("predictor", "networks not trained on")
    half = len(band["x"]) // 2
    uppers = dict(zip(band["x"][:half], band["y"][:half]))
    lowers = dict(zip(band["x"][half:], band["y"][half:]))
    assert band["x"][:half] == sorted(judged["x"])
    for x, (lower, upper) in zip(judged["x"], judged["customdata"]):
        assert (lowers[x], upper) == (pytest.approx(lower), pytest.approx(uppers[x]))
