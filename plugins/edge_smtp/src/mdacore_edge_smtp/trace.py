"""Trace information: the Received field that this edge writes, and counting those that are there already.

Pure. Invariant: nothing in a field comes from a client without having been through the grammar or `sanitised`, so what
comes out is one header field, whatever the client says.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache

from mdacore import Client

_UNUSUAL = re.compile(r"[^A-Za-z0-9.:_\[\]-]")
_RECEIVED = re.compile(rb"^received[ \t]*:", re.IGNORECASE | re.MULTILINE)


def sanitised(helo: str) -> str:
    """A client's name for itself, fit for headers, logs and arguments: what is not of a domain becomes ``?``."""
    return _UNUSUAL.sub("?", helo)


def received_field(
    client: Client,
    *,
    hostname: str,
    transaction_id: str,
    recipients: Sequence[str],
    received_at: float,
    is_smtputf8: bool = False,
) -> bytes:
    """The Received field of RFC 5321 §4.4, folded, with its CRLF; in UTF-8 only where `is_smtputf8`.

    A recipient is named only where there is just one: otherwise each would learn of the others (RFC 5321 §7.2).
    """
    rcpt = ""
    if len(recipients) == 1 and (is_smtputf8 or recipients[0].isascii()):
        rcpt = f"\r\n\tfor <{recipients[0]}>"
    return (
        f"Received: from {client.helo}{_source(client)}\r\n"
        f"\tby {hostname} with {client.protocol} id {transaction_id}{rcpt};\r\n"
        f"\t{_date(int(received_at))}\r\n"
    ).encode()


def has_looped(head: bytes, *, max_hops: int) -> bool:
    """Whether the header that `head` begins with has more than `max_hops` Received fields (RFC 5321 §6.3)."""
    end = 0 if head.startswith(b"\r\n") else head.find(b"\r\n\r\n")
    end = len(head) if end < 0 else end
    if head.count(b"\n", 0, end) < max_hops:
        return False
    return sum(1 for _ in _RECEIVED.finditer(head, 0, end)) > max_hops


def _source(client: Client) -> str:
    """RFC 5321 §4.4's TCP-info. A name is only what a trusted proxy has looked up."""
    if not client.ip:
        return ""
    host = f"{client.host} " if client.host else ""
    return f" ({host}[{_literal(client.ip)}])"


def _literal(ip: str) -> str:
    return f"IPv6:{ip}" if ":" in ip else ip


@lru_cache(maxsize=4)
def _date(epoch_s: int) -> str:
    return format_datetime(datetime.fromtimestamp(epoch_s, UTC))
