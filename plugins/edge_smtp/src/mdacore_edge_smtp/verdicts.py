"""How what others say becomes one reply: validators of a command, Handoff of recipients, the disk of a body. Pure."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import attrs

from mdacore import LOCAL_ERROR, STORAGE_FULL, Identity, Reply

BAD_CREDENTIALS = Reply(code=535, enhanced="5.7.8", text="Authentication credentials invalid")
AUTHENTICATED = Reply(code=235, enhanced="2.7.0", text="Authentication successful")


def verdict(checks: Iterable[Callable[..., Reply | None]], default: Reply, *arguments: object) -> Reply:
    """Ask every check. The first refusal wins; else it is `default`, with the text of the last 2yz if there was one."""
    refusal: Reply | None = None
    for check in checks:
        reply = check(*arguments)
        if reply is None:
            continue
        if reply.code < 400:
            default = attrs.evolve(default, text=reply.text)
        elif refusal is None:
            refusal = reply
    return default if refusal is None else refusal


def auth_verdict(
    checks: Iterable[Callable[..., Identity | Reply | None]], *arguments: object
) -> tuple[Identity | None, Reply]:
    """Ask every check who this is: the first refusal wins, else the first identity; nobody knows him: 535.

    A 2yz without an identity is no opinion on who he is: it only replaces the text.
    """
    identities: list[Identity] = []

    def reply_of(check: Callable[..., Identity | Reply | None]) -> Reply | None:
        answer = check(*arguments)
        if isinstance(answer, Identity):
            identities.append(answer)
            return None
        return answer

    reply = verdict([partial(reply_of, check) for check in checks], AUTHENTICATED)
    if reply.is_success and not identities:
        return None, BAD_CREDENTIALS
    return (identities[0] if reply.is_success else None), reply


def reply_for_all(replies: Sequence[Reply]) -> Reply:
    """The one reply that SMTP has for a message, out of one for each recipient.

    They are equal unless the queue relays while the client waits. Then a 4yz is told before a 5yz, and both before
    success: a client that tries again makes duplicates, which is better than a recipient who is lost unnoticed.
    """
    return min(replies, key=_rank)


def reply_to_disk_error(error: OSError) -> Reply:
    """What a client is told when its message could not be spooled: no room, or nothing in particular."""
    return STORAGE_FULL if error.errno in (errno.ENOSPC, errno.EDQUOT) else LOCAL_ERROR


def _rank(reply: Reply) -> int:
    if reply.is_transient:
        return 0
    return 1 if reply.is_permanent else 2
