"""For each rule of the relay contract a relay that breaks it, and which the suite finds and names."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

import gevent
from gevent.event import Event

from mdacore import Attempt, Content, Context, Envelope, Health, MemoryBody, Reply
from mdacore.testing.component_contract import ComponentContract
from mdacore.testing.relay_contract import DeliveringRelayContract

DELIVERED = Reply.parse("250 2.0.0 Delivered")
LATER = Reply.parse("451 4.3.0 Later")


class SoundRelay:
    """Delivers into files, recipient after recipient, with a pause before each."""

    pause_s = 0.003

    def __init__(self, context: Context) -> None:
        self.path = context.state_path
        self.in_hand: set[gevent.Greenlet] = set()
        self.is_idle = Event()
        self.is_idle.set()
        self.number = 0

    def start(self) -> None:
        self.path.mkdir()

    def drain(self, grace_s: float) -> bool:
        return self.is_idle.wait(grace_s)

    def stop(self) -> None:
        gevent.killall(list(self.in_hand))

    def health(self) -> Health:
        return Health(facts={"in_hand": len(self.in_hand)})

    def destination(self, envelope: Envelope) -> str:
        return ""

    def attempt(self, envelope: Envelope, attempt: Attempt) -> Mapping[int, Reply]:
        me = gevent.getcurrent()
        self.in_hand.add(me)
        self.is_idle.clear()
        replies: dict[int, Reply] = {}
        try:
            for recipient in envelope.recipients:
                self.pause()
                replies[recipient.number] = self.deliver(recipient.address, envelope.content)
        except (gevent.GreenletExit, gevent.Timeout) as interruption:
            self.interrupted(replies, interruption)
        finally:
            self.in_hand.discard(me)
            if not self.in_hand:
                self.is_idle.set()
        return {recipient.number: LATER for recipient in envelope.recipients} | replies

    def interrupted(self, replies: Mapping[int, Reply], interruption: BaseException) -> None:
        if not replies:
            raise interruption

    def pause(self) -> None:
        gevent.sleep(self.pause_s)

    def deliver(self, address: str, content: Content) -> Reply:
        self.number += 1
        folder = self.path / address.encode("utf-8", "surrogateescape").hex()[:200]
        folder.mkdir(exist_ok=True)
        (folder / str(self.number)).write_bytes(b"".join(content.chunks()))
        return DELIVERED


class ForgetsTheLast(SoundRelay):
    def attempt(self, envelope, attempt):
        return dict(list(super().attempt(envelope, attempt).items())[:-1])


class TellsToGoOn(SoundRelay):
    def deliver(self, address, content):
        return Reply(code=354)


class Remembers(SoundRelay):
    def __init__(self, context):
        super().__init__(context)
        self.replies = {}

    def attempt(self, envelope, attempt):
        self.replies |= super().attempt(envelope, attempt)
        return self.replies


class WantsAscii(SoundRelay):
    def deliver(self, address, content):
        address.encode("ascii")
        return super().deliver(address, content)


class Rewrites(SoundRelay):
    def attempt(self, envelope, attempt):
        object.__setattr__(envelope, "sender", "")
        return super().attempt(envelope, attempt)


class KeepsOneEnvelope(SoundRelay):
    def attempt(self, envelope, attempt):
        self.envelope = envelope
        self.pause()
        return super().attempt(self.envelope, attempt)


class BlocksTheHub(SoundRelay):
    def pause(self):
        time.sleep(0.5)


class SyncsInTheHub(SoundRelay):
    def deliver(self, address, content):
        reply = super().deliver(address, content)
        os.sync()
        return reply


class Leaks(SoundRelay):
    def deliver(self, address, content):
        os.dup(0)
        return super().deliver(address, content)


class OutlivesKills(SoundRelay):
    def interrupted(self, replies, interruption):
        if not isinstance(interruption, gevent.GreenletExit):
            raise interruption


class TakesEveryTimeoutForItsOwn(SoundRelay):
    def interrupted(self, replies, interruption):
        if not isinstance(interruption, gevent.Timeout):
            raise interruption


class LeaksWhenStruck(SoundRelay):
    def pause(self):
        fd = os.dup(0)
        super().pause()
        os.close(fd)


class SaysItIsDrained(SoundRelay):
    pause_s = 0.3

    def drain(self, grace_s):
        return True


class DrainsForEver(SoundRelay):
    def drain(self, grace_s):
        return self.is_idle.wait(grace_s + 2.5)

    def pause(self):
        gevent.sleep(1)


class StopsLater(SoundRelay):
    pause_s = 1.2

    def stop(self):
        pass


class LooksUpItsDestination(SoundRelay):
    def destination(self, envelope):
        return "here" if self.path.exists() else "there"


class SortsByDomain(SoundRelay):
    def destination(self, envelope):
        return envelope.recipients[0].address.split("@")[1]


class OnlySaysSo(SoundRelay):
    def deliver(self, address, content):
        return DELIVERED


class Reformats(SoundRelay):
    def deliver(self, address, content):
        message = b"".join(content.chunks()).decode("ascii", "replace").encode()
        return super().deliver(address, Content(MemoryBody(message)))


class ForgetsWhatItHasDelivered(SoundRelay):
    def interrupted(self, replies, interruption):
        raise interruption


BROKEN_RELAY = {
    "test_each_open_recipient_gets_one_reply_by_its_number": ForgetsTheLast,
    "test_a_reply_is_2yz_4yz_or_5yz": TellsToGoOn,
    "test_a_later_attempt_is_answered_for_those_still_open": Remembers,
    "test_whatever_is_in_the_envelope_is_answered": WantsAscii,
    "test_the_envelope_is_left_as_it_was": Rewrites,
    "test_many_attempts_at_once_each_get_their_own_replies": KeepsOneEnvelope,
    "test_others_run_while_an_attempt_does": BlocksTheHub,
    "test_no_sync_no_sleep_and_no_child_is_waited_for_in_the_hubs_thread": SyncsInTheHub,
    "test_attempts_leave_nothing_behind": Leaks,
    "test_a_kill_ends_an_attempt": OutlivesKills,
    "test_a_timeout_of_the_caller_ends_an_attempt": TakesEveryTimeoutForItsOwn,
    "test_an_interrupted_attempt_leaves_nothing_behind": LeaksWhenStruck,
    "test_drain_is_true_only_when_no_attempt_is_left": SaysItIsDrained,
    "test_drain_takes_no_longer_than_its_grace": DrainsForEver,
    "test_stop_cuts_short_what_is_in_hand": StopsLater,
    "test_a_destination_is_text_told_from_memory": LooksUpItsDestination,
    "test_whatever_is_in_the_envelope_has_a_destination": SortsByDomain,
    "test_success_means_that_the_message_is_there": OnlySaysSo,
    "test_the_message_is_delivered_as_it_was_received": Reformats,
    "test_who_was_delivered_before_a_kill_is_told": ForgetsWhatItHasDelivered,
}


class RelaySuite(DeliveringRelayContract):
    sound = SoundRelay
    proven_elsewhere = ComponentContract
    broken = BROKEN_RELAY

    def make_relay(self, context):
        return self.subject(context)

    def delivered(self, context, address):
        return [file.read_bytes() for file in (context.state_path / address.encode().hex()).glob("*")]


def test_the_suite_finds_and_names_what_is_broken(suite: str, rule: str, outcomes) -> None:
    assert (suite, rule, "broken") in outcomes.failures, outcomes.output


def test_a_sound_component_passes(outcomes) -> None:
    assert {} == {key: said for key, said in outcomes.failures.items() if "sound" in key}, outcomes.output


def test_every_rule_is_broken_by_somebody(unbroken_rules) -> None:
    assert {"RelaySuite": set()} == unbroken_rules
