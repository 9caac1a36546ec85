"""Lines of the control socket."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdacore.contracts import Change, State
from mdacore.service.control.requests import (
    MAX_IDS,
    Amend,
    HealthOf,
    Malformed,
    Ping,
    Store,
    encode,
    parse_request,
    request_facts,
)
from mdacore.words import QueueId

AMEND = Amend(
    storage="spool",
    queue_ids=(QueueId("74k80000000001"),),
    states=(State.DUE, State.HELD),
    attempts=3,
    change=Change.DUE_NOW,
)
STORE = Store(queue="main", envelope={"sender": "ä"}, held="", due_at=1.5, key="import 1", size_bytes=10)


@pytest.mark.parametrize("request_", [Ping(), HealthOf(), AMEND, STORE])
def test_a_request_comes_back_as_it_was(request_):
    line = encode(request_facts(request_))

    assert request_ == parse_request(line.removesuffix(b"\n"))
    assert (1, True) == (line.count(b"\n"), line.isascii())


@given(st.binary(max_size=200))
def test_any_octets_are_malformed(line):
    with pytest.raises(Malformed):
        parse_request(line)


@pytest.mark.parametrize(
    "line",
    [b"[" * 200_000, b"1" * 100_000, b"null", b'{"v": 1}', b'{"v": 1, "do": ["ping"]}', b'{"v": 1, "do": "amend"}'],
    ids=lambda line: line[:20].decode(),
)
def test_what_is_json_only_by_half_is_malformed(line):
    with pytest.raises(Malformed):
        parse_request(line)


@pytest.mark.parametrize("version", [0, 2, "1", None, {"x": "y" * 1000}])
def test_another_version_is_refused_in_a_short_sentence(version):
    with pytest.raises(Malformed, match=r"^version .{1,20}; this program speaks version 1$"):
        parse_request(json.dumps({"v": version, "do": "ping"}).encode())


@pytest.mark.parametrize(
    "change",
    [
        {"queue_ids": []},
        {"queue_ids": ["../../etc/passwd"]},
        {"queue_ids": ["74k80000000001\n"]},
        {"queue_ids": ["--help"]},
        {"queue_ids": "74k80000000001"},
        {"queue_ids": ["74k80000000001"] * (MAX_IDS + 1)},
        {"states": ["due", "gone"]},
        {"attempts": -1},
        {"attempts": True},
        {"change": "explode"},
        {"storage": None},
    ],
    ids=str,
)
def test_a_change_that_names_nothing_legal_is_malformed(change):
    """Case 72: ids are matched whole."""
    with pytest.raises(Malformed):
        parse_request(json.dumps({"v": 1, **request_facts(AMEND), **change}).encode())


@pytest.mark.parametrize("change", [{"size_bytes": -1}, {"size_bytes": 2**60}, {"due_at": "now"}, {"envelope": "x"}])
def test_a_message_that_cannot_be_is_malformed(change):
    with pytest.raises(Malformed):
        parse_request(json.dumps({"v": 1, **request_facts(STORE), **change}).encode())
