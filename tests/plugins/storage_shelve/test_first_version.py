"""Case 78: a store as the first version wrote it, octet for octet, is opened and goes on."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from mdacore import Settlement, State
from mdacore.testing.messages import content_of
from mdacore.testing.storage_samples import DELIVERED, listed

DUMP = Path(__file__).with_name("first_version.sql")
STORE_ID = "fea3735c-0c99-4b06-ad63-83a894ea0ebf"
BODY = b"Subject: hello\r\n\r\n\0 any octets \xff\r\n"


@pytest.fixture
def first(path):
    """Made without this package: what the package writes today must not decide what it reads."""
    (path / "bodies").mkdir(parents=True)
    (path / "mdacore-store").write_text(f"mdacore shelve store\n{STORE_ID}\n")
    with contextlib.closing(sqlite3.connect(path / "queue.db")) as connection:
        connection.executescript(
            "PRAGMA page_size = 8192; PRAGMA application_id = 0x6D646171; PRAGMA user_version = 1;"
        )
        connection.executescript(DUMP.read_text())
    return path


def test_case_078_everything_is_there_and_goes_on(first, open_storage, clock):
    storage = open_storage()

    deferred, held = listed(storage)
    assert ("zthq0000000001", State.DUE, 1) == (deferred.queue_id, deferred.state, deferred.attempts)
    assert ["carol@example.test"] == [address for address, _ in deferred.recipients]
    assert (State.HELD, "odd") == (held.state, held.held)
    (claim,) = storage.claim("main", 5)
    message = storage.read(claim)
    assert BODY == content_of(message.envelope)
    storage.settle(claim, Settlement(closed={1: DELIVERED}))
    assert [held.queue_id] == [entry.queue_id for entry in listed(open_storage())]
