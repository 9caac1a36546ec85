"""The relay itself: one message for some recipients, each written in a thread while the hub goes on.

What a delivery is stands in `delivery`; its octets are made in the greenlet, so that a thread has little to do between
two calls of the system, in each of which it lets another one go on. What small messages of several attempts have in
common, the syncs, they share (`groups`). Invariants: the hub never waits for the disk; a
recipient's 250 is given when its file and its folders are durable; an attempt that is over delivers nothing more.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import attrs
import gevent
from gevent.event import Event
from greenlet import GreenletExit

from mdacore import LOCAL_ERROR, Attempt, Context, Envelope, Health, Reply, Status, printable
from mdacore.runtime import Deadlines, TimedCall
from mdacore_relay_maildir import events
from mdacore_relay_maildir.config import MaildirConfig
from mdacore_relay_maildir.delivery import Deliverer, Delivery, Letter, Message, is_at_hand, unreadable
from mdacore_relay_maildir.groups import Groups
from mdacore_relay_maildir.steps import Steps
from mdacore_relay_maildir.syncs import Syncs
from mdacore_relay_maildir.walk import Descriptors, make_root

STOPPING = Reply(code=451, enhanced="4.3.2", text="Service is stopping, try again later")

_OWN_SHARE_OF_DEADLINE = 0.9
_STOP_S = 2.0
_KNOWN_LIMITS = 4


@attrs.define
class _Job:
    """One attempt, shared by its greenlet and its thread: the thread adds results, the greenlet may give up."""

    envelope: Envelope
    results: dict[int, Delivery] = attrs.field(factory=dict)
    is_over: bool = False

    @property
    def has_delivered(self) -> bool:
        """Somebody has the message."""
        return any(delivery.reply.is_success for delivery in list(self.results.values()))


class MaildirRelay:
    """Final delivery into maildirs."""

    def __init__(self, config: MaildirConfig, context: Context) -> None:
        self._root = context.resolve(config.path)
        self._deliverer = Deliverer(config, context)
        self._workers = config.workers
        self._max_group = config.group_messages
        self._log = context.log
        self._syncs = Syncs()
        self._groups: Groups[None] | None = None
        self._deadlines_of = lru_cache(_KNOWN_LIMITS)(Deadlines)  # as a rule all attempts have the same limit
        self._waiting: dict[TimedCall, Deadlines] = {}
        self._nobody_waits = Event()
        self._nobody_waits.set()
        self._takes_work = False
        self._is_stopped = False
        self._trouble = ""

    def start(self) -> None:
        """Make the root folder and the threads. Raises OSError if the root cannot be made or belongs to others."""
        make_root(self._root)
        with Descriptors() as descriptors:  # where syncs take turns, a group would only make its members wait
            may_group = self._syncs.are_parallel_for(descriptors.root(self._root))
        self._groups = Groups(self._workers, self._max_group if may_group else 1, self._syncs)
        self._takes_work = True

    def drain(self, grace_s: float) -> bool:
        """Refuse new attempts and wait for those in hand."""
        self._takes_work = False
        if self._groups is None:
            return True
        gevent.with_timeout(grace_s, self._join, self._groups, timeout_value=None)
        return not self._waiting and not self._groups.in_hand

    def stop(self) -> None:
        """End the threads. What is in hand is given up before anybody can see it; a thread that hangs is left alone."""
        self._takes_work = False
        self._is_stopped = True
        groups, self._groups = self._groups, None
        for call, deadlines in self._waiting.items():
            gevent.get_hub().loop.run_callback(deadlines.strike, call)
        if groups is not None:
            groups.stop(_STOP_S)
        self._syncs.close()
        self._deliverer.close()

    def health(self) -> Health:
        """Degraded from a delivery that the disk did not take to the next that it does."""
        in_hand = self._groups.in_hand if self._groups is not None else 0
        facts = {"path": str(self._root), "messages_in_hand": in_hand}
        return Health(status=Status.DEGRADED if self._trouble else Status.OK, reason=self._trouble, facts=facts)

    def destination(self, envelope: Envelope) -> str:  # noqa: ARG002 - the contract's signature
        """One disk, one lane."""
        return ""

    def attempt(self, envelope: Envelope, attempt: Attempt) -> Mapping[int, Reply]:
        """Deliver to each recipient in turn, in threads. 250 2.0.0 is durable: the file, its name, its folders.

        Gives up a little before its deadline, so that it can still say who has the message. A thread that hangs on a
        dead disk beyond that delivers nothing when it wakes, unless it was at the very last step.
        """
        numbers = [recipient.number for recipient in envelope.recipients]
        if self._groups is None or not self._takes_work:
            return dict.fromkeys(numbers, STOPPING)
        job = _Job(envelope)
        limit_s = attempt.deadline_s * _OWN_SHARE_OF_DEADLINE
        self._run_in(self._groups, job, limit_s)
        results = dict(job.results)
        if len(results) < len(numbers) and not self._is_stopped:
            self._log.warning(events.OVERRAN, limit_s=limit_s, missing=len(numbers) - len(results))
            self._trouble = "an attempt overran its deadline"
        self._report(envelope, results)
        missing = STOPPING if self._is_stopped else LOCAL_ERROR
        return {number: results[number].reply if number in results else missing for number in numbers}

    def _run_in(self, groups: Groups[None], job: _Job, limit_s: float) -> None:
        """Wait for a job: until it is done, its time is over, or the relay stops.

        What interrupts this greenlet passes, unless somebody has the message: who that is must be told.
        """
        deadlines = self._deadlines_of(limit_s)
        call = deadlines.begin()
        self._waiting[call] = deadlines
        self._nobody_waits.clear()
        try:
            self._run(groups, job)
        except (gevent.Timeout, GreenletExit) as interruption:
            if interruption is not call.expired and not job.has_delivered:
                raise
        finally:
            job.is_over = True
            deadlines.end(call)
            del self._waiting[call]
            if not self._waiting:
                self._nobody_waits.set()

    def _join(self, groups: Groups[None]) -> None:
        self._nobody_waits.wait()
        groups.join()  # for what attempts have given up

    def _run(self, groups: Groups[None], job: _Job) -> None:
        recipients = job.envelope.recipients
        is_long = not is_at_hand(job.envelope.content)
        try:
            message = self._read(groups, job.envelope)
        except OSError as error:
            job.results.update(dict.fromkeys((recipient.number for recipient in recipients), unreadable(error)))
            return
        for recipient in recipients:
            if self._is_stopped:
                return
            letter = self._deliverer.letter(message, recipient.address)
            if isinstance(letter, Delivery):
                job.results[recipient.number] = letter
            else:
                groups.do(self._deliver(job, recipient.number, letter), is_long=is_long)

    def _read(self, groups: Groups[None], envelope: Envelope) -> Message:
        read = self._deliverer.read
        return read(envelope) if is_at_hand(envelope.content) else groups.call(read, envelope)

    def _deliver(self, job: _Job, number: int, letter: Letter) -> Steps[None]:
        """In a thread. Leaves the result itself: the greenlet may be gone by then, or just about to look.

        Logs nothing: what is bound to the log belongs to the greenlet.
        """

        def is_wanted() -> bool:
            return not (job.is_over or self._is_stopped)

        if is_wanted():
            job.results[number] = yield from self._deliverer.deliver(letter, is_wanted=is_wanted)

    def _report(self, envelope: Envelope, results: Mapping[int, Delivery]) -> None:
        for recipient in envelope.recipients:
            if (result := results.get(recipient.number)) is None:
                continue
            if result.event == events.DELIVERED:
                self._trouble = ""
                self._log.debug(result.event, rcpt=recipient.address, **result.fields)
                continue
            rcpt = printable(recipient.address)  # a refused address may hold what cannot be written to a log
            if result.event == events.DEFERRED:
                self._trouble = result.fields["cause"]
                self._log.warning(result.event, rcpt=rcpt, **result.fields)
            else:
                self._log.info(result.event, rcpt=rcpt, **result.fields)
