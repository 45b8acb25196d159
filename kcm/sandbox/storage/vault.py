"""The SQLite file that keeps a sandbox.

A `Vault` holds the last state of every object and the counter of versions. Guarantees: `write`
is one transaction, and on the disk when it returns (write-ahead log, synchronous=FULL: it
outlives kill -9 and a power cut); a file that is foreign, damaged or of a newer format is
refused with one line and not touched; the directory is locked for as long as the vault is open.
Keeps no history. Blocks: once open it belongs to one thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from kcm.base.errors import KcmError
from kcm.sandbox.storage.lock import DirectoryLock, refused

FILE = "state.db"
FORMAT = 1
# "kcm" and a number that no other program's files carry.
APPLICATION = 0x6B636D01

_SCHEMA = (
    "CREATE TABLE objects (resource TEXT NOT NULL, key TEXT NOT NULL, version INTEGER NOT NULL, "
    "written REAL NOT NULL, body BLOB NOT NULL, UNIQUE (resource, key))",
    "CREATE TABLE counter (only INTEGER PRIMARY KEY CHECK (only = 1), version INTEGER NOT NULL)",
    "INSERT INTO counter VALUES (1, 0)",
    f"PRAGMA application_id = {APPLICATION}",
    f"PRAGMA user_version = {FORMAT}",
)
_CONFLICT = (
    " ON CONFLICT (resource, key) DO UPDATE SET "
    "version = excluded.version, written = excluded.written, body = excluded.body"
)
# Joined in this order, or SQLite would look at every object for each that is gone.
_FORGET = "DELETE FROM objects WHERE rowid IN (SELECT objects.rowid FROM (VALUES "
_BY_INDEX = ") AS gone CROSS JOIN objects ON resource = gone.column1 AND key = gone.column2)"
# Rows in one statement: SQLite lets go of the interpreter once a statement, not once a row.
_TOGETHER = (256, 32, 4, 1)


class StorageFailed(KcmError):
    """The disk did not take a write. What was acknowledged before is safe."""


class Row(NamedTuple):
    """One object. `resource` is "group/plural", `key` "namespace/name", `written` seconds since 1970."""

    resource: str
    key: str
    version: int
    written: float
    body: bytes


class Vault:
    """One open data directory."""

    def __init__(self, directory: Path) -> None:
        """Open or create it; ConfigurationError with one line when that cannot be."""
        self.path = directory / FILE
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise refused(directory, f"cannot be made: {error.strerror}") from error
        self._lock = DirectoryLock(directory)
        try:
            self._database = self._open(directory)
        except BaseException:
            self._lock.release()
            raise

    def load(self) -> tuple[list[Row], int]:
        """Return all objects, oldest write first, and the last version; ConfigurationError when damaged."""
        try:
            cursor = self._database.execute("SELECT resource, key, version, written, body FROM objects")
            rows = [Row(*each) for each in cursor]
            (version,) = self._database.execute("SELECT version FROM counter").fetchone()
        except (sqlite3.Error, TypeError) as error:
            raise self._damaged(error) from error
        rows.sort(key=lambda row: row.version)
        if rows and rows[-1].version > version:
            raise self._damaged("an object is newer than the counter")
        return rows, version

    def write(self, rows: Sequence[Row], gone: Sequence[tuple[str, str]], version: int) -> None:
        """Store `rows`, forget `gone` (resource, key), move the counter; StorageFailed: nothing of it is."""
        database = self._database
        try:
            database.execute("BEGIN IMMEDIATE")
            _many(database, "INSERT INTO objects VALUES ", "(?,?,?,?,?)", rows, _CONFLICT)
            _many(database, _FORGET, "(?,?)", gone, _BY_INDEX)
            database.execute("UPDATE counter SET version = ?", (version,))
            database.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise StorageFailed(
                f"{self.path}: cannot be written: {error}; nothing acknowledged is lost, "
                "make room and start again"
            ) from error

    def close(self) -> None:
        """Let go of the file and the directory."""
        try:
            self._database.close()
        finally:
            self._lock.release()

    def _open(self, directory: Path) -> sqlite3.Connection:
        try:
            database = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise refused(directory, f"{FILE} cannot be opened: {error}") from error
        try:
            self._prepare(database, directory)
        except sqlite3.Error as error:
            database.close()
            raise self._damaged(error) from error
        except BaseException:
            database.close()
            raise
        return database

    def _prepare(self, database: sqlite3.Connection, directory: Path) -> None:
        # Read first: a file that is not ours must stay as it is.
        application, form, tables = (
            _number(database, question)
            for question in (
                "PRAGMA application_id",
                "PRAGMA user_version",
                "SELECT count(*) FROM sqlite_master",
            )
        )
        new = not (application or form or tables)
        if not new and application != APPLICATION:
            raise refused(directory, f"{FILE} is not a sandbox's; name another directory")
        if form > FORMAT:
            raise refused(
                directory,
                f"{FILE} has format {form}, this kcm knows {FORMAT}; use the newer kcm or another directory",
            )
        if not new and (damage := database.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise self._damaged(str(damage).replace("\n", " "))
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("PRAGMA wal_autocheckpoint = 4000")
        if new:
            database.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA:
                database.execute(statement)
            database.execute("COMMIT")

    def _roll_back(self) -> None:
        try:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
        except sqlite3.Error:
            # The write-ahead log has no commit record: the next start rolls back.
            return

    def _damaged(self, why: object) -> Exception:
        text = str(why)
        if "locked" in text or "full" in text or "readonly" in text or "disk I/O" in text:
            return refused(self.path.parent, f"{FILE} cannot be used: {text}")
        return refused(
            self.path.parent, f"{FILE} is damaged: {text}; restore it from a copy or name another directory"
        )


def _number(database: sqlite3.Connection, question: str) -> int:
    return int(database.execute(question).fetchone()[0])


def _many(
    database: sqlite3.Connection, head: str, row: str, rows: Sequence[tuple[object, ...]], tail: str
) -> None:
    """Execute one statement over many rows, in as few pieces as there are sizes for."""
    first = 0
    for size in _TOGETHER:
        statement = head + ",".join([row] * size) + tail
        while len(rows) - first >= size:
            database.execute(statement, [value for each in rows[first : first + size] for value in each])
            first += size
