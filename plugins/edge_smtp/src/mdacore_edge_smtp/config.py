"""The configuration of an edge, and which values cannot be right; checks.py has what else can be wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

import attrs
from attrs.validators import deep_iterable, in_

from mdacore import Seconds, SizeBytes
from mdacore_edge_smtp.listeners import parse_address, parse_mode
from mdacore_edge_smtp.mailboxes import is_address, is_mail_domain
from mdacore_edge_smtp.networks import Networks
from mdacore_edge_smtp.protocol import is_domain
from mdacore_edge_smtp.tls_config import TlsConfig

_MAX_AUTHSERV_ID_CHARS = 255


def _at_least(least: float) -> Any:
    def check(_: object, __: object, value: float) -> None:
        if value < least:
            raise ValueError(f"{value} is less than {least}")

    return check


def _at_most(most: float) -> Any:
    def check(_: object, __: object, value: float) -> None:
        if value > most:
            raise ValueError(f"{value} is more than {most}")

    return check


def _above_zero(_: object, __: object, value: float) -> None:
    if value <= 0:
        raise ValueError(f"{value} is not above 0")


def _addresses(_: object, __: object, value: tuple[str, ...]) -> None:
    for text in value:
        parse_address(text)


def _listen(config: SmtpConfig, _: object, value: tuple[str, ...]) -> None:
    if not value and not config.listen_tls:
        raise ValueError("there is no address to listen on")
    _addresses(config, _, value)


def _domain(_: object, __: object, value: str) -> None:
    if not is_domain(value):
        raise ValueError(f"{value!r} is not a domain like example.com or an address literal like [192.0.2.1]")


def _domain_or_empty(_: object, __: object, value: str) -> None:
    if value:
        _domain(_, __, value)


def _mail_domain(_: object, __: object, value: str) -> None:
    if not is_mail_domain(value):
        raise ValueError(f"{value!r} is not a domain like example.com or an address literal like [192.0.2.1]")


def _address(_: object, __: object, value: str) -> None:
    if not is_address(value):
        raise ValueError(f"{value!r} is not an address like bob@example.com")


def _address_or_empty(_: object, __: object, value: str) -> None:
    if value:
        _address(_, __, value)


def _known_address(_: object, __: object, value: str) -> None:
    if not (is_mail_domain(value[1:]) if value.startswith("@") else is_address(value)):
        raise ValueError(f"{value!r} is not an address like bob@example.com, or a domain like @example.com")


def _delimiter(_: object, __: object, value: str) -> None:
    if not value.isprintable() or set(value) & set('@"\\ '):
        raise ValueError(f"{value!r} cannot stand in an address")


def _authserv_ids(_: object, __: object, value: tuple[str, ...] | None) -> None:
    for name in value or ():
        if not (name.isprintable() and 1 <= len(name) <= _MAX_AUTHSERV_ID_CHARS) or set(name) & set(' ;()"'):
            raise ValueError(f"{name!r} is not a name like mx.example.com")


def _mode(_: object, __: object, value: str) -> None:
    parse_mode(value)


def _networks(_: object, __: object, value: tuple[str, ...]) -> None:
    Networks(value)


@attrs.frozen(kw_only=True)
class SmtpConfig:
    """One ``[edges.<name>]`` table with ``kind = "smtp"``."""

    is_lmtp: ClassVar[bool] = False

    listen: tuple[str, ...] = attrs.field(
        default=("127.0.0.1:2525",),
        validator=_listen,
        metadata={"help": "Where to listen: 127.0.0.1:25, [::]:25 (IPv4 as well) or unix:/path."},
    )
    listen_tls: tuple[str, ...] = attrs.field(
        default=(),
        validator=_addresses,
        metadata={"help": "Where to listen for clients that begin with TLS, as on port 465 (RFC 8314)."},
    )
    socket_mode: str = attrs.field(
        default="0600",
        validator=_mode,
        metadata={"help": "Who may connect to UNIX sockets, as a mode: 0660 lets their group in as well."},
    )
    socket_group: str = attrs.field(
        default="",
        metadata={"help": "The group of such a socket; empty means the service's own."},
    )
    tls: TlsConfig = attrs.field(
        default=TlsConfig(),
        metadata={"help": "Certificates: with one, STARTTLS is offered on the addresses of listen."},
    )
    proxy_protocol_from: tuple[str, ...] = attrs.field(
        default=(),
        validator=_networks,
        metadata={"help": "Networks of proxies; given, TCP connections must come from there, with a PROXY header."},
    )
    proxy_timeout_s: Seconds = attrs.field(
        default=Seconds(5.0),
        validator=_above_zero,
        metadata={"help": "How long a proxy may take for its PROXY header."},
    )
    greet_delay_s: Seconds = attrs.field(
        default=Seconds(0.0),
        validator=[_at_least(0), _at_most(60)],
        metadata={"help": "How long the greeting is held back, to catch clients that talk before their turn."},
    )
    domains: tuple[str, ...] = attrs.field(
        default=(),
        validator=deep_iterable(_mail_domain),
        metadata={"help": "The domains that mail is accepted for; empty means localhost and the host's own name."},
    )
    recipients: tuple[str, ...] = attrs.field(
        default=(),
        validator=deep_iterable(_known_address),
        metadata={"help": "Who gets mail there: addresses, or @example.com for all of it; empty means everybody."},
    )
    recipients_file: Path | None = attrs.field(
        default=None,
        metadata={"help": "A file with more of them, `address action` a line; read again when it changes."},
    )
    catch_all: str = attrs.field(
        default="",
        validator=_address_or_empty,
        metadata={"help": "Where mail for unknown recipients goes; empty means that it is refused."},
    )
    recipient_delimiter: str = attrs.field(
        default="+",
        validator=_delimiter,
        metadata={"help": "What separates a recipient from a sub-address, as in bob+lists@; empty = nothing does."},
    )
    postmaster: str = attrs.field(
        default="",
        validator=_address_or_empty,
        metadata={"help": "Where mail for postmaster at any of the domains goes; empty means where it is sent."},
    )
    relay_for_authenticated: bool = attrs.field(
        default=False, metadata={"help": "Whoever has authenticated may send to any domain."}
    )
    relay_networks: tuple[str, ...] = attrs.field(
        default=(),
        validator=_networks,
        metadata={"help": "Clients in these networks may send to any domain without authentication."},
    )
    require_tls: bool = attrs.field(
        default=False, metadata={"help": "Refuse MAIL with 530 before the connection is encrypted."}
    )
    require_auth: bool = attrs.field(
        default=False, metadata={"help": "Refuse MAIL with 530 before the client has authenticated."}
    )
    auth_without_tls: bool = attrs.field(
        default=False, metadata={"help": "Offer AUTH on connections in clear: passwords can then be overheard."}
    )
    xclient_from: tuple[str, ...] = attrs.field(
        default=(),
        validator=_networks,
        metadata={"help": "Networks of proxies that may say with XCLIENT who their client is; it is believed."},
    )
    hostname: str = attrs.field(
        default="",
        validator=_domain_or_empty,
        metadata={"help": "The name in the greeting and in Received fields; empty means the service's own."},
    )
    authserv_ids: tuple[str, ...] | None = attrs.field(
        default=None,
        validator=_authserv_ids,
        metadata={
            "help": "Names of ours: Authentication-Results that claim one are removed (RFC 8601 §5); "
            "by default the host names over SMTP, and none over LMTP."
        },
    )
    received: bool = attrs.field(
        default=True, metadata={"help": "Put a Received field on top of each message, as RFC 5321 §4.4 demands."}
    )
    max_message_size_bytes: SizeBytes = attrs.field(
        default=SizeBytes(50 * 2**20),
        validator=_above_zero,
        metadata={"help": "The largest message that is accepted; SIZE announces it."},
    )
    max_excess_bytes: SizeBytes = attrs.field(
        default=SizeBytes(16 * 2**20),
        validator=_at_least(0),
        metadata={"help": "How much more is read to the end of a message that is too large, before the cut."},
    )
    max_recipients: int = attrs.field(
        default=1000,
        validator=_at_least(100),
        metadata={"help": "Recipients of one message; RFC 5321 §4.5.3.1.8 wants 100 at least."},
    )
    max_messages: int = attrs.field(
        default=100,
        validator=_above_zero,
        metadata={"help": "Messages of one connection, accepted or not; LIMITS announces it as MAILMAX."},
    )
    max_hops: int = attrs.field(
        default=100,
        validator=_at_least(30),
        metadata={"help": "A message with more Received fields than this is in a loop (RFC 5321 §6.3)."},
    )
    max_line_bytes: SizeBytes = attrs.field(
        default=SizeBytes(2048),
        validator=_at_least(512),
        metadata={"help": "The longest command line with its CRLF; a longer one ends the connection."},
    )
    max_errors: int = attrs.field(
        default=20,
        validator=_above_zero,
        metadata={
            "help": "Commands in error without an accepted message in between; the last one ends the connection."
        },
    )
    max_idle_commands: int = attrs.field(
        default=100,
        validator=_above_zero,
        metadata={"help": "NOOP, RSET, EHLO, VRFY and HELP without an accepted message; each one more is an error."},
    )
    max_refused_recipients: int = attrs.field(
        default=100,
        validator=_at_least(0),
        metadata={
            "help": "Recipients refused without an accepted message; one more ends the connection; 0 = no limit."
        },
    )
    max_auth_failures: int = attrs.field(
        default=3,
        validator=_above_zero,
        metadata={"help": "Attempts to authenticate that fail; the last one ends the connection."},
    )
    line_ends: Literal["refuse", "normalize"] = attrs.field(
        default="refuse",
        validator=in_(("refuse", "normalize")),
        metadata={"help": "What becomes of a message with a bare CR or LF: refuse it, or make each of them CRLF."},
    )
    strict_synchronization: bool = attrs.field(
        default=True,
        metadata={"help": "Disconnect clients that talk before they have read what they must wait for (RFC 2920)."},
    )
    error_delay_s: Seconds = attrs.field(
        default=Seconds(1.0),
        validator=_at_least(0),
        metadata={"help": "How long answers are held back once more than half of max_errors have been made."},
    )
    max_sessions: int = attrs.field(
        default=1000, validator=_above_zero, metadata={"help": "Connections at once; one more gets 421 and is closed."}
    )
    max_sessions_per_address: int = attrs.field(
        default=50,
        validator=_at_least(0),
        metadata={"help": "Connections at once from one IPv4 address or IPv6 /64; 0 = no limit."},
    )
    max_sessions_per_network: int = attrs.field(
        default=0,
        validator=_at_least(0),
        metadata={"help": "Connections at once from one IPv4 /24 or IPv6 /48; 0 = no limit."},
    )
    max_new_sessions_a_minute: int = attrs.field(
        default=100,
        validator=_at_least(0),
        metadata={"help": "New connections a minute from one IPv4 address or IPv6 /64; 0 = no limit."},
    )
    max_auth_failures_an_hour: int = attrs.field(
        default=30,
        validator=_at_least(0),
        metadata={"help": "Failed logins an hour, then an IPv4 address or IPv6 /64 gets no connection; 0 = no limit."},
    )
    trusted_networks: tuple[str, ...] = attrs.field(
        default=("127.0.0.0/8", "::1/128"),
        validator=_networks,
        metadata={"help": "Networks for which none of these limits holds but max_sessions."},
    )
    max_inflight_bytes: SizeBytes = attrs.field(
        default=SizeBytes(64 * 2**20),
        validator=_at_least(2**20),
        metadata={"help": "How much all messages on their way may hold in memory; beyond it MAIL gets 452."},
    )
    command_timeout_s: Seconds = attrs.field(
        default=Seconds(300.0),
        validator=_above_zero,
        metadata={"help": "How long a client may take for one command, all of it (RFC 5321 §4.5.3.2.7)."},
    )
    data_timeout_s: Seconds = attrs.field(
        default=Seconds(300.0),
        validator=_above_zero,
        metadata={"help": "How long a client may be silent in a message, and how far behind data_min_rate_bytes."},
    )
    data_min_rate_bytes: SizeBytes = attrs.field(
        default=SizeBytes(500),
        validator=_above_zero,
        metadata={"help": "Octets a second that a message must come with on average."},
    )
    send_timeout_s: Seconds = attrs.field(
        default=Seconds(60.0), validator=_above_zero, metadata={"help": "How long a client may take to accept a reply."}
    )
    session_timeout_s: Seconds = attrs.field(
        default=Seconds(3600.0), validator=_above_zero, metadata={"help": "How long a connection may last in all."}
    )
    spool_threshold_bytes: SizeBytes = attrs.field(
        default=SizeBytes(256 * 2**10),
        validator=_above_zero,
        metadata={"help": "Larger messages go to a file in the queue's spool folder while they arrive."},
    )


@attrs.frozen(kw_only=True)
class LmtpConfig(SmtpConfig):
    """One ``[edges.<name>]`` table with ``kind = "lmtp"``."""

    is_lmtp: ClassVar[bool] = True

    listen: tuple[str, ...] = attrs.field(
        default=("unix:lmtp.sock",),
        validator=_listen,
        metadata={"help": "Where to listen: unix:/path, or an address like 127.0.0.1:2424; never port 25."},
    )
