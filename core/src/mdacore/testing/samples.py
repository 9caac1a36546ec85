"""Odd messages: legal Envelopes, each of a kind that has broken somebody's plugin. The contract suites send them all.

What no edge lets through is in here too where the type allows it: an address is any text, a body any octets with CRLF.
Pure: no gevent, no pytest.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import attrs

from mdacore.testing.messages import MESSAGE, make_envelope
from mdacore.words import Client, Content, Envelope, MemoryBody, SessionId

ODD_MESSAGES: Mapping[str, bytes] = MappingProxyType(
    {
        "nothing": b"",
        "only_line_ends": b"\r\n\r\n\r\n",
        "no_header": b"Hello, this is no field\r\n\r\nand no body\r\n",
        "no_body": b"Subject: hello\r\n",
        "no_line_end": b"Subject: hello\r\n\r\nbroken of",
        "no_empty_line": b"Subject: hello\r\nand on it goes\r\n",
        "continuation_first": b" folded onto nothing\r\nSubject: hello\r\n\r\n\r\n",
        "mbox_line_first": b"From alice Thu Jan  1 00:00:00 1970\r\nSubject: hello\r\n\r\n.\r\n..\r\n",
        "nameless_field": b": no name\r\n\r\n",
        "nul_and_8_bit_header": b"Subject: \x00 \xff\xfe \xc3\x28\r\nX-\xff: odd\r\n\r\nbody\r\n",
        "nul_and_8_bit_body": b"Subject: hello\r\n\r\n\x00\x01\x80\xff \x85 \x0b\x0c\r\n",
        "field_of_300_kb": b"Subject: " + b"x" * 300_000 + b"\r\n\r\nbody\r\n",
        "header_of_5000_fields": b"X-Field: value\r\n" * 5000 + b"\r\nbody\r\n",
        "field_of_5000_lines": b"Subject:" + b" word\r\n" * 5000 + b"\r\nbody\r\n",
        "line_of_300_kb": b"Subject: hello\r\n\r\n" + b"x" * 300_000 + b"\r\n",
        "broken_mime": b"Content-Type: multipart/mixed; boundary=\r\n\r\n--\r\nContent-Type: ;;;\r\n\r\n--\r\n",
        "twice_the_same_fields": b"From: a\r\nFrom: b\r\nDate: x\r\nDate:\r\nMessage-ID:\r\nReceived:\r\n\r\n",
    }
)

ODD_ADDRESSES: Mapping[str, str] = MappingProxyType(
    {
        "quoted_space": '"a b"@example.test',
        "quoted_at": '"@"@example.test',
        "quoted_quote": '"a\\"b"@example.test',
        "leading_dash": "-x@example.test",
        "pipe": "|x@example.test",
        "shell": "$(id);`id`@example.test",
        "format": "%s{0.__class__}@example.test",
        "path": "../../etc/passwd@example.test",
        "line_feed": "a\nb@example.test",
        "nul": "a\x00b@example.test",
        "unicode": "bücher@münchen.test",
        "surrogate": "\udcff@example.test",
        "bare_name": "postmaster",
        "at_sign": "@",
        "empty": "",
        "long_local_part": "x" * 300 + "@example.test",
        "long_domain": "bob@" + "y" * 300 + ".test",
        "address_literal": "bob@[192.0.2.1]",
    }
)


def odd_envelopes(address: str) -> Mapping[str, Envelope]:
    """An odd envelope for each name in `ODD`; where the address itself is not what is odd, it is this one."""
    plain = make_envelope(address)
    odd = {name: plain.with_content(Content(MemoryBody(message))) for name, message in ODD_MESSAGES.items()}
    odd |= {f"to_{name}": make_envelope(given) for name, given in ODD_ADDRESSES.items()}
    return odd | {
        "null_sender": attrs.evolve(plain, sender=""),
        "odd_sender": attrs.evolve(plain, sender="-f\n\x00\udcff@"),
        "client_of_odd_names": attrs.evolve(plain, client=_odd_client()),
        "edited_header": plain.with_content(Content(MemoryBody(MESSAGE)).remove(b"subject").prepend(b"X: \xff\r\n")),
        "twice_the_same_recipient": make_envelope(address, address),
        "from_1970": attrs.evolve(plain, received_at=0.0),
    }


def _odd_client() -> Client:
    return Client(
        ip="fe80::1%eth0", host="h\r\nX: y", helo="()", protocol="?", identity="\udcff", session_id=SessionId("s")
    )


ODD = tuple(odd_envelopes("bob@example.test"))
"""The names of the odd envelopes."""
