import os
from pathlib import Path

import pytest

from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import (
    atomic_folder,
    cache_root,
    canonical_json,
    content_key,
    read_json,
    write_bytes,
    write_json,
    write_text,
)
from natdeploy.ground.registry import Registry


def test_json_round_trip_and_equal_values_give_equal_keys(tmp_path) -> None:
    write_json(tmp_path / "deep" / "a.json", {"b": 1, "a": [1.5, "ü"]})
    assert read_json(tmp_path / "deep" / "a.json", "value") == {"a": [1.5, "ü"], "b": 1}
    assert content_key({"a": 1, "b": 2}) == content_key({"b": 2, "a": 1}) != content_key({"a": 1, "b": 3})
    with pytest.raises(ValueError, match="JSON"):
        canonical_json(float("nan"))


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch) -> None:
    write_bytes(tmp_path / "a", b"old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(BadInput, match="a: the disk is full"):
        write_bytes(tmp_path / "a", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_bad_input() -> None:
    with pytest.raises(BadInput, match="/dev/full: the disk is full"):
        write_bytes(Path("/dev/full"), b"x")


def test_a_file_in_the_way_is_bad_input(tmp_path, monkeypatch) -> None:
    write_bytes(tmp_path / "a", b"")
    with pytest.raises(BadInput, match=r"cannot write here: (Not a directory|File exists)"):
        write_bytes(tmp_path / "a" / "b", b"x")
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path / "a"))
    with pytest.raises(BadInput, match="set NATDEPLOY_HOME to a folder that can be written"):
        write_bytes(tmp_path / "a" / "b", b"x")


def test_a_name_that_is_not_utf_8_is_bad_input(tmp_path) -> None:
    with pytest.raises(BadInput, match=r"run: cannot be written in UTF-8: '.*caf\\udce9.*'.*; rename it"):
        write_text(tmp_path / "run", f"the folder {os.fsdecode(b'caf' + bytes([0xE9]))}")
    assert not list(tmp_path.iterdir())


def test_unreadable_json_names_the_file(tmp_path) -> None:
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(BadInput, match=r"x\.json: not a readable thing"):
        read_json(tmp_path / "x.json", "thing")
    with pytest.raises(BadInput, match=r"y\.json: no such thing"):
        read_json(tmp_path / "y.json", "thing")


def test_a_folder_appears_whole_or_not_at_all(tmp_path) -> None:
    target = tmp_path / "out"
    with atomic_folder(target) as folder:
        (folder / "a").write_text("1")
        assert not target.exists()
    assert (target / "a").read_text() == "1"
    with pytest.raises(RuntimeError), atomic_folder(target) as folder:
        (folder / "a").write_text("2")
        raise RuntimeError
    assert (target / "a").read_text() == "1"
    with atomic_folder(target) as folder:
        (folder / "b").write_text("3")
    assert [path.name for path in target.iterdir()] == ["b"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_cache_follows_the_environment(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path))
    assert cache_root() == tmp_path
    monkeypatch.delenv("NATDEPLOY_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_root() == tmp_path / "natdeploy"


def test_a_registry_imports_what_is_asked_for() -> None:
    registry = Registry("number", {"pi": "math:pi", "broken": "no_such_module:x"})
    assert registry.get("pi") == pytest.approx(3.14159, abs=1e-5)
    assert registry.names() == ("pi", "broken")
    with pytest.raises(BadInput, match="unknown number 'e'; known: pi, broken"):
        registry.get("e")
