from pathlib import Path

import pytest

from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import write_json
from natdeploy.runs import bundles_of, note_bundle
from tests.runs.test_folder import create


def bundle(path: Path) -> Path:
    write_json(path / "manifest.json", {"name": path.name})
    return path


def test_bundles_in_the_run_and_elsewhere(tmp_path: Path) -> None:
    run = create(tmp_path / "run")
    own, first, second = (bundle(path) for path in (run.path / "bundles" / "x", tmp_path / "b" / "x", tmp_path / "a"))
    for path in (own, first, second, first):
        note_bundle(run, path)
    found = bundles_of(run)
    assert found.there == (own, second, first) and found.gone == ()


def test_a_bundle_that_was_removed_or_replaced_is_gone(tmp_path: Path) -> None:
    run = create(tmp_path / "run")
    paths = [bundle(tmp_path / name) for name in ("kept", "removed", "replaced")]
    for path in paths:
        note_bundle(run, path)
    (paths[1] / "manifest.json").unlink()
    write_json(paths[2] / "manifest.json", {"name": "of another run"})
    assert bundles_of(run).there == (paths[0],)
    assert bundles_of(run).gone == (paths[1], paths[2])
    note_bundle(run, paths[2])
    assert bundles_of(run).gone == (paths[1],)


def test_a_bundle_that_was_timed_since_is_the_runs_own(tmp_path: Path) -> None:
    run = create(tmp_path / "run")
    path = bundle(tmp_path / "b")
    note_bundle(run, path)
    write_json(path / "manifest.json", {"name": "b", "latency": {"measured": [{"latency_ms": 1.5}]}, "files": ["x"]})
    assert bundles_of(run).there == (path,) and bundles_of(run).gone == ()
    for damaged in ("{", "[]"):
        (path / "manifest.json").write_text(damaged)
        assert bundles_of(run).gone == (path,)


@pytest.mark.parametrize("note", [[], {"bundle": "x"}, "text", {"bundle": 3, "build": ""}])
def test_a_damaged_note_is_named(tmp_path: Path, note: object) -> None:
    run = create(tmp_path / "run")
    write_json(run.path / "bundles_elsewhere" / "n.json", note)
    with pytest.raises(BadInput, match=r"bundles_elsewhere/n\.json: damaged note of a bundle"):
        bundles_of(run)
