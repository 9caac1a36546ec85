"""The messages that the clients send, with LF at their ends of lines; what is hard about each is in its name."""

from __future__ import annotations

HEADER = """\
From: Alice <alice@example.org>
To: Bob <bob@example.test>
Date: Mon, 2 Nov 2026 10:00:00 +0100
Message-ID: <{name}@example.org>
Subject: {name}
"""


def message(name: str, body: bytes = b"Hello Bob\n", *fields: bytes) -> bytes:
    """With all fields that a submission server would add."""
    return HEADER.format(name=name).encode() + b"".join(field + b"\n" for field in fields) + b"\n" + body


PLAIN = message("plain")
DOTS = message("dots", b".\n..\n.dot\n\n. \n...three\nend.\n.\n")
LONG_LINES = message("long", b"x" * 990 + b"\n" + b"." * 998 + b"\n" + b"y" * 70_000 + b"\n")
EIGHT_BIT = message(
    "eight",
    "Grüße\n".encode() + bytes(range(0xA0, 0x100)) + b"\n",
    b"MIME-Version: 1.0",
    b"Content-Type: text/plain; charset=utf-8",
    b"Content-Transfer-Encoding: 8bit",
)
INTERNATIONAL = message("international", "Grüße\n".encode(), "X-Name: Jürgen <jürgen@grüße.test>".encode())
TEN_MB = message("large", (b"0123456789" * 7 + b"\n") * (10 * 2**20 // 71))

SMALL = {"plain": PLAIN, "dots": DOTS, "long": LONG_LINES, "eight bit": EIGHT_BIT}
ALL = {**SMALL, "10 MB": TEN_MB}
