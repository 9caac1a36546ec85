"""Errors that cross a package boundary, each with the reply that it becomes, and a policy's verdicts.

Whatever is not in here is a bug of whoever raised it: the fences turn it into a ComponentFailure, and mail is deferred.
The text of a reply is fixed and generic; the cause stays in the exception's chain, for the log.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from mdacore.words.reply import Reply, printable

LOCAL_ERROR = Reply(code=451, enhanced="4.3.0", text="Local error, try again later")
STORAGE_FULL = Reply(code=452, enhanced="4.3.1", text="Insufficient system storage")


class MdaError(Exception):
    """An error with the reply that a client or the retry table gets to see.

    Attributes:
        reply: what it becomes; ``451 4.3.0`` where nothing better is known.
        component: the instance that it came from, ``"relays.local"``; filled in by the fence when left out.
    """

    def __init__(self, message: str = "", *, reply: Reply = LOCAL_ERROR, component: str = "") -> None:
        super().__init__(message or str(reply))
        self.reply = reply
        self.component = component


class ComponentFailure(MdaError):
    """A plugin raised something else, overran its deadline or answered with rubbish."""


class StorageError(MdaError):
    """The storage did not take it; nothing was stored."""


class StorageFull(StorageError):
    """No room: 452 4.3.1; nothing was stored."""

    def __init__(self, message: str = "", *, component: str = "") -> None:
        super().__init__(message, reply=STORAGE_FULL, component=component)


class OutcomeUnknown(StorageError):
    """The commit had begun and its end is not known: it may be stored. Never answered with success."""


class ClaimLost(StorageError):
    """Somebody else owns this message now; whatever the late owner wanted to record was not recorded."""


class Rejection(MdaError):
    """A policy's verdict: refuse the message for good. The reply is 5yz."""

    def __init__(self, reply: Reply) -> None:
        if not reply.is_permanent:
            raise ValueError(f"a rejection needs a 5yz reply, not {reply}")
        super().__init__(reply=reply)


class Deferral(MdaError):
    """A policy's verdict: refuse the message for now. The reply is 4yz."""

    def __init__(self, reply: Reply) -> None:
        if not reply.is_transient:
            raise ValueError(f"a deferral needs a 4yz reply, not {reply}")
        super().__init__(reply=reply)


class Discard(Exception):
    """A policy's verdict: take the message and drop it, for the log's `reason`."""

    def __init__(self, reason: str) -> None:
        self.reason = printable(reason)
        super().__init__(self.reason)


class Hold(Exception):
    """A policy's verdict: store the message and attempt nothing until an operator releases it."""

    def __init__(self, reason: str) -> None:
        self.reason = printable(reason) or "no reason given"
        super().__init__(self.reason)


@attrs.frozen
class Problem:
    """One thing wrong with a configuration.

    Attributes:
        key: the TOML path, ``"relays.local.path"``; ``""`` = the whole.
        text: what is wrong and, where known, what would be right.
        origin: where the value came from, ``"mda.toml:12"`` or ``"MDACORE__RELAYS__LOCAL__PATH"``; ``""`` = a default.
    """

    key: str
    text: str
    origin: str = ""

    def __str__(self) -> str:
        return ": ".join(part for part in (self.origin, self.key, self.text) if part)


class ConfigError(Exception):
    """The configuration cannot work; carries every problem at once. Nothing was started or created."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class StartError(MdaError):
    """A component could not start: what was started before it has been stopped again."""
