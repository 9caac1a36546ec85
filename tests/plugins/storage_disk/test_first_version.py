"""Case 78: a store as the first version wrote it, octet for octet, is opened and goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from mdacore import Settlement, State
from mdacore.testing.messages import content_of
from mdacore.testing.storage_samples import DELIVERED, listed

HERE = Path(__file__).parent
BODY = b"Subject: hello\r\n\r\n\0 any octets \xff\r\n"
MARKER = "mdacore disk store\nformat 1\nf4c64f4d-8a19-4a6e-95e3-016929ea0658\n"
NAME = "yk340000000001000"


@pytest.fixture
def first(path):
    """Made without this package: what the package writes today must not decide what it reads."""
    for name in ("tmp", "corrupt", *(f"messages/{number:02x}" for number in range(64))):
        (path / name).mkdir(parents=True)
    (path / "mdacore-store").write_text(MARKER)
    (path / "next-number").write_text("65537 41c055ec\n")
    for ending in (".msg", ".log"):
        (path / "messages" / "00" / (NAME + ending)).write_bytes((HERE / f"first_version{ending}").read_bytes())
    return path


def test_case_078_everything_is_there_and_goes_on(first, open_storage, clock):
    storage = open_storage()

    deferred, held = listed(storage)
    assert (NAME, State.DUE, 1) == (deferred.queue_id, deferred.state, deferred.attempts)
    assert ["carol@example.test"] == [address for address, _ in deferred.recipients]
    assert (State.HELD, "odd") == (held.state, held.held)
    (claim,) = storage.claim("main", 5)
    message = storage.read(claim)
    assert BODY == content_of(message.envelope)
    storage.settle(claim, Settlement(closed={1: DELIVERED}))
    assert [held.queue_id] == [entry.queue_id for entry in listed(open_storage())]
