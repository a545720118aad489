from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from natdeploy.compiler import KernelCache
from natdeploy.ground.errors import BadInput


def test_what_is_put_is_found_again(tmp_path: Path) -> None:
    key = KernelCache.key({"kind": "matmul", "m": 1}, {"mcpu": "x"})
    assert KernelCache(tmp_path).get(key) is None
    KernelCache(tmp_path).put(key, b"\x7fELF")
    assert KernelCache(tmp_path).get(key) == b"\x7fELF"


def test_keys_depend_on_every_part() -> None:
    keys = {KernelCache.key(*parts) for parts in (({"m": 1}, "a"), ({"m": 2}, "a"), ({"m": 1}, "b"), ({"m": 1},))}
    assert len(keys) == 4


@pytest.mark.parametrize("damage", [b"", b"short", lambda entry: entry[:-1], lambda entry: entry[:-1] + b"?"])
def test_a_damaged_entry_is_no_entry(tmp_path: Path, damage) -> None:
    cache = KernelCache(tmp_path)
    key = cache.key("k")
    cache.put(key, b"code" * 100)
    (path,) = tmp_path.rglob("*.o")
    path.write_bytes(damage(path.read_bytes()) if callable(damage) else damage)
    assert cache.get(key) is None


def test_writers_at_once_leave_one_whole_entry(tmp_path: Path) -> None:
    cache = KernelCache(tmp_path)
    code = bytes(range(256)) * 400
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: cache.put("k" * 64, code), range(40)))
    assert cache.get("k" * 64) == code
    assert len(list(tmp_path.rglob("*"))) == 2  # the entry and its folder


def test_a_place_that_cannot_be_written_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot write here"):
        KernelCache(tmp_path / "file").put("k" * 64, b"code")
