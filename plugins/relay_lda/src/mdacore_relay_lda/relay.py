"""The relay itself: one message for some recipients, a process for each (or one for all), a reply for each.

How one delivery is made is not in here (`delivery`). Invariants: each recipient gets a reply; who was delivered before
an attempt was broken off is not delivered again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import gevent
from gevent.event import Event
from greenlet import GreenletExit

from mdacore import Attempt, Context, Envelope, Health, Recipient, Reply, Status
from mdacore_relay_lda import events, verdict
from mdacore_relay_lda.delivery import Deliverer, Delivery

_OWN_SHARE_OF_DEADLINE = 0.9
_LEAST_SHARE_S = 10.0
"""With less a process is not started: one that is cut short may have delivered already."""


class LdaRelay:
    """Final delivery by a program."""

    def __init__(self, deliverer: Deliverer, context: Context) -> None:
        self._deliverer = deliverer
        self._log = context.log
        self._clock = context.clock
        self._takes_work = False
        self._in_hand = 0
        self._is_idle = Event()
        self._is_idle.set()

    def start(self) -> None:
        """Get ready to start processes, from the main thread only. Raises OSError if a folder cannot be made."""
        self._deliverer.start()
        self._takes_work = True

    def drain(self, grace_s: float) -> bool:
        """Refuse new attempts and wait for those in hand."""
        self._takes_work = False
        return self._is_idle.wait(grace_s)

    def stop(self) -> None:
        """Kill what still runs, with its group; its recipients are deferred."""
        self._takes_work = False
        self._deliverer.stop()

    def health(self) -> Health:
        """Degraded from the first process that could not be started to the next that was."""
        trouble, program = self._deliverer.trouble, self._deliverer.program.path
        facts = {"program": program, "attempts_in_hand": self._in_hand, "processes": self._deliverer.processes}
        return Health(status=Status.DEGRADED if trouble else Status.OK, reason=trouble, facts=facts)

    def destination(self, envelope: Envelope) -> str:  # noqa: ARG002 - the contract's signature
        """One machine, one lane; mailboxes take turns in here."""
        return ""

    def attempt(self, envelope: Envelope, attempt: Attempt) -> Mapping[int, Reply]:
        """Deliver to each recipient in turn, or to all at once where one process serves all.

        Each process gets an even share of what is left of the deadline, `timeout_s` at most. Interrupted, this returns
        what is known if somebody was delivered, so that nobody gets the message twice.
        """
        replies: dict[int, Reply] = {}
        if not self._takes_work:
            return _replies(envelope.recipients, verdict.STOPPING)
        self._in_hand += 1
        self._is_idle.clear()
        try:
            for recipients, limit_s in self._shares(envelope, attempt):
                delivery = self._deliverer.deliver(envelope, recipients, attempt.queue_id, limit_s)
                self._report(recipients, delivery)
                replies |= _replies(recipients, delivery.reply)
        except (GreenletExit, gevent.Timeout):
            if not any(reply.is_success for reply in replies.values()):
                raise
        finally:
            self._in_hand -= 1
            if not self._in_hand:
                self._is_idle.set()
        return _replies(envelope.recipients, verdict.KILLED) | replies

    def _shares(self, envelope: Envelope, attempt: Attempt) -> Iterator[tuple[Sequence[Recipient], float]]:
        """Who shares a process, and its part of the time; zero when too little is left."""
        groups = self._deliverer.program.groups(envelope)
        usable_s = attempt.deadline_s * _OWN_SHARE_OF_DEADLINE
        least_s = min(_LEAST_SHARE_S, usable_s / 4)
        ends_at = self._clock.monotonic() + usable_s
        for index, group in enumerate(groups):
            left_s = ends_at - self._clock.monotonic()
            yield group, max(left_s / (len(groups) - index), least_s) if left_s >= least_s else 0.0

    def _report(self, recipients: Sequence[Recipient], delivery: Delivery) -> None:
        facts: dict[str, object] = {"rcpts": [one.address for one in recipients], "reply": str(delivery.reply)}
        if delivery.reply.is_success:  # what a program says then may be the message itself
            self._log.debug(events.DELIVERED, **facts)
            return
        if delivery.result is None:
            facts["cause"] = delivery.cause
        else:
            facts |= {"ended": str(delivery.result), "output": delivery.result.said}
        if delivery.reply.is_permanent:
            self._log.info(events.REFUSED, **facts)
        else:
            self._log.warning(events.DEFERRED, **facts)


def _replies(recipients: Sequence[Recipient], reply: Reply) -> dict[int, Reply]:
    return {recipient.number: reply for recipient in recipients}
