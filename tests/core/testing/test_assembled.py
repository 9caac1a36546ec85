"""A whole service in memory: assembled, driven, looked at, and ended without a trace."""

from __future__ import annotations

import smtplib

import attrs
import gevent
import pytest

from mdacore import ConfigError, Health, PolicyParts, Provider, Rejection, Reply, State, Validators
from mdacore.testing import (
    MemoryStorage,
    ScriptedRelay,
    assembled_service,
    content_of,
    make_envelope,
    no_leaks,
    provide,
)

LATER = Reply.parse("451 4.2.1 Mailbox busy")
FINE = Reply.parse("250 2.0.0 Delivered")
NO = Reply.parse("550 5.7.1 No")


@attrs.frozen(kw_only=True)
class TagConfig:
    text: str = attrs.field(default="seen", metadata={"help": "What the field says."})


class Tag:
    """A policy that adds a field, refuses what the null sender sends, and knows nobody called eve."""

    def __init__(self, config, context):
        self._field = f"X-Tag: {config.text}\r\n".encode()
        self._log = context.log

    def parts(self):
        return PolicyParts(queue_policy=self.apply, validators=Validators(rcpt=self.check))

    def apply(self, envelope):
        if not envelope.sender:
            raise Rejection(NO)
        self._log.info("tag.added")
        return [envelope.with_content(envelope.content.prepend(self._field))]

    def check(self, session, command):
        return NO if command.address.startswith("eve@") else None

    def start(self): ...

    def drain(self, grace_s):
        return True

    def stop(self): ...

    def health(self):
        return Health()


TAG = provide(policies=[Provider(kind="tag", config=TagConfig, build=Tag, api=1)])
TAGGING = {"policies": {"tag": {"kind": "tag", "text": "here"}}, "queues": {"main": {"policies": ["tag"]}}}
SMTP = {
    "edges": {
        "mx": {"kind": "smtp", "listen": ["127.0.0.1:0"], "domains": ["example.test"], "validators": ["tag"]},
    }
}


class TestSend:
    def test_with_nothing_said_a_message_goes_through_to_the_scripted_relay(self):
        with assembled_service() as service:
            replies = service.send(make_envelope("bob@example.test"))
            service.wait_until_idle()

        (envelope,) = service.seen()
        assert ([250], ["bob@example.test"]) == (
            [reply.code for reply in replies],
            [recipient.address for recipient in envelope.recipients],
        )
        assert [] == service.entries()

    def test_plugins_given_in_code_take_part(self):
        with assembled_service(TAGGING, plugins=[TAG]) as service:
            service.send(make_envelope(message=b"A: b\r\n\r\n"))
            service.wait_until_idle()

            assert NO == service.send(make_envelope(sender=""))[0]

        assert [b"X-Tag: here\r\nA: b\r\n\r\n"] == [content_of(envelope) for envelope in service.seen()]

    def test_relays_and_storages_of_the_tests_own_stand_in(self):
        relay, storage = ScriptedRelay(NO), MemoryStorage(None)
        storage.fail_next["write"] = [OSError("no")]
        tables = {
            "relays": {"far": {"kind": "scripted"}, "near": {"kind": "scripted"}},
            "queues": {"main": {"relay": "near"}},
        }

        with assembled_service(tables, relays={"near": relay}) as service:
            service.send(make_envelope(sender=""))
            service.wait_until_idle()

        assert 1 == len(relay.attempts) == len(service.seen("near"))
        assert [] == service.seen("far")

    def test_a_second_queue_is_named(self):
        with assembled_service({"queues": {"main": {}, "second": {}}}) as service:
            service.send(make_envelope(), queue="second")
            service.wait_until_idle()

        assert ["queue.accepted", "queue.delivered"] == [one.event for one in service.log.events]


class TestSmtp:
    def test_a_message_comes_in_over_smtp(self):
        with no_leaks(), assembled_service({**TAGGING, **SMTP}, plugins=["edge_smtp", TAG]) as service:
            refused = service.send_smtp("bob@example.test", "eve@example.test", message=b"Subject: x\r\n\r\nhello\r\n")
            service.wait_until_idle()

        assert {"eve@example.test": NO} == refused
        (envelope,) = service.seen()
        assert content_of(envelope).endswith(b"\r\nSubject: x\r\n\r\nhello\r\n")

    def test_what_nobody_takes_raises(self):
        with (
            assembled_service({**TAGGING, **SMTP}, plugins=["edge_smtp", TAG]) as service,
            pytest.raises(smtplib.SMTPRecipientsRefused),
        ):
            service.send_smtp("eve@example.test", edge="mx")


class TestIdle:
    def test_a_deferred_message_waits_and_is_attempted_when_it_is_made_due(self):
        with assembled_service(relays={"local": ScriptedRelay(LATER, FINE)}) as service:
            service.send(make_envelope())
            service.wait_until_idle()
            (entry,) = service.entries()
            assert (State.DUE, [("bob@example.test", LATER)]) == (entry.state, list(entry.recipients))

            assert 1 == service.make_due()
            service.wait_until_idle()

            assert [] == service.entries()
        assert 2 == len(service.seen())

    def test_what_keeps_it_busy_is_said(self):
        def hang(envelope, attempt):
            gevent.sleep(60)

        with assembled_service(relays={"local": ScriptedRelay(hang)}) as service:
            service.send(make_envelope())

            with pytest.raises(AssertionError, match=r"not idle after 0.05 s: .* is active in lane local/"):
                service.wait_until_idle(timeout_s=0.05)


class TestLog:
    def test_core_and_plugins_are_heard(self):
        with assembled_service(TAGGING, plugins=[TAG]) as service:
            service.send(make_envelope())
            service.wait_until_idle()

        assert "policies.tag" == service.log.one("tag.added").instance
        assert "queues.main" == service.log.one("queue.delivered", rcpts=["bob@example.test"]).instance


class TestLife:
    def test_nothing_is_left_behind(self):
        with no_leaks(), assembled_service(relays={"local": ScriptedRelay(LATER)}) as service:
            service.send(make_envelope())
            service.wait_until_idle()

        assert not service.state_path.exists()

    def test_a_configuration_that_cannot_work_is_refused_with_its_problems(self):
        service = assembled_service({"relays": {"local": {"kind": "teleport"}}})

        with pytest.raises(ConfigError) as caught:
            service.__enter__()

        assert ["relays.local.kind"] == [problem.key for problem in caught.value.problems]

    def test_when_a_part_cannot_start_the_others_are_stopped(self):
        class Part(MemoryStorage):
            is_stopped = False

            def stop(self):
                self.is_stopped = True

        class Broken(ScriptedRelay):
            def start(self):
                raise OSError("no way")

        storage = Part(None)
        service = assembled_service(storages={"spool": storage}, relays={"local": Broken()})

        with pytest.raises(OSError, match="no way"):
            service.__enter__()

        assert storage.is_stopped

    def test_when_a_part_cannot_start_what_was_bound_is_free_again(self):
        class Broken(MemoryStorage):
            def start(self):
                raise OSError("no way")

        service = assembled_service({**TAGGING, **SMTP}, plugins=["edge_smtp", TAG], storages={"spool": Broken(None)})

        with no_leaks(), pytest.raises(OSError, match="no way"):
            service.__enter__()

    def test_a_relay_without_a_script_has_seen_nothing_that_is_known(self):
        tables = {"relays": {"local": {"kind": "blackhole"}}}

        with (
            assembled_service(tables, plugins=["relay_blackhole"]) as service,
            pytest.raises(TypeError, match=r"relays.local is no ScriptedRelay"),
        ):
            service.seen()

    def test_installed_plugins_keep_their_files_in_the_state_folder(self, tmp_path):
        tables = {"storages": {"spool": {"kind": "shelve"}}}

        with assembled_service(tables, plugins=["storage_shelve"], state_path=tmp_path) as service:
            service.send(make_envelope())
            service.wait_until_idle()

        assert [tmp_path / "spool"] == list(tmp_path.iterdir())
        assert 1 == len(service.seen())
