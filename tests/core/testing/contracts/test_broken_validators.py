"""For each rule of the validators' contract a policy that breaks it, and which the suite finds and names."""

from __future__ import annotations

import contextlib
import os
import time

import gevent

from mdacore import (
    Context,
    Credentials,
    Health,
    Identity,
    MailCommand,
    PolicyParts,
    RcptCommand,
    Reply,
    Session,
    Validators,
)
from mdacore.testing.policy_contract import PolicyContract
from mdacore.testing.validators_contract import ValidatorsContract

RIGHT = "open sesame"
UNKNOWN = Reply.parse("550 5.1.1 No such user")


class SoundValidators:
    """Knows Bob and Carol, and whoever has the right secret."""

    def __init__(self, context: Context) -> None:
        self.log = context.log

    def start(self) -> None: ...

    def drain(self, grace_s: float) -> bool:
        return True

    def stop(self) -> None: ...

    def health(self) -> Health:
        return Health()

    def parts(self) -> PolicyParts:
        return PolicyParts(validators=Validators(auth=self.auth, mail=self.mail, rcpt=self.rcpt))

    def auth(self, session: Session, credentials: Credentials) -> Identity | Reply | None:
        return Identity(name=credentials.authcid) if credentials.secret == RIGHT else None

    def mail(self, session: Session, command: MailCommand) -> Reply | None:
        session.notes["sound.sender"] = command.sender
        return None

    def rcpt(self, session: Session, command: RcptCommand) -> Reply | None:
        self.look_up(command.address)
        return None if command.address.startswith(("bob", "carol")) else UNKNOWN

    def look_up(self, address: str) -> None:
        gevent.sleep(0.002)


class SaysTrue(SoundValidators):
    def mail(self, session, command):
        return True


class TellsToGoOn(SoundValidators):
    def mail(self, session, command):
        return Reply(code=354)


class WantsADomain(SoundValidators):
    def rcpt(self, session, command):
        command.address.split("@")[1].encode("idna")


class ChangesTheSession(SoundValidators):
    def mail(self, session, command):
        session.sender = "somebody else"


class NotesAnywhere(SoundValidators):
    def mail(self, session, command):
        session.notes["sender"] = command.sender


class LogsSecrets(SoundValidators):
    def auth(self, session, credentials):
        self.log.debug("sound.asked", name=credentials.authcid, secret=credentials.secret)


class ServesOneAtATime(SoundValidators):
    is_busy = False

    def look_up(self, address):
        assert not self.is_busy
        self.is_busy = True
        super().look_up(address)
        self.is_busy = False


class BlocksTheHub(SoundValidators):
    def look_up(self, address):
        time.sleep(1.1)


class Leaks(SoundValidators):
    def look_up(self, address):
        os.dup(0)


class OutlivesKills(SoundValidators):
    def look_up(self, address):
        with contextlib.suppress(gevent.GreenletExit):
            gevent.sleep(0.1)


class TakesEveryTimeoutForItsOwn(SoundValidators):
    def look_up(self, address):
        with contextlib.suppress(gevent.Timeout):
            gevent.sleep(0.1)


BROKEN_VALIDATORS = {
    "test_an_answer_is_none_or_a_reply": SaysTrue,
    "test_a_reply_is_2yz_4yz_or_5yz": TellsToGoOn,
    "test_whatever_a_client_says_is_answered": WantsADomain,
    "test_what_it_is_shown_is_left_as_it_was": ChangesTheSession,
    "test_notes_are_under_the_plugins_name": NotesAnywhere,
    "test_a_secret_is_never_told": LogsSecrets,
    "test_sessions_are_told_apart": ServesOneAtATime,
    "test_others_run_while_a_check_does": BlocksTheHub,
    "test_sessions_leave_nothing_behind": Leaks,
    "test_a_kill_passes_through": OutlivesKills,
    "test_a_timeout_of_the_caller_passes_through": TakesEveryTimeoutForItsOwn,
}


class ValidatorsSuite(ValidatorsContract):
    sound = SoundValidators
    proven_elsewhere = PolicyContract
    broken = BROKEN_VALIDATORS
    notes_prefix = "sound."

    def make_policy(self, context):
        return self.subject(context)


def test_the_suite_finds_and_names_what_is_broken(suite: str, rule: str, outcomes) -> None:
    assert (suite, rule, "broken") in outcomes.failures, outcomes.output


def test_a_sound_component_passes(outcomes) -> None:
    assert {} == {key: said for key, said in outcomes.failures.items() if "sound" in key}, outcomes.output


def test_every_rule_is_broken_by_somebody(unbroken_rules) -> None:
    assert {"ValidatorsSuite": set()} == unbroken_rules
