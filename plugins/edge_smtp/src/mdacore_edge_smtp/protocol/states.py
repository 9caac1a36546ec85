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
        chunk_refusal: the reply to BDAT, whose octets are read and thrown away all the same; None = in order.
    """

    name: str
    refuses: Mapping[bytes, Reply] = attrs.field(factory=dict, repr=False)
    chunk_refusal: Reply | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True, eq=False)
class Order:
    """The states of one protocol.

    Attributes:
        stranger: has not said EHLO.
        idle: no transaction is open.
        mail: the sender is accepted; `mail_no_rcpt`: and all recipients so far are refused.
        rcpt: a recipient is accepted.
        chunks: a chunk of the message has arrived, but not the last.
        spoilt: a chunk of the message was refused.
    """

    stranger: State
    idle: State
    mail: State
    mail_no_rcpt: State
    rcpt: State
    chunks: State
    spoilt: State


def _order(hello_first: Reply, no_valid_rcpt: Reply) -> Order:
    after_hello = (b"MAIL", b"RCPT", b"DATA", b"STARTTLS", b"AUTH", b"XCLIENT")
    open_already = {
        b"MAIL": replies.NESTED_MAIL,
        b"AUTH": replies.IN_TRANSACTION,  # RFC 4954 §4
        b"XCLIENT": replies.IN_TRANSACTION,
    }
    in_chunks = {**open_already, b"RCPT": replies.IN_CHUNKS}
    only_reset = dict.fromkeys((b"MAIL", b"RCPT", b"DATA", b"AUTH", b"XCLIENT"), replies.RESET_FIRST)
    return Order(
        stranger=State("no EHLO yet", dict.fromkeys(after_hello, hello_first), hello_first),
        idle=State("no transaction", {b"RCPT": replies.MAIL_FIRST, b"DATA": replies.MAIL_FIRST}, replies.MAIL_FIRST),
        mail=State("sender accepted", {**open_already, b"DATA": replies.RCPT_FIRST}, replies.RCPT_FIRST),
        mail_no_rcpt=State("recipients refused", {**open_already, b"DATA": no_valid_rcpt}, no_valid_rcpt),
        rcpt=State("recipients accepted", open_already),
        chunks=State("chunks accepted", in_chunks),
        spoilt=State("a chunk refused", only_reset, replies.RESET_FIRST),
    )


SMTP_ORDER = _order(replies.HELLO_FIRST, replies.NO_VALID_RCPT)
LMTP_ORDER = _order(replies.LHLO_FIRST, replies.RCPT_FIRST)  # RFC 2033 §4.2: 503
