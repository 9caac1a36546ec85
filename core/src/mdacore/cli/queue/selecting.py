"""Which messages are meant: the options that say so, and what they say, as data.

The storages know only a part of it (`Query`); the rest is looked at here, entry by entry.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import attrs
import click

from mdacore.contracts import Query, QueueEntry, State
from mdacore.words import QueueId, parse_seconds

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

QUEUE_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{9,63}")


@attrs.frozen(kw_only=True)
class Selection:
    """What an operator has chosen; all that is given must fit.

    Attributes:
        query: what storages look for; its `limit` is that of the whole.
        accepted_before, accepted_after: epoch seconds.
        reason: in any case, a part of why it is held or of the last reply to an open recipient.
    """

    query: Query
    lane: str = ""
    accepted_before: float = float("inf")
    accepted_after: float = float("-inf")
    attempts_min: int = 0
    attempts_max: float = float("inf")
    reason: str = ""

    @property
    def is_everything(self) -> bool:
        """Nothing was chosen."""
        unlimited = attrs.evolve(self, query=attrs.evolve(self.query, queue_ids=(), limit=None))
        return not self.query.queue_ids and unlimited == Selection(query=Query())

    @property
    def names(self) -> Sequence[QueueId]:
        """The messages that were named."""
        return list(self.query.queue_ids)

    def of(self, entries: Iterable[QueueEntry]) -> Iterator[QueueEntry]:
        """Those of the entries that fit what no storage looks at."""
        return filter(self._fits, entries)

    def _fits(self, entry: QueueEntry) -> bool:
        return (
            self.accepted_after < entry.accepted_at <= self.accepted_before
            and self.attempts_min <= entry.attempts <= self.attempts_max
            and self.lane in ("", entry.lane)
            and (not self.reason or any(self.reason in text.casefold() for text in reasons(entry)))
        )


def reasons(entry: QueueEntry) -> Iterator[str]:
    """Why it is held, and the last replies to its open recipients."""
    if entry.held:
        yield entry.held
    for _, reply in entry.recipients:
        if reply is not None:
            yield str(reply)


class _Duration(click.ParamType[float]):
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return parse_seconds(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class IdType(click.ParamType[str]):
    """A queue id, matched whole; ``-`` alone is for ids on standard input."""

    name = "id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value != "-" and not QUEUE_ID.fullmatch(value):
            self.fail(f"{value!r} is not a queue id", param, ctx)
        return str(value)


_OPTIONS = (
    click.option("--queue", "queue_name", default="", metavar="NAME", help="Only this queue."),
    click.option(
        "--id", "more_ids", multiple=True, type=IdType(), metavar="ID", help="The same as ID; may be repeated."
    ),
    click.option(
        "--only",
        "states",
        multiple=True,
        type=click.Choice([state.value for state in State]),
        help="Only messages that wait, are being attempted, or are held; may be repeated.",
    ),
    click.option("--sender", metavar="ADDRESS", help='Only from this sender; "" is the null sender.'),
    click.option("--recipient", default="", metavar="ADDRESS", help="Only with this open recipient."),
    click.option("--domain", default="", metavar="DOMAIN", help="Only with an open recipient in this domain."),
    click.option("--lane", default="", metavar="LANE", help="Only in this lane, like remote/example.com."),
    click.option("--older", type=_Duration(), metavar="AGE", help="Only if accepted at least so long ago, like 2h."),
    click.option("--younger", type=_Duration(), metavar="AGE", help="Only if accepted less than so long ago."),
    click.option("--min-attempts", type=click.IntRange(min=0), metavar="N", help="Only after at least N attempts."),
    click.option("--max-attempts", type=click.IntRange(min=0), metavar="N", help="Only after at most N attempts."),
    click.option(
        "--reason",
        default="",
        metavar="TEXT",
        help="Only if this is in the last reply, or in why it is held; any case.",
    ),
    click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most so many."),
)


def selection_options(command: CommandT) -> CommandT:
    """Add ``ID...`` and the filters to a command; `pop_selection` makes a Selection of them."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return click.argument("ids", nargs=-1, type=IdType(), metavar="[ID]...")(command)


def pop_selection(options: dict[str, Any]) -> Selection:
    """Take the options of `selection_options` out of a command's."""
    now = time.time()
    older, younger = options.pop("older"), options.pop("younger")
    attempts_max = options.pop("max_attempts")
    query = Query(
        queue=options.pop("queue_name"),
        queue_ids=dict.fromkeys(_ids((*options.pop("ids"), *options.pop("more_ids")))),  # quick to look up
        states=tuple(map(State, options.pop("states"))),
        sender=options.pop("sender"),
        recipient=options.pop("recipient"),
        domain=options.pop("domain"),
        limit=options.pop("limit"),
    )
    return Selection(
        query=query,
        lane=options.pop("lane"),
        accepted_before=float("inf") if older is None else now - older,
        accepted_after=float("-inf") if younger is None else now - younger,
        attempts_min=options.pop("min_attempts") or 0,
        attempts_max=float("inf") if attempts_max is None else attempts_max,
        reason=options.pop("reason").casefold(),
    )


def _ids(given: Sequence[str]) -> Iterator[QueueId]:
    for one in given:
        if one != "-":
            yield QueueId(one)
            continue
        lines = [line.removesuffix("\n") for line in sys.stdin]
        if not lines:
            raise click.UsageError("there is no id on standard input")
        for line in lines:
            yield QueueId(IdType()(line))
