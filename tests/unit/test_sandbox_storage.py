"""The data directory: what is written is read again, and what is not a sandbox's is refused."""

import asyncio
import sqlite3
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kcm.base.errors import ConfigurationError
from kcm.sandbox.storage.journal import Journal
from kcm.sandbox.storage.vault import FILE, Row, StorageFailed, Vault


def row(name, version, body=b"{}"):
    return Row("/pods", f"default/{name}", version, 1.5, body)


def reopened(directory):
    vault = Vault(directory)
    try:
        return vault.load()
    finally:
        vault.close()


KEYS = st.integers(0, 40)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.lists(KEYS, max_size=45), st.lists(KEYS, max_size=45)), max_size=6))
def test_a_vault_holds_what_a_dict_would_hold(tmp_path_factory, batches):
    directory = tmp_path_factory.mktemp("vault")
    vault, model, version = Vault(directory), {}, 0
    for kept, gone in batches:
        rows = {}
        for number in kept:
            version += 1
            rows[number] = row(str(number), version, f'{{"n":{version}}}'.encode())
        removed = [("/pods", f"default/{number}") for number in {*gone} - rows.keys()]
        vault.write(list(rows.values()), removed, version)
        model = {key: value for key, value in model.items() if ("/pods", key) not in removed}
        model.update({each.key: each for each in rows.values()})
    vault.close()
    rows, last = reopened(directory)
    assert last == version
    assert {each.key: each for each in rows} == model
    assert [each.version for each in rows] == sorted(each.version for each in rows)


def test_a_batch_of_any_size_is_written_whole(tmp_path):
    vault = Vault(tmp_path)
    rows = [row(str(number), number) for number in range(1, 1000)]
    vault.write(rows, [], 999)
    vault.write([], [(each.resource, each.key) for each in rows[:700]], 1699)
    vault.close()
    assert reopened(tmp_path) == (rows[700:], 1699)


def test_a_write_that_fails_leaves_nothing_of_it(tmp_path):
    vault = Vault(tmp_path)
    vault.write([row("a", 1)], [], 1)
    vault._database.execute("PRAGMA max_page_count = 1")
    with pytest.raises(StorageFailed, match="cannot be written: database or disk is full"):
        vault.write([row("b", 2), row("c", 3, b"x" * 100_000)], [("/pods", "default/a")], 3)
    vault.close()
    assert reopened(tmp_path) == ([row("a", 1)], 1)


def test_a_newer_format_is_refused_and_left_alone(tmp_path):
    Vault(tmp_path).close()
    database = sqlite3.connect(tmp_path / FILE)
    database.execute("PRAGMA user_version = 2")
    database.close()
    with pytest.raises(ConfigurationError, match=r"state.db has format 2, this kcm knows 1; use the newer"):
        Vault(tmp_path)


def test_the_database_of_another_program_is_refused_and_left_alone(tmp_path):
    database = sqlite3.connect(tmp_path / FILE)
    database.execute("CREATE TABLE bookmarks (url TEXT)")
    database.close()
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(ConfigurationError, match=r"state.db is not a sandbox's; name another directory"):
        Vault(tmp_path)
    assert (tmp_path / FILE).read_bytes() == before


def test_a_file_that_lost_its_middle_is_refused(tmp_path):
    vault = Vault(tmp_path)
    vault.write([row(str(number), number, b"x" * 500) for number in range(1, 500)], [], 499)
    vault.close()
    content = bytearray((tmp_path / FILE).read_bytes())
    content[8192:40960] = b"\xaa" * 32768
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"state.db is damaged: .*; restore it from a copy"):
        reopened(tmp_path)


def test_a_directory_is_held_by_one(tmp_path):
    vault = Vault(tmp_path)
    with pytest.raises(ConfigurationError, match=r"another sandbox .* is using it"):
        Vault(tmp_path)
    vault.close()
    Vault(tmp_path).close()


def test_a_directory_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"--data-dir: .*file/data: cannot be made: Not a directory"):
        Vault(tmp_path / "file" / "data")


class SlowVault:
    """Writes when it is let, and says what."""

    def __init__(self):
        self.batches = []
        self.go = threading.Semaphore(0)
        self.failing = False

    def write(self, rows, gone, version):
        self.go.acquire()
        if self.failing:
            raise StorageFailed("no room")
        self.batches.append(([each.key for each in rows], list(gone), version))

    def close(self):
        pass


def test_writes_of_one_turn_and_those_of_a_running_commit_share_a_transaction():
    async def scenario():
        vault = SlowVault()
        journal = Journal(vault, 0)
        for number in (1, 2):
            journal.note("/pods", f"default/{number}", number, row(str(number), number))
        await asyncio.sleep(0)
        for number in (3, 4):
            journal.note("/pods", f"default/{number}", number, row(str(number), number))
        journal.note("/pods", "default/3", 5, None)
        vault.go.release()
        await journal.settled(2)
        assert journal.durable == 2
        vault.go.release()
        await journal.settled(5)
        await journal.close()
        return vault.batches

    assert asyncio.run(scenario()) == [
        (["default/1", "default/2"], [], 2),
        (["default/4"], [("/pods", "default/3")], 5),
    ]


def test_after_a_failure_everybody_who_waits_is_told_and_nothing_more_is_written():
    async def scenario():
        vault = SlowVault()
        journal = Journal(vault, 0)
        vault.failing = True
        journal.note("/pods", "default/1", 1, row("1", 1))
        vault.go.release()
        told = await asyncio.gather(journal.settled(1), journal.failed(), return_exceptions=True)
        vault.failing = False
        journal.note("/pods", "default/2", 2, row("2", 2))
        told.append((await asyncio.gather(journal.settled(2), return_exceptions=True))[0])
        await journal.close()
        return told, vault.batches

    told, batches = asyncio.run(scenario())
    assert [str(each) for each in told] == ["no room"] * 3
    assert batches == []
