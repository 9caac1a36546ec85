"""The configuration of an SMTP edge, and what can be found wrong with it before anything is started."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import attrs
from attrs.validators import deep_iterable

from mdacore import EdgeContext, Problem, Seconds, SizeBytes
from mdacore_edge_smtp.listeners import UnixAddress, parse_address
from mdacore_edge_smtp.protocol import is_domain


def _at_least(least: float) -> Any:
    def check(_: object, __: object, value: float) -> None:
        if value < least:
            raise ValueError(f"{value} is less than {least:g}")

    return check


def _above_zero(_: object, __: object, value: float) -> None:
    if value <= 0:
        raise ValueError(f"{value} is not above 0")


def _listen(_: object, __: object, value: tuple[str, ...]) -> None:
    if not value:
        raise ValueError("there is no address to listen on")
    for text in value:
        parse_address(text)


def _domain(_: object, __: object, value: str) -> None:
    if not is_domain(value):
        raise ValueError(f"{value!r} is not a domain like example.com or an address literal like [192.0.2.1]")


def _domain_or_empty(_: object, __: object, value: str) -> None:
    if value:
        _domain(_, __, value)


@attrs.frozen(kw_only=True)
class SmtpConfig:
    """One ``[edges.<name>]`` table with ``kind = "smtp"``."""

    listen: tuple[str, ...] = attrs.field(
        default=("127.0.0.1:2525",),
        validator=_listen,
        metadata={"help": "Where to listen: 127.0.0.1:25, [::]:25 (IPv4 as well) or unix:/path."},
    )
    domains: tuple[str, ...] = attrs.field(
        default=(),
        validator=deep_iterable(_domain),
        metadata={"help": "The domains that mail is accepted for; empty means localhost and the host's own name."},
    )
    hostname: str = attrs.field(
        default="",
        validator=_domain_or_empty,
        metadata={"help": "The name in the greeting and in Received fields; empty means the service's own."},
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
    error_delay_s: Seconds = attrs.field(
        default=Seconds(1.0),
        validator=_at_least(0),
        metadata={"help": "How long answers are held back once more than half of max_errors have been made."},
    )
    max_sessions: int = attrs.field(
        default=1000, validator=_above_zero, metadata={"help": "Connections at once; one more gets 421 and is closed."}
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


def check(config: SmtpConfig, context: EdgeContext) -> Iterable[Problem]:
    """The folders that UNIX sockets are to be made in. No side effects."""
    for index, text in enumerate(config.listen):
        address = parse_address(text)
        if isinstance(address, UnixAddress):
            yield from _check_folder(f"listen[{index}]", context.resolve(address.path).parent, context)


def _check_folder(key: str, folder: Path, context: EdgeContext) -> Iterator[Problem]:
    # What is under the state folder may be made at start.
    if not folder.is_dir() and not folder.is_relative_to(context.state_path):
        yield Problem(key, f"there is no folder {folder}")
