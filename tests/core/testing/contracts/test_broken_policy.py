"""For each rule of the two contracts about envelopes a policy that breaks it, and which the suite finds and names."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence

import attrs
import gevent

from mdacore import Attempt, Content, Context, Envelope, Health, MemoryBody, PolicyParts
from mdacore.testing.component_contract import ComponentContract
from mdacore.testing.policy_contract import EnvelopePolicyContract
from mdacore.testing.queue_policy_contract import QueuePolicyContract
from mdacore.testing.relay_policy_contract import RelayPolicyContract


class SoundPolicy:
    """Puts a field on top, after a moment's thought; at both places."""

    def __init__(self, context: Context) -> None:
        self.path = context.state_path

    def start(self) -> None: ...

    def drain(self, grace_s: float) -> bool:
        return True

    def stop(self) -> None: ...

    def health(self) -> Health:
        return Health()

    def parts(self) -> PolicyParts:
        return PolicyParts(queue_policy=self.apply, relay_policy=self.apply_before)

    def apply(self, envelope: Envelope) -> Sequence[Envelope]:
        return [self.changed(envelope)]

    def apply_before(self, envelope: Envelope, attempt: Attempt) -> Envelope:
        return self.changed(envelope)

    def changed(self, envelope: Envelope) -> Envelope:
        self.think()
        return envelope.with_content(envelope.content.prepend(b"X-Seen: yes\r\n"))

    def think(self) -> None:
        gevent.sleep(0.002)


class LooksForItsParts(SoundPolicy):
    def parts(self):
        self.path.exists()
        return super().parts()


class Rewrites(SoundPolicy):
    def changed(self, envelope):
        object.__setattr__(envelope, "sender", "")
        return envelope


class ReadsSubjects(SoundPolicy):
    def changed(self, envelope):
        for subject in envelope.content.fields(b"Subject"):
            subject.decode("utf-8")
        return envelope


class CopiesTheBody(SoundPolicy):
    def changed(self, envelope):
        return envelope.with_content(Content(MemoryBody(b"".join(envelope.content.chunks()))))


class ForgetsEarlierEdits(SoundPolicy):
    def changed(self, envelope):
        return envelope.with_content(Content(envelope.content.body).prepend(b"X-Seen: yes\r\n"))


class WritesUnixLines(SoundPolicy):
    def changed(self, envelope):
        message = b"".join(envelope.content.chunks())
        return envelope.with_content(Content(MemoryBody(message.replace(b"\r\n", b"\n"))))


class KeepsOneEnvelope(SoundPolicy):
    def changed(self, envelope):
        self.envelope = envelope
        self.think()
        return self.envelope


class BlocksTheHub(SoundPolicy):
    def think(self):
        time.sleep(1.1)


class Leaks(SoundPolicy):
    def think(self):
        os.dup(0)


class OutlivesKills(SoundPolicy):
    def think(self):
        with contextlib.suppress(gevent.GreenletExit):
            gevent.sleep(0.1)


class TakesEveryTimeoutForItsOwn(SoundPolicy):
    def think(self):
        with contextlib.suppress(gevent.Timeout):
            gevent.sleep(0.1)


class LeaksWhenStruck(SoundPolicy):
    def think(self):
        fd = os.dup(0)
        super().think()
        os.close(fd)


class GivesNothing(SoundPolicy):
    def apply(self, envelope):
        return []


class LosesOne(SoundPolicy):
    def changed(self, envelope):
        return attrs.evolve(envelope, recipients=envelope.recipients[1:] or envelope.recipients)


class GivesParts(SoundPolicy):
    def apply_before(self, envelope, attempt):
        return [envelope]


class NumbersAgain(SoundPolicy):
    def changed(self, envelope):
        return envelope.with_recipients(envelope.recipients)


BROKEN_QUEUE_POLICY = {
    "test_parts_are_told_from_memory_before_the_start": LooksForItsParts,
    "test_the_envelope_is_left_as_it_was": Rewrites,
    "test_whatever_is_in_the_envelope_is_judged": ReadsSubjects,
    "test_bodies_are_shared": CopiesTheBody,
    "test_earlier_edits_are_kept": ForgetsEarlierEdits,
    "test_line_ends_stay_crlf": WritesUnixLines,
    "test_many_envelopes_at_once_keep_apart": KeepsOneEnvelope,
    "test_others_run_while_an_envelope_is_judged": BlocksTheHub,
    "test_judging_leaves_nothing_behind": Leaks,
    "test_a_kill_passes_through": OutlivesKills,
    "test_a_timeout_of_the_caller_passes_through": TakesEveryTimeoutForItsOwn,
    "test_an_interrupted_call_leaves_nothing_behind": LeaksWhenStruck,
    "test_the_result_is_a_list_or_tuple_of_envelopes_and_not_empty": GivesNothing,
    "test_no_recipient_is_lost_or_doubled": LosesOne,
}


class QueuePolicySuite(QueuePolicyContract):
    sound = SoundPolicy
    proven_elsewhere = ComponentContract
    broken = BROKEN_QUEUE_POLICY

    def make_policy(self, context):
        return self.subject(context)


BROKEN_RELAY_POLICY = {
    "test_the_result_is_one_envelope": GivesParts,
    "test_recipients_are_the_same_by_number": NumbersAgain,
}


class RelayPolicySuite(RelayPolicyContract):
    sound = SoundPolicy
    proven_elsewhere = EnvelopePolicyContract
    broken = BROKEN_RELAY_POLICY

    def make_policy(self, context):
        return self.subject(context)


def test_the_suite_finds_and_names_what_is_broken(suite: str, rule: str, outcomes) -> None:
    assert (suite, rule, "broken") in outcomes.failures, outcomes.output


def test_a_sound_component_passes(outcomes) -> None:
    assert {} == {key: said for key, said in outcomes.failures.items() if "sound" in key}, outcomes.output


def test_every_rule_is_broken_by_somebody(unbroken_rules) -> None:
    assert {"QueuePolicySuite": set(), "RelayPolicySuite": set()} == unbroken_rules
