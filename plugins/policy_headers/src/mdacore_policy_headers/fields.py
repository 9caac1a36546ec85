"""The fields that this policy can write, from the facts in the envelope. Pure but for the random half of an id.

Invariant: whatever the client said of itself, each field is one field, and nothing in it can be taken for something
else: names that are not plain become ``unknown``.
"""

from __future__ import annotations

import re
import secrets
import time

from mdacore import Client, Envelope

DOMAIN = re.compile(r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63}){0,126}")
"""A host's name, in which underscores happen (RFC 5321 §4.1.2 has none)."""

_HELO = re.compile(r"[A-Za-z0-9_.:-]{1,255}|\[[A-Za-z0-9.:-]{1,255}\]")
_ADDRESS = re.compile(r"[0-9A-Fa-f.:]{2,45}")
_PROTOCOL = re.compile(r"[A-Za-z0-9-]{1,32}")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_ID_BYTES = 10


def date_time(epoch_s: float) -> str:
    """``"Wed, 15 Nov 2023 06:13:20 +0000"`` (RFC 5322 §3.3), always in UTC and in English."""
    at = time.gmtime(epoch_s)
    day = f"{_DAYS[at.tm_wday]}, {at.tm_mday:02} {_MONTHS[at.tm_mon - 1]} {at.tm_year:04}"
    return f"{day} {at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02} +0000"


def date_field(envelope: Envelope) -> bytes:
    """Date: when the message arrived."""
    return f"Date: {date_time(envelope.received_at)}\r\n".encode()


def message_id_field(envelope: Envelope, hostname: str) -> bytes:
    """Message-Id (RFC 5322 §3.6.4): the arrival in epoch seconds and 80 random bits, so unique across restarts too."""
    return f"Message-Id: <{int(envelope.received_at)}.{secrets.token_hex(_ID_BYTES)}@{hostname}>\r\n".encode()


def received_field(envelope: Envelope, hostname: str) -> bytes:
    """Received (RFC 5321 §4.4). Names no recipient: the others need not know of each other."""
    client = envelope.client
    source = f"from {_source(client)}\r\n\t" if client.ip else ""
    protocol = f" with {client.protocol}" if _PROTOCOL.fullmatch(client.protocol) else ""
    return f"Received: {source}by {hostname}{protocol};\r\n\t{date_time(envelope.received_at)}\r\n".encode()


def _source(client: Client) -> str:
    """``helo (host [192.0.2.1])``."""
    host = client.host if DOMAIN.fullmatch(client.host) else "unknown"
    address = client.ip if _ADDRESS.fullmatch(client.ip) else "unknown"
    literal = f"IPv6:{address}" if ":" in address else address
    return f"{client.helo if _HELO.fullmatch(client.helo) else 'unknown'} ({host} [{literal}])"
