"""LookupTable: what a file says about recipients; read again when it has changed, and never in the hub.

The format is the one of Postfix's texthash: ``address action``, one a line. A line that begins with ``#`` is a comment,
one that begins with a space goes on the one before. Invariant: a table is taken whole or not at all: while the file is
gone, half written or wrong, what it said before holds.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import attrs
from gevent import get_hub
from gevent.event import AsyncResult

from mdacore import Clock, EventLog, Reply
from mdacore_edge_smtp import events
from mdacore_edge_smtp.mailboxes import Key, is_address, is_mail_domain, mailbox_of

LOOK_INTERVAL_S = 1.0
"""How old an answer may be: the file is looked at when it is asked for, and not more often than this."""

MAX_WAIT_S = 5.0
"""How long a client waits for the disk; after that, what the file said before holds."""

MAX_MISTAKES = 20
"""Of one file, as they are told to an operator."""

KNOWN = Reply(code=250, enhanced="2.1.5", text="Recipient ok")
"""What a table holds for ``OK``."""

_REJECT = Reply(code=550, enhanced="5.7.1", text="Recipient refused")
_DEFER = Reply(code=450, enhanced="4.7.1", text="Recipient refused for now")

_LINE = re.compile(r'((?:"(?:[^"\\]|\\.)*"|[^\s"])+)\s+(\S.*)')
_CODE = re.compile(r"[45][0-9]{2}\b")

Stamp = tuple[int, int, int]
"""A file's modification time, size and inode: while they stay, it is not read."""

Entries = Mapping[Key, Reply]


@attrs.frozen(kw_only=True)
class Reading:
    """What was found when the file was looked at.

    Attributes:
        stamp: None = it could not be read.
        entries: None = nothing new, or nothing that can be used.
        mistakes: what is wrong, a sentence each, with the number of the line.
    """

    stamp: Stamp | None
    entries: Entries | None = None
    mistakes: Sequence[str] = ()


class LookupTable:
    """One file. Nothing is read before it is asked."""

    def __init__(self, path: Path, *, clock: Clock, log: EventLog) -> None:
        self._path = path
        self._clock = clock
        self._log = log
        self._entries: Entries | None = None
        self._stamp: Stamp | None = None
        self._mistakes: Sequence[str] = ()
        self._look_again_at = clock.monotonic()
        self._reading: AsyncResult[Reading] | None = None

    def entries(self) -> Entries | None:
        """What the file says, or said before it went wrong; None: it has never been right.

        Blocks this greenlet, for `MAX_WAIT_S` at most, when the file has not been looked at for `LOOK_INTERVAL_S`.
        """
        if self._clock.monotonic() >= self._look_again_at:
            self._look()
        return self._entries

    def _look(self) -> None:
        """There is one look at a time; whoever asks meanwhile waits for it too."""
        if self._reading is None:
            self._reading = get_hub().threadpool.spawn(read_table, self._path, self._stamp)
        reading = self._reading
        found = reading.wait(MAX_WAIT_S)
        self._look_again_at = self._clock.monotonic() + LOOK_INTERVAL_S
        if found is not None and reading is self._reading:
            self._reading = None
            self._take(found)

    def _take(self, found: Reading) -> None:
        if found.entries is not None:
            self._entries = found.entries
            self._log.info(events.EDGE_TABLE_READ, path=str(self._path), entry_count=len(found.entries))
        if found.mistakes and found.mistakes != self._mistakes:
            self._log.error(events.EDGE_TABLE_FAILED, path=str(self._path), errors=list(found.mistakes))
        if found.stamp != self._stamp or found.mistakes:
            self._mistakes = found.mistakes
        self._stamp = found.stamp


def read_table(path: Path, known: Stamp | None = None) -> Reading:
    """Look at the file, and read it unless it is `known`. Blocks on the disk; raises nothing that a file can cause."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # to read a FIFO would take a thread until somebody writes to it
            return Reading(stamp=None, mistakes=(f"{path}: this is not a file",))
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        if stamp == known:
            return Reading(stamp=stamp)
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        return Reading(stamp=None, mistakes=(f"{path}: {error.strerror}",))
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        return Reading(stamp=stamp, mistakes=(f"{path}:{line}: this is not UTF-8",))
    entries, mistakes = _parse(text)
    named = tuple(f"{path}:{line}: {text}" for line, text in mistakes[:MAX_MISTAKES])
    return Reading(stamp=stamp, entries=None if named else entries, mistakes=named)


def _parse(text: str) -> tuple[Entries, list[tuple[int, str]]]:
    """The entries, and the mistakes with the number of their line."""
    entries: dict[Key, Reply] = {}
    mistakes: list[tuple[int, str]] = []
    for number, line in _logical_lines(text):
        try:
            key, reply = _entry(line)
        except ValueError as error:
            mistakes.append((number, str(error)))
            continue
        if entries.setdefault(key, reply) is not reply:
            mistakes.append((number, f"{line.split()[0]} stands in here twice"))
    return entries, mistakes


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    number, parts = 0, list[str]()
    for at, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if line[0].isspace() and parts:
            parts.append(line.strip())
            continue
        if parts:
            yield number, " ".join(parts)
        number, parts = at, [line.strip()]
    if parts:
        yield number, " ".join(parts)


def _entry(line: str) -> tuple[Key, Reply]:
    match = _LINE.fullmatch(line)
    if match is None:
        raise ValueError("this is not an address and an action")
    address, action = match.groups()
    if not (is_mail_domain(address[1:]) if address.startswith("@") else is_address(address)):
        raise ValueError(f"{address!r} is not an address, or a domain after @")
    return mailbox_of(address), _reply(action)


def _reply(action: str) -> Reply:
    word, _, text = action.partition(" ")
    match word.upper():
        case "OK" if not text:
            return KNOWN
        case "REJECT":
            return attrs.evolve(_REJECT, text=text.strip()) if text else _REJECT
        case "DEFER":
            return attrs.evolve(_DEFER, text=text.strip()) if text else _DEFER
    if not _CODE.match(action):
        raise ValueError(f"the action {word!r} is none of OK, REJECT, DEFER and a reply that begins with 4 or 5")
    return Reply.parse(action)
