"""``mdacore queue show``: one message, whole."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import click

from mdacore.cli.options import configuration_options
from mdacore.cli.queue.reading import Found, reading
from mdacore.cli.queue.selecting import IdType, Selection
from mdacore.cli.queue.wording import duration, facts, local_time, next_attempt
from mdacore.cli.status import NO_INPUT, CommandFailure
from mdacore.contracts import PeekedMessage, Query, State
from mdacore.words import QueueId, Reply, printable
from mdacore.words.transfer import envelope_facts


@click.command()
@configuration_options
@click.argument("queue_id", type=IdType(), metavar="ID")
@click.option("--header", "part", flag_value="header", help="Print the header of the message instead, as it is stored.")
@click.option("--body", "part", flag_value="body", help="Print the whole message instead, as it is stored.")
@click.option("--json", "part", flag_value="json", help="One JSON object, for programs.")
def show(*, queue_id: str, part: str | None, **options: Any) -> None:
    """Show one message: its envelope, its recipients with what became of them, its times.

    Nothing is locked or changed; the service may run or not.
    """
    with reading(options) as storages:
        chosen = Selection(query=Query(queue_ids=[QueueId(queue_id)]))
        found = next(storages.found(chosen), None)
        try:
            peeked = None if found is None else storages.peek(found)
        except CommandFailure:
            if found is not None and part is None:
                print("\n".join(_lines_of_entry(found, time.time())), flush=True)
            raise
        if found is None or peeked is None:
            raise CommandFailure(f"{queue_id} is in no queue", NO_INPUT)
        if part == "header":
            _write([peeked.message.envelope.content.header])
        elif part == "body":
            _write(peeked.message.envelope.content.chunks())
        elif part == "json":
            print(json.dumps(_all_facts(found, peeked)))
        else:
            print("\n".join(_lines(found, peeked, time.time())))


def _write(pieces: Iterable[bytes]) -> None:
    """Octets as they are, piece by piece."""
    for piece in pieces:
        sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


def _all_facts(found: Found, peeked: PeekedMessage) -> dict[str, Any]:
    closed = [
        {"address": rcpt.address, "outcome": end.outcome.value, "reply": str(end.reply), "notice": end.notice}
        for rcpt, end in peeked.closed
    ]
    return {
        **facts(found.entry),
        "closed": closed,
        "must_bounce": peeked.message.must_bounce,
        "envelope": envelope_facts(peeked.message.envelope),
    }


def _lines_of_entry(found: Found, now: float) -> Iterator[str]:
    """What is known of a message that cannot be read."""
    entry = found.entry
    rows = {
        "id": entry.queue_id,
        "queue": f"{entry.queue}, in storage {found.storage}" if entry.queue else "",
        "state": entry.state.value,
        "held": entry.held,
        "accepted": f"{local_time(entry.accepted_at)} ({duration(now - entry.accepted_at)} ago)",
        "attempts": str(entry.attempts),
    }
    if entry.recipients:
        rows["sender"] = entry.sender or "<>"
    yield from _rows(rows)
    for address, reply in entry.recipients:
        yield from _open_recipient(printable(address), reply)


def _lines(found: Found, peeked: PeekedMessage, now: float) -> Iterator[str]:
    entry, envelope = found.entry, peeked.message.envelope
    client = envelope.client
    due = next_attempt(entry, now)
    is_later = entry.state is State.DUE and due != "now"
    rows = {
        "id": entry.queue_id,
        "queue": f"{entry.queue}, in storage {found.storage}",
        "lane": entry.lane,
        "state": entry.state.value,
        "held": entry.held,
        "decided": "to be returned to its sender" if peeked.message.must_bounce else "",
        "accepted": f"{local_time(entry.accepted_at)} ({duration(now - entry.accepted_at)} ago)",
        "attempts": str(entry.attempts),
        "next": f"{local_time(entry.due_at)} (in {due})" if is_later else due,
        "size": f"{entry.size_bytes} bytes",
        "sender": entry.sender or "<>",
        "client": " ".join(word for word in (client.helo, client.host, client.ip and f"[{client.ip}]") if word),
        "protocol": " ".join(word for word in (client.protocol, client.edge and f"at edges.{client.edge}") if word),
        "identity": client.identity,
        "session": client.session_id,
        "envid": envelope.dsn_envelope_id,
    }
    yield from _rows(rows)
    replies = dict(entry.recipients)
    for rcpt in envelope.recipients:
        was = f" (was {printable(rcpt.original_address)})" if rcpt.original_address else ""
        yield from _open_recipient(f"{printable(rcpt.address)}{was}", replies.get(rcpt.address))
    for rcpt, end in peeked.closed:
        notice = f", notice {end.notice}" if end.notice else ""
        yield f"recipient: {printable(rcpt.address)}, {end.outcome.value}{notice}"
        yield f"           {printable(str(end.reply))}"


def _rows(rows: Mapping[str, str]) -> Iterator[str]:
    for name, value in rows.items():
        if value:
            yield f"{name + ':':<10} {printable(value)}"


def _open_recipient(address: str, reply: Reply | None) -> Iterator[str]:
    yield f"recipient: {address}, {'deferred' if reply else 'not attempted yet'}"
    if reply:
        yield f"           {printable(str(reply))}"
