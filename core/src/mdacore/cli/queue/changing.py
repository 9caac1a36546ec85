"""``mdacore queue hold``, ``release``, ``retry``, ``bounce`` and ``discard``.

What is to be changed is listed first and then changed a batch at a time, each message only if it is still as it was
seen: of two hands, or of a hand and a delivery, one wins, and the other is told.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

import attrs
import click

from mdacore.cli.options import configuration_options
from mdacore.cli.queue.hands import Hand, changing
from mdacore.cli.queue.listing import print_json, print_table
from mdacore.cli.queue.progress import Progress
from mdacore.cli.queue.reading import Found, Reading, reading, state_now
from mdacore.cli.queue.selecting import Selection, pop_selection, selection_options
from mdacore.cli.queue.wording import counted, size
from mdacore.cli.status import NO_INPUT, TRY_AGAIN
from mdacore.contracts import Change, Query, State
from mdacore.words import QueueId, printable

BATCH: Final = 500
BUSY: Final = "busy"
GONE: Final = "gone"


@attrs.frozen(kw_only=True)
class Act:
    """One of the commands.

    Attributes:
        done: what it has done to a message, as a word.
        states: of the messages that it is for; others stay as they are.
        is_final: nobody can take it back: it asks first, unless messages are named.
    """

    change: Change
    done: str
    states: Collection[State]
    is_final: bool = False


@attrs.frozen
class Result:
    """What became of one message: `Act.done`, ``"busy"``, ``"gone"``, or the state in which it is and stays."""

    found: Found | None
    queue_id: QueueId
    word: str


def _command(name: str, act: Act, text: str) -> click.Command:
    @click.command(name=name, help=text)
    @configuration_options
    @selection_options
    @click.option("--all", "is_all", is_flag=True, help="All messages, where no ID and no filter is given.")
    @click.option("--dry-run", is_flag=True, help="Change nothing; list what would be changed.")
    @click.option("--yes", is_flag=True, help="Do not ask.")
    @click.option("--quiet", is_flag=True, help="Print only how many.")
    @click.option("--progress/--no-progress", default=None, help="Count on standard error; by default on a terminal.")
    @click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")
    def command(**options: Any) -> int:
        return _run(act, options)

    return command


def _run(act: Act, options: dict[str, Any]) -> int:
    is_all, dry_run, yes = options.pop("is_all"), options.pop("dry_run"), options.pop("yes")
    is_quiet, is_wanted, as_json = options.pop("quiet"), options.pop("progress"), options.pop("as_json")
    selection = pop_selection(options)
    if selection.is_everything and not is_all:
        raise click.UsageError("nothing is chosen: give ids or filters, or --all")
    if not selection.names:  # what arrives from now on is not meant
        before = min(selection.accepted_before, time.time())
        selection = attrs.evolve(selection, accepted_before=before)
    progress = Progress("looked at", is_wanted=is_wanted)
    if dry_run:
        return _dry_run(act, selection, options, progress, as_json=as_json)
    if act.is_final and not yes and not selection.names:
        _confirm(act, selection, options, progress)
    with changing(options, selection.query.queue) as (storages, hand):
        results = _results(act, selection, storages, hand, progress)
        return _report(act, results, as_json=as_json, is_quiet=is_quiet)


def _dry_run(act: Act, selection: Selection, options: dict[str, Any], progress: Progress, *, as_json: bool) -> int:
    with reading(options, selection.query.queue) as storages:
        meant = progress.over(one for one in storages.found(selection) if one.entry.state in act.states)
        (print_json if as_json else print_table)(meant)
    if not as_json:
        print(f"Nothing was changed; these would be {act.done}.")
    return 0


def _confirm(act: Act, selection: Selection, options: dict[str, Any], progress: Progress) -> None:
    """Ask on standard error; raises Abort on a no, UsageError where nobody can answer."""
    with reading(options, selection.query.queue) as storages:
        number = size_bytes = 0
        for one in progress.over(storages.found(selection)):
            if one.entry.state in act.states:
                number, size_bytes = number + 1, size_bytes + one.entry.size_bytes
    if number == 0:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"{counted(number)} would be {act.done} for good: say --yes, or name them")
    click.confirm(f"{counted(number)}, {size(size_bytes)} bytes, will be {act.done}. Go on?", abort=True, err=True)


def _results(act: Act, selection: Selection, storages: Reading, hand: Hand, progress: Progress) -> Iterator[Result]:
    missing = dict.fromkeys(selection.names)
    for batch in _batches(progress.over(storages.found(selection)), BATCH):
        for one in batch:
            missing.pop(one.entry.queue_id, None)
        yield from _changed(act, batch, storages, hand)
    if selection == Selection(query=Query(queue_ids=selection.query.queue_ids)):  # with filters it may just not fit
        yield from (Result(None, queue_id, GONE) for queue_id in missing)


def _changed(act: Act, batch: Sequence[Found], storages: Reading, hand: Hand) -> Iterator[Result]:
    as_seen: dict[tuple[str, State, int], list[Found]] = {}
    for one in batch:
        if one.entry.state in act.states:
            as_seen.setdefault((one.storage, one.entry.state, one.entry.attempts), []).append(one)
        else:
            word = BUSY if one.entry.state is State.ACTIVE else one.entry.state.value
            yield Result(one, one.entry.queue_id, word)
    for (storage, state, attempts), some in as_seen.items():
        query = Query(queue_ids=[one.entry.queue_id for one in some], states=[state], attempts=attempts)
        amended = set(hand.amend(storage, query, act.change))
        for one in some:
            is_done = one.entry.queue_id in amended
            yield Result(one, one.entry.queue_id, act.done if is_done else _why_not(storages, one))


def _why_not(storages: Reading, one: Found) -> str:
    """Since it was seen somebody has changed it, or is about to."""
    return GONE if state_now(storages, one) is None else BUSY


def _report(act: Act, results: Iterable[Result], *, as_json: bool, is_quiet: bool) -> int:
    counts: Counter[str] = Counter()
    for result in results:
        counts[result.word] += 1
        if as_json:
            print(json.dumps(_facts(result)))
        elif not is_quiet:
            print(_line(result))
    if not as_json:
        others = "".join(f", {number} {word}" for word, number in sorted(counts.items()) if word != act.done)
        print(f"{counted(counts[act.done])} {act.done}{others}.")
    return NO_INPUT if counts[GONE] else TRY_AGAIN if counts[BUSY] else 0


def _facts(result: Result) -> dict[str, Any]:
    where = {} if result.found is None else {"queue_name": result.found.entry.queue}
    return {"queue_id": result.queue_id, "result": result.word, **where}


def _line(result: Result) -> str:
    if result.found is None:
        return f"{result.word:<10} {result.queue_id}"
    entry = result.found.entry
    rcpts = [printable(address) for address, _ in entry.recipients]
    more = f" and {len(rcpts) - 1} more" if len(rcpts) > 1 else ""
    return f"{result.word:<10} {entry.queue_id}  {printable(entry.sender) or '<>'} to {''.join(rcpts[:1])}{more}"


def _batches(found: Iterator[Found], number: int) -> Iterator[Sequence[Found]]:
    while batch := list(islice(found, number)):
        yield batch


CHANGES: Final[Sequence[click.Command]] = (
    _command(
        "hold",
        Act(change=Change.HOLD, done="held", states=(State.DUE,)),
        "Hold messages: nothing is attempted until they are released.",
    ),
    _command(
        "release",
        Act(change=Change.RELEASE, done="released", states=(State.HELD,)),
        "Release held messages: they are due as they were before.",
    ),
    _command(
        "retry",
        Act(change=Change.DUE_NOW, done="due", states=(State.DUE,)),
        "Attempt messages now that wait for their next attempt.",
    ),
    _command(
        "bounce",
        Act(change=Change.BOUNCE, done="bounced", states=(State.DUE, State.HELD), is_final=True),
        "Return messages to their senders, with a notice for all open recipients.\n\n"
        "The service does it at once; if it does not run, when it runs again.",
    ),
    _command(
        "discard",
        Act(change=Change.DISCARD, done="discarded", states=(State.DUE, State.HELD), is_final=True),
        "Remove messages; nobody is told.",
    ),
)
