"""ProxyQueue: a queue without storage. It relays while the client waits, and gives the relay's replies back.

A component and a Handoff. `accept` runs in the edge's greenlets; each attempt in one of the queue's own, so that one
that has begun ends, and is in the log, also when nobody waits for it any more.
Invariant: a client hears 2yz for a recipient only if everything that policies made of that recipient's mail was
delivered or discarded, and everything that they added to it was delivered, too.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NoReturn

import attrs
import gevent

from mdacore import events
from mdacore.contracts import Health
from mdacore.queue.intake import Intake, Part
from mdacore.queue.lineage import Lineage, key_of
from mdacore.queue.proxying import CANNOT_HOLD, DISCARDED, NO_PLACE, Passing, Proxying, for_all
from mdacore.queue.queue import NOT_RUNNING
from mdacore.queue.relays import relay_fences
from mdacore.queue.routing import RouteTable
from mdacore.queue.spool import Spool
from mdacore.queue.wiring import ProxyWiring
from mdacore.runtime import Fence, Workers
from mdacore.words import LOCAL_ERROR, Deferral, Envelope, MdaError, QueueId, Rejection, Reply

STOP_WAIT_S: Final = 1.0
"""How long `stop` waits for attempts that it has cut short."""
CLOSING_CODES: Final = {421: 451, 521: 554}
"""What a next hop says before it hangs up is not about the client's own connection."""


class ProxyQueue:
    """Relays while the client waits."""

    is_proxy: Final = True

    def __init__(self, wiring: ProxyWiring) -> None:
        self._wiring = wiring
        self._log = wiring.log
        self._spool = Spool(wiring.spool_path)
        self._own_fence = Fence(instance=f"queues.{wiring.name}", log=wiring.log)
        fences = relay_fences(wiring.relays, wiring.log)
        timeless = {name: attrs.evolve(fence, deadline_s=None, breaker=None) for name, fence in fences.items()}
        self._routes = RouteTable(wiring.routes, wiring.relays, timeless)
        self._intake = Intake(wiring, self._routes, is_tracing=True)
        self._proxying = Proxying(wiring, fences)
        self._workers = Workers()
        self._in_hand = 0
        self._is_accepting = False

    # Handoff

    @property
    def spool_path(self) -> Path | None:
        return self._spool.path

    def refusal(self, size_bytes: int) -> Reply | None:  # noqa: ARG002 - the contract's parameter
        if not self._is_accepting:
            return NOT_RUNNING
        if self._in_hand >= self._wiring.claims_max:
            return NO_PLACE
        breakers = [relay.breaker for relay in self._wiring.relays.values()]
        return LOCAL_ERROR if all(breaker is not None and breaker.is_off for breaker in breakers) else None

    def accept(self, envelope: Envelope) -> Sequence[Reply]:
        ends_at = self._wiring.clock.monotonic() + self._wiring.reply_within_s
        count = len(envelope.recipients)
        try:
            if (reply := self.refusal(0)) is not None:
                raise Deferral(reply)
            parts = self._intake.parts(envelope)
            self._check_held(parts)
            copies, own = self._passings(parts, ends_at)
            self._relay_copies(copies)
            return answers(count, self._relayed(own))
        except MdaError as refusal:
            return [self._refused(envelope, refusal)] * count

    def restore(self, *_: object, **__: object) -> NoReturn:
        """As `Queue.restore`, for a queue that has nowhere to store it. Raises MdaError."""
        raise MdaError(f"queues.{self._wiring.name} is a proxy queue, which stores nothing")

    # Component

    def start(self) -> None:
        self._spool.start()
        self._is_accepting = True

    def drain(self, grace_s: float) -> bool:
        self._is_accepting = False
        return self._workers.join(grace_s)

    def stop(self) -> None:
        self._is_accepting = False
        gevent.sleep(0)  # what was given to a worker and has not begun must begin, to see that it is over
        self._workers.kill()
        self._workers.join(STOP_WAIT_S)
        self._workers.close()
        self._spool.stop()

    def health(self) -> Health:
        places = self._proxying.places
        return Health(facts={"unsettled": self._in_hand, "lanes": len(places), "full_lanes": places.full})

    def _check_held(self, parts: Iterable[Part]) -> None:
        """Nothing can be kept until an operator releases it. Raises Deferral."""
        if held := next((part.held for part in parts if part.held), ""):
            self._log.warning(events.QUEUE_HOLD_REFUSED, reason=held)
            raise Deferral(CANNOT_HOLD)

    def _passings(self, parts: Iterable[Part], ends_at: float) -> tuple[list[Passing], list[Passing]]:
        """For whom policies have added recipients of their own; and for the client's."""
        copies: list[Passing] = []
        own: list[Passing] = []
        for part in parts:
            lineage = part.lineage or {}
            for passings, is_own in ((copies, False), (own, True)):
                wanted = [rcpt for rcpt in part.envelope.recipients if bool(lineage[key_of(rcpt)]) is is_own]
                if wanted:
                    passings += self._routed(part.envelope.with_recipients(wanted), lineage, ends_at)
        return copies, own

    def _routed(self, envelope: Envelope, lineage: Lineage, ends_at: float) -> Iterable[Passing]:
        for lane, part in self._routes.split(envelope):
            origins = {rcpt.number: lineage[key_of(rcpt)] for rcpt in part.recipients}
            queue_id = QueueId(f"P{secrets.token_hex(10)}")
            yield Passing(queue_id=queue_id, lane=lane, envelope=part, origins=origins, ends_at=ends_at)

    def _relay_copies(self, copies: Sequence[Passing]) -> None:
        """First of all: what is lacking then costs nobody mail, and nothing was delivered that would come twice.

        Raises Deferral if not all were delivered.
        """
        for passing in self._relayed(copies):
            if not all(reply.is_success for reply in passing.replies.values()):
                raise Deferral(LOCAL_ERROR)

    def _relayed(self, passings: Sequence[Passing]) -> Sequence[Passing]:
        """The same, once they are through. Blocks; raises what interrupts the calling greenlet."""
        self._in_hand += len(passings)
        for passing in passings:
            self._workers.run(self._pass, passing)
        try:
            for passing in passings:
                passing.is_through.wait()
        finally:
            for passing in passings:
                passing.is_abandoned = True
        return passings

    def _pass(self, passing: Passing) -> None:
        """Whatever goes wrong, whoever waits gets replies."""
        passing.replies = for_all(passing.envelope, LOCAL_ERROR)
        try:
            passing.replies = self._own_fence.call(self._proxying.replies, passing)
        except MdaError:
            return  # logged by the fence
        finally:
            self._in_hand -= 1
            passing.is_through.set()

    def _refused(self, envelope: Envelope, refusal: MdaError) -> Reply:
        is_usable = isinstance(refusal, Rejection) or refusal.reply.is_transient
        reply = refusal.reply if is_usable else LOCAL_ERROR  # a fault neither refuses for good nor accepts
        self._log.info(
            events.QUEUE_REFUSED,
            session_id=envelope.client.session_id,
            sender=envelope.sender,
            reply=str(reply),
            component=refusal.component,
        )
        return reply


def answers(count: int, passings: Iterable[Passing]) -> list[Reply]:
    """The client's replies, in the order of its recipients: for each the worst that its mail has met."""
    met: list[Reply | None] = [None] * count
    for passing in passings:
        for number, reply in passing.replies.items():
            for place in passing.origins[number]:
                met[place] = _worse(met[place], reply)
    return [DISCARDED if reply is None else _for_client(reply) for reply in met]


def _worse(first: Reply | None, second: Reply) -> Reply:
    """4yz before 5yz: whoever comes again loses nothing, and hears the 5yz then."""
    return second if first is None or _rank(second) > _rank(first) else first


def _rank(reply: Reply) -> int:
    return 2 if reply.is_transient else int(reply.is_permanent)


def _for_client(reply: Reply) -> Reply:
    """With a code that may be said after a message (RFC 5321 §4.3.2)."""
    code = 250 if reply.is_success else CLOSING_CODES.get(reply.code, reply.code)
    return Reply(code=code, enhanced=reply.enhanced, text=reply.text)
