"""For each rule of the edge contract an edge that breaks it, and which the suite finds and names.

The sound one is the SMTP edge; most of the others differ in what they make of their handoff and their validators.
"""

from __future__ import annotations

import contextlib
import os
import smtplib
import socket
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import gevent

from mdacore import Chain, Client, EdgeContext, Envelope, Handed, Reply
from mdacore.testing import RecordingHandoff
from mdacore.testing.component_contract import ComponentContract
from mdacore.testing.edge_contract import EdgeContract
from mdacore.testing.validators_contract import FakeSession
from mdacore_edge_smtp import SmtpConfig, SmtpEdge

OK = Reply.parse("250 2.0.0 Ok")


@attrs.define
class SoundHandoff:
    """Passes everything on."""

    inner: RecordingHandoff
    memory: dict[str, Any] = attrs.field(factory=dict)

    @property
    def spool_path(self) -> Path | None:
        return self.inner.spool_path

    @property
    def is_proxy(self) -> bool:
        return self.inner.is_proxy

    def refusal(self, size_bytes: int) -> Reply | None:
        return self.inner.refusal(size_bytes)

    def accept(self, envelope: Envelope) -> Sequence[Reply]:
        return self.inner.accept(envelope)


class SoundEdge(SmtpEdge):
    """For example.test, with the handoff and the validators that it was given."""

    handoff = SoundHandoff
    domains: tuple[str, ...] = ("example.test",)

    def __init__(self, context: EdgeContext, addresses: tuple[str, ...]) -> None:
        asked = {
            field.name: tuple(self.checked(field.name, check) for check in getattr(context.validators, field.name))
            for field in attrs.fields(Chain)
        }
        self.config = SmtpConfig(listen=addresses, domains=self.domains)
        handoff, validators = self.handoff(context.handoff), self.chain(Chain(**asked))
        super().__init__(self.config, attrs.evolve(context, handoff=handoff, validators=validators))

    def chain(self, chain: Chain) -> Chain:
        return chain

    def checked(self, stage: str, check: Any) -> Any:
        return check


# the life of an edge


class AcceptsWhenBound(SoundEdge):
    def bind(self):
        super().bind()
        super().start()

    def start(self):
        pass


class KeepsWhatItHasBound(SoundEdge):
    def bind(self):
        self.other = socket.create_server(("127.0.0.1", 0))
        super().bind()


class StopsOnlyWhatWasStarted(SoundEdge):
    is_started = False

    def start(self):
        self.is_started = True
        super().start()

    def stop(self):
        if self.is_started:
            super().stop()


class NamesItsConfiguration(SoundEdge):
    @property
    def addresses(self):
        return self.config.listen


class SaysItIsDrained(SoundEdge):
    def drain(self, grace_s):
        return True


class DrainsForEver(SoundEdge):
    def drain(self, grace_s):
        return super().drain(grace_s + 2.5)


class StopsPatiently(SoundEdge):
    patience_s = 4.2

    def stop(self):
        patience_s, self.patience_s = self.patience_s, 0
        self.drain(patience_s)
        super().stop()


class KeepsADescriptor(SoundEdge):
    def stop(self):
        os.dup(0)
        super().stop()


# what it makes of its handoff


def edge_with(handoff: type[SoundHandoff]) -> type[SoundEdge]:
    return type(handoff.__name__, (SoundEdge,), {"handoff": handoff})


class HandsOffTwice(SoundHandoff):
    def accept(self, envelope):
        self.inner.accept(envelope)
        return self.inner.accept(envelope)


class NamesTheNullSender(SoundHandoff):
    def accept(self, envelope):
        return self.inner.accept(attrs.evolve(envelope, sender=envelope.sender or "<>"))


class ForgetsTheClient(SoundHandoff):
    def accept(self, envelope):
        return self.inner.accept(attrs.evolve(envelope, client=Client()))


class KeepsTheFirstMessage(SoundHandoff):
    def accept(self, envelope):
        return self.inner.accept(envelope.with_content(self.memory.setdefault("content", envelope.content)))


class KeepsOneMessageForAll(SoundHandoff):
    def accept(self, envelope):
        self.memory["envelope"] = envelope
        gevent.sleep(0.05)
        return self.inner.accept(self.memory["envelope"])


class Leaks(SoundHandoff):
    def accept(self, envelope):
        os.dup(0)
        return self.inner.accept(envelope)


class AnswersEarly(SoundHandoff):
    def accept(self, envelope):
        gevent.spawn(self.inner.accept, envelope)
        return [OK]


class AnswersSuccess(SoundHandoff):
    def accept(self, envelope):
        self.inner.accept(envelope)
        return [OK]


class SwallowsErrors(SoundHandoff):
    def accept(self, envelope):
        with contextlib.suppress(BaseException):
            return self.inner.accept(envelope)
        return [OK]


class AsksAndGoesOn(SoundHandoff):
    def refusal(self, size_bytes):
        self.inner.refusal(size_bytes)


class HoldsAllInMemory(SoundHandoff):
    spool_path = None


class KeepsRefusedBodies(SoundHandoff):
    def accept(self, envelope):
        path = envelope.content.body.path
        path.with_suffix(".refused").hardlink_to(path)
        return self.inner.accept(envelope)


class SpoolsAnywhere(SoundHandoff):
    @property
    def spool_path(self):
        return Path(tempfile.gettempdir())


# what it makes of its validators


class SkipsAStage(SoundEdge):
    def chain(self, chain):
        return attrs.evolve(chain, data=())


class IsDeaf(SoundEdge):
    def checked(self, stage, check):
        def ask(*given):
            check(*given)

        return ask


class AsksTheFirstOnly(SoundEdge):
    def chain(self, chain):
        return attrs.evolve(chain, mail=chain.mail[:1])


class TakesPraiseForAnObjection(SoundEdge):
    """It looks only at whether there is a reply."""

    def checked(self, stage, check):
        if stage != "message":
            return check

        def ask(*given):
            reply = check(*given)
            return Reply.parse("450 4.0.0 Not now") if reply and reply.is_success else reply

        return ask


class ObjectsBeforeTheHandoff(SoundEdge):
    def chain(self, chain):
        early = tuple(
            lambda session, envelope, check=check: check(session, Handed(envelope=envelope, replies=()))
            for check in chain.queued
        )
        return attrs.evolve(chain, message=(*chain.message, *early), queued=())


class NeverCloses(SoundEdge):
    def checked(self, stage, check):
        def ask(*given):
            reply = check(*given)
            return Reply.parse("450 4.7.0 Not now") if reply is not None and reply.code == 421 else reply

        return ask


class AcceptsForEverybody(SoundEdge):
    domains = ("example.test", "elsewhere.test")


class ShowsNoTransaction(SoundEdge):
    def checked(self, stage, check):
        return lambda session, *given: check(FakeSession(client=session.client, notes=session.notes), *given)


class ForgetsNotes(SoundEdge):
    def checked(self, stage, check):
        def ask(session, *given):
            session.notes.clear()
            return check(session, *given)

        return ask


class EdgeClient:
    """A connection by smtplib."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._smtp = smtplib.SMTP(host, int(port), "client.example.test", timeout=5)

    def send(self, sender: str, recipients: Sequence[str], message: bytes) -> Sequence[Reply]:
        smtp = self._smtp
        try:
            smtp.ehlo_or_helo_if_needed()
            for code, text in (smtp.mail(sender), *map(smtp.rcpt, recipients)):
                if code >= 400:
                    smtp.rset()
                    return [Reply.parse(f"{code} {text.decode()}")]
            code, text = smtp.data(message)
        except smtplib.SMTPResponseException as refused:
            code, text = refused.smtp_code, refused.smtp_error
        return [Reply.parse(f"{code} {text.decode()}")]

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._smtp.quit()
        self._smtp.close()


BROKEN_EDGE = {
    "test_bound_and_not_started_it_accepts_nothing": AcceptsWhenBound,
    "test_an_address_that_is_taken_is_an_error_and_the_others_are_free_again": KeepsWhatItHasBound,
    "test_stop_releases_what_was_bound_and_never_started": StopsOnlyWhatWasStarted,
    "test_its_addresses_are_those_that_it_is_bound_to": NamesItsConfiguration,
    "test_a_message_is_handed_off_once_as_it_was_sent": edge_with(HandsOffTwice),
    "test_the_null_sender_is_handed_off_as_nothing": edge_with(NamesTheNullSender),
    "test_the_envelope_tells_where_it_came_in_and_when": edge_with(ForgetsTheClient),
    "test_a_connection_may_send_more_than_one_message": edge_with(KeepsTheFirstMessage),
    "test_many_sessions_at_once_keep_apart": edge_with(KeepsOneMessageForAll),
    "test_sessions_leave_nothing_behind": edge_with(Leaks),
    "test_success_is_answered_only_after_accept_has_returned": edge_with(AnswersEarly),
    "test_a_refusal_by_the_handoff_is_the_answer_and_the_connection_goes_on": edge_with(AnswersSuccess),
    "test_a_handoff_that_raises_is_never_answered_with_success": edge_with(SwallowsErrors),
    "test_what_cannot_be_stored_now_is_refused_before_it_is_sent": edge_with(AsksAndGoesOn),
    "test_a_large_body_is_a_file_in_the_spool_folder_until_accept_has_returned": edge_with(HoldsAllInMemory),
    "test_a_spooled_body_is_removed_after_a_refusal_too": edge_with(KeepsRefusedBodies),
    "test_without_a_spool_folder_a_large_body_is_held_in_memory": edge_with(SpoolsAnywhere),
    "test_drain_stops_accepting": SaysItIsDrained,
    "test_drain_ends_a_session_at_its_next_command": SaysItIsDrained,
    "test_drain_finishes_a_message_that_has_arrived": SaysItIsDrained,
    "test_drain_takes_no_longer_than_its_grace": DrainsForEver,
    "test_stop_cuts_short_a_message_that_is_being_handed_off": StopsPatiently,
    "test_stop_ends_idle_sessions": KeepsADescriptor,
    "test_validators_are_asked_at_each_stage_in_the_order_of_a_session": SkipsAStage,
    "test_an_objection_is_the_answer_and_nothing_is_handed_off": IsDeaf,
    "test_all_checks_are_asked_and_the_first_objection_wins": AsksTheFirstOnly,
    "test_a_success_by_a_validator_decides_nothing": TakesPraiseForAnObjection,
    "test_an_objection_after_the_handoff_comes_too_late": ObjectsBeforeTheHandoff,
    "test_a_421_closes_the_connection": NeverCloses,
    "test_a_foreign_domain_is_refused_before_any_validator_is_asked": AcceptsForEverybody,
    "test_a_session_shows_what_is_known_so_far": ShowsNoTransaction,
    "test_a_refused_recipient_is_not_among_them": IsDeaf,
    "test_notes_last_as_long_as_the_session": ForgetsNotes,
}


class EdgeSuite(EdgeContract):
    sound = SoundEdge
    proven_elsewhere = ComponentContract
    broken = BROKEN_EDGE

    def make_edge(self, context, addresses):
        return self.subject(context, addresses)

    def connect(self, address):
        return EdgeClient(address)


def test_the_suite_finds_and_names_what_is_broken(suite: str, rule: str, outcomes) -> None:
    assert (suite, rule, "broken") in outcomes.failures, outcomes.output


def test_a_sound_component_passes(outcomes) -> None:
    assert {} == {key: said for key, said in outcomes.failures.items() if "sound" in key}, outcomes.output


def test_every_rule_is_broken_by_somebody(unbroken_rules) -> None:
    assert {"EdgeSuite": set()} == unbroken_rules
