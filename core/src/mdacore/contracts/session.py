"""What policies may say while a client talks: the session they see, and Validators, the checks they contribute.

All checks of a stage are asked, in the configured order. The first 4yz or 5yz wins; a 2yz only replaces the text; None
is no opinion. A 421 or 521 also closes the connection. A check that raises or overruns is settled by its policy's
`on_error`; the connection stays open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import attrs

from mdacore.words import Client, Envelope, Reply


class Session(Protocol):
    """One connection's state, to be read; it belongs to the edge and changes as the session goes on."""

    @property
    def client(self) -> Client:
        """The facts known so far; RFC 5321's EHLO, TLS and AUTH each add some."""

    @property
    def sender(self) -> str | None:
        """The open transaction's reverse-path, None outside of one."""

    @property
    def recipients(self) -> Sequence[str]:
        """The addresses accepted so far in this transaction."""

    @property
    def is_tls(self) -> bool:
        """The connection is encrypted."""

    @property
    def notes(self) -> dict[str, object]:
        """Validators' own memory for this session, under keys that begin with their plugin's name."""


@attrs.frozen(kw_only=True)
class Greeting:
    """EHLO, HELO or LHLO: the verb and the name as it was sent, decoded, not yet sanitised."""

    verb: str
    name: str


@attrs.frozen(kw_only=True)
class Credentials:
    """What AUTH gave: the mechanism, who authenticates, whom it wants to act for (RFC 4422 §3.4.1), and the secret.

    The secret never goes into a log, a reply or `repr`.
    """

    mechanism: str
    authcid: str
    authzid: str = ""
    secret: str = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class Identity:
    """Who an auth validator found the client to be; the name goes to logs and to `Client.identity`."""

    name: str


@attrs.frozen(kw_only=True)
class MailCommand:
    """MAIL FROM: the sender (``""`` = null sender) and the ESMTP parameters, upper-case keyword to value or ``""``."""

    sender: str
    size_bytes: int = 0
    parameters: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class RcptCommand:
    """RCPT TO: the address, in a domain that the edge accepts, and the ESMTP parameters."""

    address: str
    parameters: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Handed:
    """A message that was handed off, with the replies it got, in the order of its recipients."""

    envelope: Envelope
    replies: Sequence[Reply]


class ConnectCheck(Protocol):
    """At connect, before the greeting is sent."""

    def __call__(self, session: Session, /) -> Reply | None: ...


class HeloCheck(Protocol):
    """At EHLO, HELO and LHLO."""

    def __call__(self, session: Session, greeting: Greeting, /) -> Reply | None: ...


class AuthCheck(Protocol):
    """At the end of AUTH. An Identity authenticates, a Reply refuses, all None is 535. No check, no AUTH."""

    def __call__(self, session: Session, credentials: Credentials, /) -> Identity | Reply | None: ...


class MailCheck(Protocol):
    """At MAIL, when the edge itself has no objection."""

    def __call__(self, session: Session, command: MailCommand, /) -> Reply | None: ...


class RcptCheck(Protocol):
    """At RCPT, when syntax and the configured domains have no objection."""

    def __call__(self, session: Session, command: RcptCommand, /) -> Reply | None: ...


class DataCheck(Protocol):
    """At DATA or the first BDAT, before 354."""

    def __call__(self, session: Session, /) -> Reply | None: ...


class MessageCheck(Protocol):
    """When the message has arrived whole, before Handoff."""

    def __call__(self, session: Session, envelope: Envelope, /) -> Reply | None: ...


class QueuedCheck(Protocol):
    """After Handoff, before the reply; an objection comes too late for the message, only a 2yz text is used."""

    def __call__(self, session: Session, handed: Handed, /) -> Reply | None: ...


class SessionCheck(Protocol):
    """At RSET, and after a TLS handshake."""

    def __call__(self, session: Session, /) -> Reply | None: ...


@attrs.frozen(kw_only=True)
class Validators:
    """The stages at which one policy speaks; a misspelt stage is a TypeError when the service is assembled."""

    connect: ConnectCheck | None = None
    helo: HeloCheck | None = None
    auth: AuthCheck | None = None
    mail: MailCheck | None = None
    rcpt: RcptCheck | None = None
    data: DataCheck | None = None
    message: MessageCheck | None = None
    queued: QueuedCheck | None = None
    reset: SessionCheck | None = None
    tls: SessionCheck | None = None


@attrs.frozen(kw_only=True)
class Chain:
    """All validators of an edge, compiled at start: for each stage the checks to ask, fenced, in the configured order.

    An empty tuple means that nobody speaks at that stage: the edge then need not build the call's argument.
    """

    connect: tuple[ConnectCheck, ...] = ()
    helo: tuple[HeloCheck, ...] = ()
    auth: tuple[AuthCheck, ...] = ()
    mail: tuple[MailCheck, ...] = ()
    rcpt: tuple[RcptCheck, ...] = ()
    data: tuple[DataCheck, ...] = ()
    message: tuple[MessageCheck, ...] = ()
    queued: tuple[QueuedCheck, ...] = ()
    reset: tuple[SessionCheck, ...] = ()
    tls: tuple[SessionCheck, ...] = ()
