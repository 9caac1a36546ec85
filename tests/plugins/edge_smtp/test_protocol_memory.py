"""What a client sends does not stay: a megabyte of anything leaves at most a line and the last piece behind."""

from __future__ import annotations

import random

import pytest

from mdacore_edge_smtp.protocol import CLOSED, NEED_DATA, NEED_TLS, MessageOctets, MessageRefused

from .held_memory import held_bytes
from .protocol_proof import kind_of, new_protocol
from .reference import Rules, Scenario

RULES = Rules(
    max_line_bytes=2048,
    max_message_size_bytes=400_000,
    max_excess_bytes=2**20,
    max_recipients=1000,
    max_errors=10**9,
    max_idle_commands=10**9,
    max_messages=10**9,
    max_auth_failures=10**9,
    max_auth_line_bytes=12_288,
)
PIECE_BYTES = 16_384
CRLF = b"\r\n"
OVERHEAD_BYTES = 3_000
"""Readers, counts, one command with its parameters: measured at about half of that."""

TO_RCPT = b"MAIL FROM:<a@b> ENVID=" + b"x" * 90 + b"\r\nRCPT TO:<c@d>\r\n"
BEFORE = {
    "at a command": b"",
    "in a transaction": TO_RCPT,
    "in data": TO_RCPT + b"DATA\r\n",
    "in a chunk": TO_RCPT + b"BDAT 1000000\r\n",
    "in a chunk that nobody wants": b"BDAT 1000000\r\n",
    "in an exchange": b"AUTH LOGIN\r\n",
    "in a line that is skipped": b"NOOP\nx",
}
BULK = {
    "one octet": b"x",
    "stuffed dots": b"\r\n.." + b"x" * 60,
    "long lines": b"x" * 2046 + b"\r\n",
    "commands": b"MAIL FROM:<a@b> SIZE=1\r\nRCPT TO:<c@d> ORCPT=rfc822;"
    + b"x" * 400
    + b"\r\nNOOP "
    + b"x" * 300
    + CRLF,
    "exchanges": b"AUTH LOGIN " + b"QUJD" * 400 + b"\r\n" + b"QUJD" * 2000 + b"\r\n",
    "chunks": b"BDAT 400\r\n" + b"z" * 399 + b"\r",
    "randomness": random.Random(4).randbytes(5000),
}
DENSE = {"line ends": CRLF, "bare ones": b"\n\r", "ends": b"\r\n.\r\n", "nearly ends": b"\r\n.\r", "dots": b"\r\n.."}
"""Each of them is work for few octets: a megabyte would take seconds, and shows nothing more."""
JUNK = {name: (octets, 2**20) for name, octets in BULK.items()}
JUNK |= {name: (octets, 2**16) for name, octets in DENSE.items()}


@pytest.mark.parametrize("junk", JUNK)
@pytest.mark.parametrize("before", BEFORE)
def test_a_megabyte_of_junk_is_not_kept(before, junk):
    """Whether or not the connection survives it."""
    protocol, bare_bytes = started(BEFORE[before])
    word, size_bytes = JUNK[junk]
    octets = word * (size_bytes // len(word))
    longest_line = RULES.max_line_bytes + RULES.max_auth_line_bytes

    for begin in range(0, size_bytes, PIECE_BYTES):
        protocol.receive(octets[begin : begin + PIECE_BYTES])
        assert work_off(protocol) <= 2 * PIECE_BYTES + 4
        assert held_bytes(protocol) - bare_bytes <= longest_line + PIECE_BYTES + OVERHEAD_BYTES


def test_an_idle_connection_keeps_nothing_of_what_it_said():
    protocol, bare_bytes = started(TO_RCPT + b"DATA\r\n")

    protocol.receive(b"x" * 100_000 + b"\r\n.\r\n" + b"EHLO " + b"x" * 200 + b"\r\n")
    work_off(protocol)

    assert held_bytes(protocol) - bare_bytes <= OVERHEAD_BYTES


def started(before: bytes) -> tuple[object, int]:
    """Past EHLO and what is to come before; and how much it held after EHLO."""
    protocol = new_protocol(Scenario(pieces=(), rules=RULES))
    work_off(protocol)
    protocol.receive(b"EHLO c\r\n")
    work_off(protocol)
    bare_bytes = held_bytes(protocol)
    protocol.receive(before)
    work_off(protocol)
    return protocol, bare_bytes


def work_off(protocol) -> int:
    """Answer all questions well; the length of the longest piece of a message that came out."""
    longest = 0
    answers = Scenario(pieces=())
    while (event := protocol.next_event()) not in (NEED_DATA, NEED_TLS, CLOSED):
        if isinstance(event, MessageOctets):
            longest = max(longest, len(event.data))
        elif not isinstance(event, MessageRefused):
            protocol.answer(answers.answer(0, kind_of(event)))
    protocol.data_to_send()
    return longest
