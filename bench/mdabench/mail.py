"""The messages and mailboxes of those measurements that do not send over SMTP; the load generator has the same."""

from __future__ import annotations

MAILBOXES = 100
SENDER = "sender@example.org"
_LINE = b"abcdefghijklmnopqrstuvwxyz0123456789 abcdefghijklmnopqrstuvwxyz0123456789\r\n"


def user(number: int) -> str:
    """A mailbox's local part."""
    return f"user{number % MAILBOXES}"


def address(number: int) -> str:
    """A mailbox's address."""
    return f"{user(number)}@example.test"


def message(size_bytes: int) -> bytes:
    """Header and body of this size, with CRLF."""
    header = (
        b"From: <sender@example.org>\r\nTo: <user@example.test>\r\nSubject: a message\r\n"
        b"Date: Mon, 01 Jan 2024 00:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n\r\n"
    )
    text = header + _LINE * (size_bytes // len(_LINE) + 1)
    return text[: size_bytes - 2] + b"\r\n"
