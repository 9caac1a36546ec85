"""``mdacore queue count`` and ``mdacore queue top``: how many, where, why, and how old. Memory holds groups only."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import attrs
import click

from mdacore.cli.options import configuration_options
from mdacore.cli.queue.progress import Progress
from mdacore.cli.queue.reading import Found, reading
from mdacore.cli.queue.selecting import Selection, pop_selection, reasons, selection_options
from mdacore.cli.queue.wording import counted, duration, size
from mdacore.contracts import QueueEntry, State
from mdacore.words import domain_of, printable

GROUPS_MAX = 10_000
"""How many groups are told apart; what comes after them is counted as `OTHERS`."""
OTHERS = "(others)"
REASON_MAX_CHARS = 60
AGES_S = {"5m": 300, "15m": 900, "1h": 3600, "4h": 14_400, "1d": 86_400}
_VARIABLE = re.compile(r"<[^>]*>|\S*@\S*|\b(?=\w*\d)[\w.:-]{8,}")


@attrs.define
class Group:
    """The messages of one kind."""

    number: int = 0
    size_bytes: int = 0
    oldest_at: float = float("inf")
    states: dict[State, int] = attrs.field(factory=lambda: dict.fromkeys(State, 0))
    ages: list[int] = attrs.field(factory=lambda: [0] * (len(AGES_S) + 1))

    def add(self, entry: QueueEntry, now: float) -> None:
        """Count one message."""
        self.number += 1
        self.size_bytes += entry.size_bytes
        self.oldest_at = min(self.oldest_at, entry.accepted_at)
        self.states[entry.state] += 1
        age_s = now - entry.accepted_at
        self.ages[sum(age_s > limit_s for limit_s in AGES_S.values())] += 1


def _domains(entry: QueueEntry) -> Iterable[str]:
    return {domain_of(address) or "(none)" for address, _ in entry.recipients} or {"(unreadable)"}


def _reasons(entry: QueueEntry) -> Iterable[str]:
    """Without what differs from message to message: addresses, and words with digits in them that are long."""
    return {printable(_VARIABLE.sub("…", text), REASON_MAX_CHARS) for text in reasons(entry)} or {"(not attempted yet)"}


KEYS: dict[str, Callable[[QueueEntry], Iterable[str]]] = {
    "domain": _domains,
    "lane": lambda entry: (entry.lane,),
    "queue": lambda entry: (entry.queue,),
    "reason": _reasons,
    "sender": lambda entry: (entry.sender or "<>",),
    "state": lambda entry: (entry.state.value,),
}


def grouped(found: Iterable[Found], key: Callable[[QueueEntry], Iterable[str]], now: float) -> dict[str, Group]:
    """The groups by their names, unsorted. A message with recipients in two domains counts in both."""
    groups: dict[str, Group] = {}
    for one in found:
        for name in key(one.entry):
            kept = name if name in groups or len(groups) < GROUPS_MAX else OTHERS
            groups.setdefault(kept, Group()).add(one.entry, now)
    return groups


@click.command()
@configuration_options
@selection_options
@click.option(
    "--by",
    type=click.Choice(["queue", "lane", "state"]),
    default="queue",
    show_default=True,
    help="What the rows are.",
)
@click.option("--total", is_flag=True, help="Print only the number of messages.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")
def count(*, by: str, total: bool, as_json: bool, **options: Any) -> None:
    """Count messages by queue, by lane or by state.

    Nothing is locked or changed; the service may run or not.
    """
    groups = _groups(pop_selection(options), options, by)
    if total:
        print(sum(group.number for group in groups.values()))
    elif as_json:
        _print_groups_as_json(groups, by)
    else:
        print("\n".join(_count_lines(groups, by, time.time())))


@click.command()
@configuration_options
@selection_options
@click.option("--by", type=click.Choice(sorted(KEYS)), default="domain", show_default=True, help="What the rows are.")
@click.option("--rows", type=click.IntRange(min=1), default=20, show_default=True, metavar="N", help="How many rows.")
@click.option("--every", type=click.IntRange(min=1), metavar="SECONDS", help="Again and again, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")
def top(*, by: str, rows: int, every: int | None, as_json: bool, **options: Any) -> None:
    """Show where most messages are, and how old they are: by recipients' domain, lane, reason, sender, queue or state.

    Nothing is locked or changed; the service may run or not.
    """
    selection = pop_selection(options)
    while True:
        groups = _largest(_groups(selection, options, by), rows)
        if as_json:
            _print_groups_as_json(groups, by)
        else:
            if every:
                click.clear()
            print("\n".join(_top_lines(groups, by, time.time())), flush=True)
        if not every:
            return
        time.sleep(every)


def _groups(selection: Selection, options: dict[str, Any], by: str) -> dict[str, Group]:
    with reading(options, selection.query.queue) as storages:
        return grouped(Progress("read").over(storages.found(selection)), KEYS[by], time.time())


def _largest(groups: dict[str, Group], number: int) -> dict[str, Group]:
    ordered = sorted(groups.items(), key=lambda item: (-item[1].number, item[0]))
    return dict(ordered[:number])


def _print_groups_as_json(groups: dict[str, Group], by: str) -> None:
    for name, group in groups.items():
        ages = dict(zip([*AGES_S, "more"], group.ages, strict=True))
        numbers = {state.value: number for state, number in group.states.items()}
        more = {"messages": group.number, "bytes": group.size_bytes, "oldest_arrival_time": int(group.oldest_at)}
        print(json.dumps({by: name, **more, **numbers, "ages": ages}))


def _count_lines(groups: dict[str, Group], by: str, now: float) -> Iterator[str]:
    if not groups:
        yield "No messages."
        return
    width = max(len(by), 5, *(len(printable(name)) for name in groups))
    yield f"{by.upper():<{width}}  {'MESSAGES':>9}  {'DUE':>9}  {'ACTIVE':>6}  {'HELD':>6}  {'BYTES':>6}  OLDEST"
    everything = Group()
    for name, group in [*sorted(groups.items()), ("total", everything)]:
        if group is not everything:
            everything.number += group.number
            everything.size_bytes += group.size_bytes
            everything.oldest_at = min(everything.oldest_at, group.oldest_at)
            for state, number in group.states.items():
                everything.states[state] += number
        due, active, held = (group.states[state] for state in State)
        yield (
            f"{printable(name):<{width}}  {group.number:>9}  {due:>9}  {active:>6}  {held:>6}"
            f"  {size(group.size_bytes):>6}  {duration(now - group.oldest_at)}"
        )


def _top_lines(groups: dict[str, Group], by: str, now: float) -> Iterator[str]:
    if not groups:
        yield "No messages."
        return
    ages = "  ".join(f"{f'<={name}':>6}" for name in AGES_S)
    yield f"{'MESSAGES':>8}  {ages}  {'>1d':>6}  {'HELD':>6}  {'OLDEST':>6}  {by.upper()}"
    for name, group in groups.items():
        numbers = "  ".join(f"{number:>6}" for number in group.ages)
        oldest = duration(now - group.oldest_at)
        yield f"{group.number:>8}  {numbers}  {group.states[State.HELD]:>6}  {oldest:>6}  {printable(name)}"
    yield f"-- {counted(sum(group.number for group in groups.values()))} in {len(groups)} rows"
