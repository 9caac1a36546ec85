"""The contract suite for relays: a class of tests to inherit from. Needs pytest.

    class TestMyRelay(RelayContract):
        def make_relay(self, context):
            return MyRelay(MyConfig(host="127.0.0.1"), context)

A relay whose deliveries can be looked up inherits `DeliveringRelayContract` and says where they are: only that suite
can tell a relay that delivers from one that says so. Each test is one rule of `mdacore.contracts.relay`.

Not tested, because it cannot be seen from outside: that a relay does not retry, and that what is delivered is durable.
"""

from __future__ import annotations

import abc
from collections.abc import Collection, Mapping, Sequence
from typing import cast

import attrs
import gevent
import pytest

from mdacore.contracts import Component, Context, Relay
from mdacore.testing.component_contract import ComponentContract
from mdacore.testing.messages import content_of, make_attempt, make_envelope
from mdacore.testing.probes import (
    HUB_BLOCKED_S,
    INTERRUPT_AFTER_S,
    SOON_S,
    Struck,
    hub_turns,
    killed,
    nothing_left,
    timed_out,
    watched,
)
from mdacore.testing.samples import ODD, ODD_MESSAGES, odd_envelopes
from mdacore.words import Content, Envelope, MemoryBody, QueueId, Recipient, Reply

Replies = Mapping[int, Reply]

AT_ONCE = 12
"""How many attempts the suite makes at the same time."""
MANY, SOME = 60, 5
"""Recipients of a message that is killed on its way, once so many have got it."""
BLINK_S = 0.1
"""How long a greenlet may take to end once its work is done."""
PLAIN_ODD = ("no_header", "mbox_line_first", "nul_and_8_bit_header", "nul_and_8_bit_body", "line_of_300_kb")
"""Those of the odd messages that any mailbox can hold."""


class RelayContract(ComponentContract):
    """What every relay keeps. Inherit, and give `make_relay`."""

    instance = "relays.tested"
    addresses: Sequence[str] = ("bob@example.test", "carol@example.test", "dave@example.test")
    """Whom to deliver to. Whether the relay can is its own affair; it answers all the same."""

    @abc.abstractmethod
    def make_relay(self, context: Context) -> Relay:
        """The relay, built and not started. What it needs outside (a server, a program) belongs to a fixture."""

    def make_component(self, context: Context) -> Component:
        return self.make_relay(context)

    def use(self, component: Component) -> None:
        cast(Relay, component).attempt(make_envelope(self.addresses[0]), make_attempt())

    @pytest.fixture
    def relay(self, component: Component) -> Relay:
        """Up, and stopped at the end."""
        return cast(Relay, component)

    # the answer

    @pytest.mark.parametrize("numbers", [(0,), (0, 1, 2), (1, 4, 7), (9, 3)])
    def test_each_open_recipient_gets_one_reply_by_its_number(self, relay: Relay, numbers: Sequence[int]) -> None:
        """One reply for each of `envelope.recipients`, by its number, and none for anybody else."""
        replies = relay.attempt(self._numbered(*numbers), make_attempt())

        assert sorted(numbers) == sorted(replies)
        assert {Reply} == {type(reply) for reply in replies.values()}

    def test_a_reply_is_2yz_4yz_or_5yz(self, relay: Relay) -> None:
        """Delivered, deferred or failed for good; a 3yz is no answer to a delivery."""
        replies = relay.attempt(self._numbered(0, 1, 2), make_attempt())

        assert {reply.code // 100 for reply in replies.values()} <= {2, 4, 5}

    def test_a_later_attempt_is_answered_for_those_still_open(self, relay: Relay) -> None:
        """A relay does not remember: who is not in the envelope any more gets no reply."""
        relay.attempt(self._numbered(0, 1, 2), make_attempt())

        replies = relay.attempt(self._numbered(1), make_attempt(number=2))

        assert [1] == list(replies)

    @pytest.mark.parametrize("odd", ODD)
    def test_whatever_is_in_the_envelope_is_answered(self, relay: Relay, odd: str) -> None:
        """A relay that raises defers mail that it will never deliver; what it cannot deliver it fails."""
        envelope = odd_envelopes(self.addresses[0])[odd]

        replies = relay.attempt(envelope, make_attempt())

        assert {recipient.number for recipient in envelope.recipients} == set(replies)

    def test_the_envelope_is_left_as_it_was(self, relay: Relay) -> None:
        """Envelopes are immutable; the next attempt gets this very one."""
        envelope = self._numbered(0, 1)
        copy, message = attrs.evolve(envelope), content_of(envelope)

        relay.attempt(envelope, make_attempt())

        assert copy == envelope
        assert message == content_of(envelope)

    # many at once, and the hub

    def test_many_attempts_at_once_each_get_their_own_replies(self, relay: Relay) -> None:
        """An attempt is made in a greenlet of its own, and many run at once."""
        running = [
            gevent.spawn(relay.attempt, self._numbered(n, n + 100), make_attempt(queue_id=QueueId(f"Q{n:010d}")))
            for n in range(AT_ONCE)
        ]
        gevent.joinall(running, raise_error=True)

        assert [{n, n + 100} for n in range(AT_ONCE)] == [set(one.value or ()) for one in running]

    def test_others_run_while_an_attempt_does(self, relay: Relay) -> None:
        """An attempt blocks its own greenlet, never the hub."""
        with hub_turns() as turns:
            relay.attempt(self._numbered(0, 1, 2), make_attempt())

        assert turns.longest_s < HUB_BLOCKED_S

    def test_no_sync_no_sleep_and_no_child_is_waited_for_in_the_hubs_thread(self, relay: Relay) -> None:
        """What keeps the thread waiting keeps every session waiting: a disk's sync belongs to a thread of its own."""
        with watched() as watch:
            relay.attempt(self._numbered(0, 1), make_attempt())

        assert [] == watch.waited

    def test_attempts_leave_nothing_behind(self, relay: Relay) -> None:
        """No descriptor, greenlet, thread or child more than after the first ones."""
        self._attempts_at_once(relay)

        with nothing_left():
            self._attempts_at_once(relay)

    # interrupted

    def test_a_kill_ends_an_attempt(self, relay: Relay) -> None:
        """What interrupts the greenlet passes through, unless somebody was delivered: then that is returned."""
        for after_s in INTERRUPT_AFTER_S:
            struck = killed(lambda: relay.attempt(self._numbered(0, 1, 2), make_attempt()), after_s)

            assert _is_legal_end(struck, {0, 1, 2})

    def test_a_timeout_of_the_caller_ends_an_attempt(self, relay: Relay) -> None:
        """The core interrupts at `deadline_s` with a gevent.Timeout, which a relay never takes for its own."""
        for after_s in INTERRUPT_AFTER_S:
            struck = timed_out(lambda: relay.attempt(self._numbered(0, 1, 2), make_attempt()), after_s)

            assert _is_legal_end(struck, {0, 1, 2})

    def test_an_interrupted_attempt_leaves_nothing_behind(self, relay: Relay) -> None:
        """No descriptor, greenlet, thread or child, wherever it was struck."""
        self._attempts_at_once(relay)

        with nothing_left():
            for after_s in INTERRUPT_AFTER_S:
                killed(lambda: relay.attempt(self._numbered(0, 1, 2), make_attempt()), after_s)

    # drained and stopped with work in hand

    def test_drain_is_true_only_when_no_attempt_is_left(self, relay: Relay) -> None:
        """Drain finishes what is in hand; True means that nothing was left."""
        running = self._spawn_attempts(relay)

        is_done = relay.drain(SOON_S)
        gevent.joinall(running, timeout=BLINK_S)

        assert isinstance(is_done, bool)
        assert not (is_done and [one for one in running if not one.ready()])

    def test_drain_takes_no_longer_than_its_grace(self, relay: Relay) -> None:
        """At most `grace_s`, whatever is in hand."""
        running = self._spawn_attempts(relay)

        with gevent.Timeout(SOON_S, AssertionError(f"drain(0.1) took more than {SOON_S} s")):
            relay.drain(0.1)

        gevent.joinall(running)

    def test_stop_cuts_short_what_is_in_hand(self, relay: Relay) -> None:
        """Soon after `stop` every attempt has been answered or has raised."""
        running = self._spawn_attempts(relay)

        relay.stop()
        gevent.joinall(running, timeout=SOON_S)

        assert [] == [one for one in running if not one.ready()]
        results = [one.value for one in running if isinstance(one.value, Mapping)]
        assert [{0, 1}] * len(results) == [set(result) for result in results]

    # the lane

    def test_a_destination_is_text_told_from_memory(self, relay: Relay) -> None:
        """The second half of the lane's name; no I/O."""
        relay.destination(self._numbered(0))

        with watched() as watch:
            destination = relay.destination(self._numbered(0, 1))

        assert isinstance(destination, str)
        assert ([], 0) == (watch.asked + watch.waited, watch.switches)

    @pytest.mark.parametrize("odd", ODD)
    def test_whatever_is_in_the_envelope_has_a_destination(self, relay: Relay, odd: str) -> None:
        """Called before the message is stored: if it raises, the mail is refused."""
        envelope = odd_envelopes(self.addresses[0])[odd]

        assert relay.destination(envelope) == relay.destination(attrs.evolve(envelope))

    def _numbered(self, *numbers: int) -> Envelope:
        """An envelope with a recipient of each number; the addresses take turns."""
        recipients = (Recipient(number=n, address=self.addresses[n % len(self.addresses)]) for n in numbers)
        return attrs.evolve(make_envelope(), recipients=tuple(recipients))

    def _spawn_attempts(self, relay: Relay) -> list[gevent.Greenlet[..., Replies]]:
        running = [gevent.spawn(relay.attempt, self._numbered(0, 1), make_attempt()) for _ in range(AT_ONCE)]
        gevent.sleep(0)
        return running

    def _attempts_at_once(self, relay: Relay) -> None:
        gevent.joinall(self._spawn_attempts(relay), raise_error=True)


class DeliveringRelayContract(RelayContract):
    """What every relay keeps whose deliveries can be looked up. Inherit, and give `delivered` too."""

    @abc.abstractmethod
    def delivered(self, context: Context, address: str) -> Sequence[bytes]:
        """The messages that this address has got, as octets, in any order; none if there is no such mailbox yet."""

    def test_success_means_that_the_message_is_there(self, relay: Relay, context: Context) -> None:
        """2yz: delivered, once; 4yz and 5yz: not at all."""
        envelope = self._numbered(*range(len(self.addresses)))

        replies = relay.attempt(envelope, make_attempt())

        expected = {recipient.address: int(replies[recipient.number].is_success) for recipient in envelope.recipients}
        assert expected == {address: len(self.delivered(context, address)) for address in expected}
        assert any(expected.values()), "none of `addresses` can be delivered to, which proves nothing"

    @pytest.mark.parametrize("odd", PLAIN_ODD)
    def test_the_message_is_delivered_as_it_was_received(self, relay: Relay, context: Context, odd: str) -> None:
        """Fields may stand on top and line ends may be LF; all else is the received octets."""
        message = ODD_MESSAGES[odd]
        envelope = self._numbered(0).with_content(Content(MemoryBody(message)))

        relay.attempt(envelope, make_attempt())

        (found,) = self.delivered(context, self.addresses[0])
        assert found.replace(b"\r\n", b"\n").endswith(message.replace(b"\r\n", b"\n"))

    def test_who_was_delivered_before_a_kill_is_told(self, relay: Relay, context: Context) -> None:
        """A relay that knows that some were delivered must return, not raise: they would get the message twice."""
        attempt = gevent.spawn(relay.attempt, self._numbered(*range(MANY)), make_attempt())
        while not attempt.ready() and self._delivered_count(context) < SOME:
            gevent.sleep(0.001)

        attempt.kill(timeout=SOON_S)

        assert isinstance(attempt.value, Mapping), "it raised"
        assert set(range(MANY)) == attempt.value.keys()
        assert any(reply.is_success for reply in attempt.value.values())

    def _delivered_count(self, context: Context) -> int:
        return sum(len(self.delivered(context, address)) for address in self.addresses)


def _is_legal_end(struck: Struck[Replies], numbers: Collection[int]) -> bool:
    """The interruption passed; or there is a result, because it was ready in time or somebody was delivered."""
    if struck.result is None:
        return not struck.was_in_time
    is_known = struck.was_in_time or any(reply.is_success for reply in struck.result.values())
    return is_known and struck.result.keys() == set(numbers)
