import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natdeploy.ground.errors import BadInput
from natdeploy.measure import Measurement, MeasurementStore
from tests.measure.samples import SPACE, made_up

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(
    samples=st.lists(FINITE, max_size=5), latency=FINITE, trusted=st.booleans(), classes=st.none() | st.integers(1, 9)
)
def test_json_and_back(samples: list[float], latency: float, trusted: bool, classes: int | None) -> None:
    measurement = made_up(samples_ms=tuple(samples), latency_ms=latency, trusted=trusted, num_classes=classes)
    assert Measurement.from_json(measurement.to_json()) == measurement


@pytest.mark.parametrize("change", [{"colour": 1}, {"latency_ms": None}])
def test_json_of_another_shape_is_refused(change: dict[str, object]) -> None:
    value = made_up().to_json() | change
    value = {name: item for name, item in value.items() if item is not None or name in ("arch", "num_classes")}
    with pytest.raises(BadInput, match=r"measurement: field '(colour|latency_ms)' is (unknown|missing)"):
        Measurement.from_json(value)


def test_stored_is_found_again_and_repetitions_are_not_stored(tmp_path: Path) -> None:
    other = made_up(role="holdout", arch=SPACE.largest())
    with MeasurementStore(tmp_path / "new/store.sqlite") as store:
        assert store.query() == []
        assert store.add(made_up())
        assert not store.add(made_up(latency_ms=9.0))
        assert store.add_all([made_up(), other, other]) == 1
    with MeasurementStore(tmp_path / "new/store.sqlite") as store:
        assert store.query() == [made_up(), other]
        assert store.query(role="holdout", runtime="onnxruntime") == [other]
        assert store.query(device_fingerprint="none") == store.query(space="x") == []
        assert store.find(other.key) == other
        assert store.find("nothing") is None


def test_what_makes_a_repetition() -> None:
    changes = [
        {},
        {"runtime": "tvm"},
        {"device_fingerprint": "0"},
        {"toolchain": {"onnxruntime": "2"}},
        {"protocol": {}},
        {"role": "repeat"},
        {"occurrence": 1},
        {"num_classes": 3},
        {"arch": SPACE.largest()},
    ]
    assert len({made_up(**change).key for change in changes}) == len(changes)
    same = [{"latency_ms": 5.0}, {"artifact_digest": "0"}, {"taken_at": "later"}, {"device": "laptop"}]
    assert {made_up(**change).key for change in same} == {made_up().key}
    assert made_up(role="build").key != made_up(role="build", artifact_digest="0").key
    with pytest.raises(BadInput, match="role 'guess'"):
        _ = made_up(role="guess").key


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE measurements SET latency_ms = 0",
        "DELETE FROM measurements",
        "INSERT OR REPLACE INTO measurements SELECT * FROM measurements",
        "INSERT OR REPLACE INTO measurements"
        " (key, device_fingerprint, runtime, space, role, latency_ms, trusted, taken_at, body)"
        " SELECT key, device_fingerprint, runtime, space, role, 0, trusted, taken_at, body FROM measurements",
        "UPDATE baselines SET reference_ms = 0",
        "DELETE FROM baselines",
        "INSERT OR REPLACE INTO baselines (key, reference_ms) VALUES ('k', 0)",
    ],
)
def test_the_file_itself_refuses_changes(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "store.sqlite"
    with MeasurementStore(path) as store:
        store.add(made_up())
        store.keep_baseline("k", 0.5)
    connection = sqlite3.connect(path)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute(statement)
    connection.close()
    with MeasurementStore(path) as store:
        assert store.query() == [made_up()]
        assert store.baseline("k") == 0.5


def test_the_first_baseline_holds(tmp_path: Path) -> None:
    with MeasurementStore(tmp_path / "s") as one, MeasurementStore(tmp_path / "s") as two:
        assert one.baseline("k") is None
        assert one.keep_baseline("k", 0.5) == 0.5
        assert two.keep_baseline("k", 0.7) == 0.5


def write_many(path: Path, writer: int) -> int:
    """Rows that a process of its own stored; half of them every writer stores."""
    program = (
        "import sys; from pathlib import Path; from natdeploy.measure import MeasurementStore;"
        "from tests.measure.samples import made_up\n"
        "store = MeasurementStore(Path(sys.argv[1]))\n"
        "rows = [made_up(occurrence=n, device_fingerprint=f) for n in range(15) for f in ('all', sys.argv[2])]\n"
        "print(sum(store.add(row) for row in rows))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program, str(path), str(writer)],
        capture_output=True,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        check=True,
    )
    return int(done.stdout)


def test_several_processes_make_and_fill_one_store(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    with ThreadPoolExecutor(3) as pool:
        stored = sum(pool.map(lambda writer: write_many(path, writer), range(3)))
    with MeasurementStore(path) as store:
        assert stored == len(store.query()) == 15 * 4
        assert len(store.query(device_fingerprint="all")) == 15


def one_line_naming(path: Path, what: str) -> None:
    with pytest.raises(BadInput, match=what) as caught:
        MeasurementStore(path).query()
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_that_is_no_store_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "text.sqlite"
    path.write_text("a diary, not a database\n" * 100)
    one_line_naming(path, "not a measurement store")
    assert path.read_text().startswith("a diary")
    other = tmp_path / "other.sqlite"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.commit()
    connection.close()
    one_line_naming(other, "of another program")
    folder = tmp_path / "folder"
    folder.mkdir()
    one_line_naming(folder, "not a file")


def test_a_half_written_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    with MeasurementStore(path) as store:
        store.add_all(made_up(occurrence=number) for number in range(50))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    one_line_naming(path, "damaged measurement store")


def test_a_store_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    with MeasurementStore(path) as store:
        store.add(made_up())
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    one_line_naming(path, "schema version 99")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_nothing_can_be_stored_on_a_full_device() -> None:
    with pytest.raises(BadInput, match="/dev/full"):
        MeasurementStore(Path("/dev/full")).add(made_up())
    with pytest.raises(BadInput, match="/dev/full"):
        MeasurementStore(Path("/dev/full/store.sqlite")).add(made_up())
    assert not Path("/dev/full-journal").exists()


def test_a_full_disk_keeps_what_was_stored(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("a small tmpfs cannot be mounted here")
    try:
        stored = 0
        with (
            MeasurementStore(disk / "store.sqlite") as store,
            pytest.raises(BadInput, match=r"store.sqlite: the disk is full"),
        ):
            for number in range(1000):
                stored += store.add(made_up(occurrence=number))
        assert stored > 5
        with MeasurementStore(disk / "store.sqlite") as store:
            assert len(store.query()) == stored
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
