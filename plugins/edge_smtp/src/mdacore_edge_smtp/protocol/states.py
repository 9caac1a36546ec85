"""The states of a session between messages, and the order of commands as a table (RFC 5321 §4.1.4).

A command that a state does not refuse is in order there.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from mdacore import Reply
from mdacore_edge_smtp.protocol import replies


@attrs.frozen(eq=False)
class State:
    """Where a session stands.

    Attributes:
        refuses: the commands that are out of order here, with their reply.
    """

    name: str
    refuses: Mapping[bytes, Reply] = attrs.field(factory=dict, repr=False)


STRANGER = State(
    "no EHLO yet",
    {b"MAIL": replies.HELLO_FIRST, b"RCPT": replies.HELLO_FIRST, b"DATA": replies.HELLO_FIRST},
)
IDLE = State("no transaction", {b"RCPT": replies.MAIL_FIRST, b"DATA": replies.MAIL_FIRST})
MAIL = State("sender accepted", {b"MAIL": replies.NESTED_MAIL, b"DATA": replies.RCPT_FIRST})
MAIL_NO_RCPT = State("recipients refused", {b"MAIL": replies.NESTED_MAIL, b"DATA": replies.NO_VALID_RCPT})
RCPT = State("recipients accepted", {b"MAIL": replies.NESTED_MAIL})
CLOSED = State("closed")
