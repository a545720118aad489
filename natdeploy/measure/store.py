"""Every timing ever taken, in one SQLite file that only grows.

Append-only is enforced inside the file: triggers refuse to change or remove a row, whoever asks. Several processes may
read and write at once (WAL); a process killed at any instant loses at most what it had not stored yet.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType

from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import cache_root, canonical_json, readable_disk_errors
from natdeploy.measure.measurement import Measurement

SCHEMA_VERSION = 1
#: "natd": tells a store from any other SQLite file.
_APPLICATION_ID = 0x6E617464
_WAIT_S = 60.0

_SCHEMA = (
    """CREATE TABLE measurements (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        key TEXT NOT NULL UNIQUE,
        device_fingerprint TEXT NOT NULL,
        runtime TEXT NOT NULL,
        space TEXT NOT NULL,
        role TEXT NOT NULL,
        arch_id TEXT,
        latency_ms REAL NOT NULL,
        trusted INTEGER NOT NULL,
        taken_at TEXT NOT NULL,
        body TEXT NOT NULL
    )""",
    "CREATE INDEX measurements_by_device ON measurements (device_fingerprint, runtime, space, role)",
    """CREATE TABLE baselines (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        key TEXT NOT NULL UNIQUE,
        reference_ms REAL NOT NULL,
        taken_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))
    )""",
    *(
        f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
        "BEGIN SELECT RAISE(ABORT, 'the store is append-only'); END"
        for table in ("measurements", "baselines")
        for verb in ("UPDATE", "DELETE")
    ),
    # INSERT OR REPLACE removes the old row without asking the DELETE trigger.
    *(
        f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} "
        f"WHEN EXISTS (SELECT 1 FROM {table} WHERE key = NEW.key OR id = NEW.id) "
        "BEGIN SELECT RAISE(ABORT, 'the store is append-only'); END"
        for table in ("measurements", "baselines")
    ),
)


class MeasurementStore:
    """The timings of a user, by default in ``cache_root()/measurements.sqlite``.

    Every method raises BadInput, naming the file, when it is not a store, is damaged, is held by another process for a
    minute, or when the disk is full.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = Path(path) if path is not None else cache_root() / "measurements.sqlite"
        self._open: sqlite3.Connection | None = None

    def add(self, measurement: Measurement) -> bool:
        """Store a timing; False when one with the same key is there already, which then stays as it is."""
        return self.add_all([measurement]) == 1

    def add_all(self, measurements: Iterable[Measurement]) -> int:
        """Store timings in one transaction; returns how many were new."""
        added = 0
        with self._transaction() as connection:
            for item in measurements:
                if connection.execute("SELECT 1 FROM measurements WHERE key = ?", (item.key,)).fetchone():
                    continue
                connection.execute(
                    "INSERT INTO measurements (key, device_fingerprint, runtime, space, role, arch_id, latency_ms,"
                    " trusted, taken_at, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        item.key,
                        item.device_fingerprint,
                        item.runtime,
                        item.space,
                        item.role,
                        None if item.arch is None else item.arch.id,
                        item.latency_ms,
                        int(item.trusted),
                        item.taken_at,
                        canonical_json(item.to_json()),
                    ),
                )
                added += 1
        return added

    def find(self, key: str) -> Measurement | None:
        """The timing with that key."""
        with self._errors(), self._connection() as connection:
            row = connection.execute("SELECT body FROM measurements WHERE key = ?", (key,)).fetchone()
        return None if row is None else self._parse(row[0])

    def query(
        self,
        *,
        device_fingerprint: str | None = None,
        runtime: str | None = None,
        space: str | None = None,
        role: str | None = None,
    ) -> list[Measurement]:
        """Timings that match all that is given, in the order in which they were stored."""
        wanted = {"device_fingerprint": device_fingerprint, "runtime": runtime, "space": space, "role": role}
        given = {name: value for name, value in wanted.items() if value is not None}
        condition = " AND ".join(f"{name} = ?" for name in given) or "1"
        with self._errors(), self._connection() as connection:
            rows = connection.execute(
                f"SELECT body FROM measurements WHERE {condition} ORDER BY id", tuple(given.values())
            ).fetchall()
        return [self._parse(row[0]) for row in rows]

    def baseline(self, key: str) -> float | None:
        """The reference network's baseline stored under a key, in milliseconds."""
        with self._errors(), self._connection() as connection:
            row = connection.execute("SELECT reference_ms FROM baselines WHERE key = ?", (key,)).fetchone()
        return None if row is None else float(row[0])

    def keep_baseline(self, key: str, reference_ms: float) -> float:
        """Store a baseline if there is none; returns the one that holds (another process may have been first)."""
        with self._transaction() as connection:
            row = connection.execute("SELECT reference_ms FROM baselines WHERE key = ?", (key,)).fetchone()
            if row is not None:
                return float(row[0])
            connection.execute("INSERT INTO baselines (key, reference_ms) VALUES (?, ?)", (key, reference_ms))
        return reference_ms

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        if self._open is not None:
            with contextlib.suppress(sqlite3.Error):
                self._open.close()
            self._open = None

    def __enter__(self) -> MeasurementStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._errors(), self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # a full disk has rolled back already
                    connection.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        if self._open is None:
            with readable_disk_errors(self.path):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                if self.path.exists() and not self.path.is_file():  # SQLite would leave its journal beside a device
                    raise BadInput(f"{self.path}: not a file; a measurement store needs one, or a name that is free")
            connection = sqlite3.connect(self.path, timeout=_WAIT_S, isolation_level=None)
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
            self._open = connection
        yield self._open

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Check that the file is a store, or make it one when it is empty."""
        fault = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if fault != "ok":
            raise sqlite3.DatabaseError(f"database disk image is malformed: {fault}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        if application == 0 and not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
            for statement in _SCHEMA:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if application != _APPLICATION_ID:
            raise BadInput(f"{self.path}: an SQLite file of another program, not a natdeploy measurement store")
        if version != SCHEMA_VERSION:
            raise BadInput(
                f"{self.path}: measurement store of schema version {version}, expected {SCHEMA_VERSION}; "
                "use the natdeploy version that wrote it, or another file"
            )

    def _parse(self, body: str) -> Measurement:
        try:
            return Measurement.from_json(json.loads(body))
        except (ValueError, BadInput) as error:
            raise BadInput(f"{self.path}: damaged measurement store: {error}") from None

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """SQLite's errors as one line that names the file and what to do."""
        try:
            yield
        except sqlite3.Error as error:
            self.close()
            text = str(error)
            if "full" in text:
                raise BadInput(
                    f"{self.path}: the disk is full; free some space and run the same command again"
                ) from error
            if "not a database" in text:
                raise BadInput(f"{self.path}: not a measurement store (no SQLite file); move it away") from error
            if "malformed" in text:
                raise BadInput(
                    f"{self.path}: damaged measurement store ({text}); move it away to start a new one"
                ) from error
            if "locked" in text:
                raise BadInput(f"{self.path}: held by another process for {_WAIT_S:g} s; try again") from error
            raise BadInput(f"{self.path}: measurement store cannot be used: {text}") from error
