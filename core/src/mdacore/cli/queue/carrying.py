"""``mdacore queue export`` and ``mdacore queue import``: messages from one service to another, or kept for later.

Invariants: an export takes nothing out of a queue, what it could not finish is no file, and a message that cannot be
read keeps no other from being exported; an import puts a message in once, however often it is repeated within 48 hours,
and never takes two messages for one.
"""

from __future__ import annotations

import os
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import click

from mdacore.cli.options import configuration_options
from mdacore.cli.queue.archive import (
    BadExport,
    Exported,
    FolderSink,
    Sink,
    TarSink,
    messages_in_folder,
    messages_in_tar,
)
from mdacore.cli.queue.hands import Hand, changing, storing
from mdacore.cli.queue.progress import Progress
from mdacore.cli.queue.reading import NOTHING_HELD, Found, Reading, read_settings_of, reading
from mdacore.cli.queue.selecting import pop_selection, selection_options
from mdacore.cli.queue.wording import counted
from mdacore.cli.status import BAD_DATA, CANNOT_CREATE, IO_ERROR, NO_INPUT, TRY_AGAIN, CommandFailure
from mdacore.contracts import Change, Query, State
from mdacore.words import printable

HELD_BY_IMPORT: Final = "imported"
TO_BE_BOUNCED: Final = "it was to be returned to its sender when it was exported"
PROGRESS = click.option(
    "--progress/--no-progress", default=None, help="Count on standard error; by default on a terminal."
)


class _NotReadable(Exception):
    """One of the messages is damaged; the text says which and how. The others are not concerned."""


@click.command()
@configuration_options
@selection_options
@click.option("--to", required=True, metavar="PATH", help="A folder, a file *.tar, or - for a tar on standard output.")
@click.option("--hold", is_flag=True, help="Hold them first, and leave out those that are being attempted.")
@click.option("--all", "is_all", is_flag=True, help="All messages, where no ID and no filter is given.")
@PROGRESS
def export(*, to: str, hold: bool, is_all: bool, progress: bool | None, **options: Any) -> int:
    """Write messages with their envelopes to a folder or a tar file.

    They stay in the queue. With --hold nobody delivers them from here any more: once they are imported elsewhere,
    discard them here.
    """
    selection = pop_selection(options)
    if selection.is_everything and not is_all:
        raise click.UsageError("nothing is chosen: give ids or filters, or --all")
    number = left = damaged = 0
    with _storages(options, selection.query.queue, is_changing=hold) as (storages, hand), _sink(to) as sink:
        for one in Progress("looked at", is_wanted=progress).over(storages.found(selection)):
            try:
                if _exported(one, storages, hand, sink):
                    number += 1
                else:
                    left += 1
            except _NotReadable as error:
                damaged += 1
                print(f"mdacore: {printable(str(error))}", file=sys.stderr)
    missing = len(selection.names) - number - left - damaged if selection.names else 0
    counts = {"busy": left, "not readable": damaged, "not found": missing}
    more = "".join(f", {count} {what}" for what, count in counts.items() if count)
    print(f"{counted(number)} exported{more}.", file=sys.stderr)
    return NO_INPUT if missing else TRY_AGAIN if left else BAD_DATA if damaged else 0


@click.command(name="import")
@configuration_options
@click.argument("path", metavar="PATH")
@click.option("--queue", "queue_name", default="", metavar="NAME", help="Into this queue, instead of that of its name.")
@click.option("--hold", is_flag=True, help="Store them as held.")
@click.option("--again", is_flag=True, help="Also what has been imported in the last 48 hours; for what was discarded.")
@PROGRESS
def import_(*, path: str, queue_name: str, hold: bool, again: bool, progress: bool | None, **options: Any) -> int:
    """Store messages that were exported: a folder, a tar file, or - for a tar on standard input.

    They go to the relays of this configuration, and past the policies, which they have passed. What has been imported
    in the last 48 hours is not stored again, even if it was delivered or discarded since.
    """
    queues = {name: queue.keys.proxy for name, queue in read_settings_of(options, queue_name).queues.items()}
    if queues.get(queue_name):
        raise click.BadParameter(f"{queue_name}: {NOTHING_HELD}", param_hint="--queue")
    number = failed = 0
    with storing(options) as hand:
        for name, message in Progress("imported", is_wanted=progress).over(_messages(path)):
            try:
                print(_imported(message, hand, queue_name, queues, hold=hold, again=again))
                number += 1
            except BadExport as error:
                failed += 1
                print(f"mdacore: {printable(name)} {error}", file=sys.stderr)
    once = "" if again or not number else "; what had been imported in the last 48 hours was not stored again (--again)"
    print(f"{counted(number)} imported{f', {failed} not' if failed else ''}{once}.", file=sys.stderr)
    return BAD_DATA if failed else 0


@contextmanager
def _storages(options: dict[str, Any], queue_name: str, *, is_changing: bool) -> Iterator[tuple[Reading, Hand | None]]:
    if is_changing:
        with changing(options, queue_name) as both:
            yield both
        return
    with reading(options, queue_name) as storages:
        yield storages, None


def _exported(one: Found, storages: Reading, hand: Hand | None, sink: Sink) -> bool:
    """Whether it was; it was not if it is gone, or may not be held. Raises _NotReadable."""
    entry = one.entry
    if hand is not None and entry.state is not State.HELD:
        query = Query(queue_ids=[entry.queue_id], states=[State.DUE], attempts=entry.attempts)
        if not hand.amend(one.storage, query, Change.HOLD):
            return False
    try:
        peeked = storages.peek(one)
    except CommandFailure as error:
        if hand is not None and entry.state is not State.HELD:
            # held, it would look as if it had been exported, and would be discarded with the others
            hand.amend(one.storage, Query(queue_ids=[entry.queue_id], states=[State.HELD]), Change.RELEASE)
        raise _NotReadable(str(error)) from error
    if peeked is None:
        return False
    message = Exported(
        queue_id=entry.queue_id,
        queue=entry.queue,
        held=entry.held or (TO_BE_BOUNCED if peeked.message.must_bounce else ""),
        due_at=entry.due_at,
        attempts=entry.attempts,
        envelope=peeked.message.envelope,
    )
    try:
        sink.add(message)
    except FileNotFoundError:
        if storages.peek(one) is not None:
            raise
        return False  # delivered while it was read
    except FileExistsError as error:
        raise CommandFailure(str(error), CANNOT_CREATE) from error
    return True


@contextmanager
def _sink(to: str) -> Iterator[Sink]:
    try:
        if to == "-":
            with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as archive:
                yield TarSink(archive)
        elif to.endswith(".tar"):
            with Path(to).open("xb") as file, _gone_unless_whole(Path(to)):
                with tarfile.open(fileobj=file, mode="w|") as archive:
                    yield TarSink(archive)
                os.fsync(file.fileno())
        else:
            folder = FolderSink(Path(to))
            yield folder
            folder.sync()
    except FileExistsError as error:
        raise CommandFailure(f"{to} is there already", CANNOT_CREATE) from error


@contextmanager
def _gone_unless_whole(path: Path) -> Iterator[None]:
    """Half a tar file could be taken for a whole one, and would be in the way of the next try."""
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _messages(path: str) -> Iterator[tuple[str, Exported | BadExport]]:
    if path != "-" and Path(path).is_dir():
        yield from messages_in_folder(Path(path))
        return
    try:
        with tempfile.TemporaryDirectory(prefix="mdacore-import-") as folder:
            if path == "-":
                yield from messages_in_tar(sys.stdin.buffer, Path(folder))
                return
            with Path(path).open("rb") as file:
                yield from messages_in_tar(file, Path(folder))
    except FileNotFoundError as error:
        raise CommandFailure(f"there is no {error.filename}", NO_INPUT) from error
    except tarfile.TarError as error:
        raise CommandFailure(f"{path} is not a tar file that can be read: {error}", IO_ERROR) from error


def _imported(
    message: Exported | BadExport, hand: Hand, queue_name: str, queues: Mapping[str, bool], *, hold: bool, again: bool
) -> str:
    """What was done. Raises BadExport; CommandFailure and MdaError if nothing more can be stored."""
    if isinstance(message, BadExport):
        raise message
    _check_line_ends(message.envelope.content.chunks())
    queue = queue_name or message.queue
    if queue not in queues:
        raise BadExport(f"is of queue {printable(queue)!r}, which is not here; --queue says into which")
    if queues[queue]:
        raise BadExport(f"is of queue {printable(queue)!r}, which is a proxy here; --queue says into which")
    ids = hand.restore(
        queue,
        message.envelope,
        held=message.held or (HELD_BY_IMPORT if hold else ""),
        due_at=time.time(),  # what it has waited for may be different here
        key="" if again else _key(message),
    )
    return f"{message.queue_id} is {' and '.join(ids)}"


def _key(message: Exported) -> str:
    """The same for one message, also when some of its recipients have got it between two exports.

    The id alone would not do: stores that were copied, with the machine that they are on, give the same ids.
    """
    envelope = message.envelope
    digest = blake2b(f"{envelope.received_at!r} {envelope.sender}\n".encode(errors="backslashreplace"), digest_size=16)
    for piece in envelope.content.chunks():
        digest.update(piece)
    return f"import {message.queue_id} {digest.hexdigest()}"


def _check_line_ends(pieces: Iterable[bytes]) -> None:
    """Nothing but CRLF: a relay might send anything else as two messages. Raises BadExport."""
    last = b""
    for piece in pieces:
        text = last + piece
        last = b"\r" if text.endswith(b"\r") else b""
        text = text.removesuffix(b"\r")
        if not text.count(b"\r\n") == text.count(b"\n") == text.count(b"\r"):
            break
    else:
        if not last:
            return
    raise BadExport("has a message with line ends that are not CRLF")
