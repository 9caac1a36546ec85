"""What the service and the spawn helper say to each other. Pure.

A message is a packet: fields of UTF-8 text with a NUL between them; the descriptors of a Spawn travel beside it.
Invariant: what `parse_request` returns is legal as far as that can be told without knowing what has gone before.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from typing import Literal, cast, get_args

import attrs

MAX_MESSAGE_BYTES = 131_072
"""Of one packet: below the smallest send buffer that Linux gives a socket by default (212 992)."""
SIGNALS = (signal.SIGTERM, signal.SIGKILL)

ReportKind = Literal["started", "failed", "unknown", "refused", "exited"]

_NUMBER = re.compile(r"0|[1-9][0-9]{0,15}")
_MAX_TEXT_CHARS = 500


class Malformed(Exception):
    """Not a message, or not one that may come now. Whoever sends one is not to be listened to any longer."""


@attrs.frozen
class Spawn:
    """Start a process from a template.

    Attributes:
        job: its number from now on; each is larger than those before it.
    """

    job: int
    template: int
    values: tuple[str, ...]


@attrs.frozen
class Signal:
    """Send one of `SIGNALS` to a process's group."""

    job: int
    number: int


@attrs.frozen
class Report:
    """What became of a job. Of those that were not ``started`` there is one, of the others a second: ``exited``.

    Attributes:
        number: the errno of ``failed``, the wait status of ``exited``.
        text: why, for the log.
    """

    kind: ReportKind
    job: int
    number: int = 0
    text: str = ""


def encode_spawn(job: int, template: int, values: Sequence[str]) -> bytes:
    """Raises ValueError for values that no packet can carry."""
    if any("\0" in value for value in values):
        raise ValueError("a value with a NUL")
    return _packet("spawn", str(job), str(template), *values)


def encode_signal(job: int, number: int) -> bytes:
    """Any signal; the helper obeys those in `SIGNALS`."""
    return _packet("signal", str(job), str(number))


def encode_report(report: Report) -> bytes:
    """The text is cut where it is long."""
    text = report.text.replace("\0", " ")[:_MAX_TEXT_CHARS].encode("utf-8", "backslashreplace").decode()
    return _packet(report.kind, str(report.job), str(report.number), text)


def parse_request(packet: bytes) -> Spawn | Signal:
    """Read what the service sent. Raises Malformed."""
    kind, *fields = _fields(packet)
    if kind == "spawn" and len(fields) >= 2:
        return Spawn(_number(fields[0]), _number(fields[1]), tuple(fields[2:]))
    if kind == "signal" and len(fields) == 2:
        number = _number(fields[1])
        if number in SIGNALS:
            return Signal(_number(fields[0]), number)
    raise Malformed(f"no request: {packet[:80]!r}")


def parse_report(packet: bytes) -> Report:
    """Read what the helper sent. Raises Malformed."""
    kind, *fields = _fields(packet)
    if kind not in get_args(ReportKind) or len(fields) != 3:
        raise Malformed(f"no report: {packet[:80]!r}")
    return Report(cast(ReportKind, kind), _number(fields[0]), _number(fields[1]), fields[2])


def _packet(*fields: str) -> bytes:
    return "\0".join(fields).encode()


def _fields(packet: bytes) -> list[str]:
    if len(packet) > MAX_MESSAGE_BYTES:
        raise Malformed(f"a packet of more than {MAX_MESSAGE_BYTES} octets")
    try:
        return packet.decode().split("\0")
    except UnicodeDecodeError as error:
        raise Malformed(f"not UTF-8: {packet[:80]!r}") from error


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise Malformed(f"not a number: {text[:80]!r}")
    return int(text)
