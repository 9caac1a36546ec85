"""Acceptance case 117, in a service in memory: whatever a plugin does costs at most the message in hand."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import gevent
import pytest
from gevent import socket

from mdacore import ConfigError, Health, PolicyParts, Provider, Reply, State, Status
from mdacore.runtime import CircuitState, SystemClock
from mdacore.service import Service
from mdacore.testing import (
    MemoryStorage,
    ScriptedRelay,
    assembled_service,
    make_attempt,
    make_envelope,
    no_leaks,
    provide,
)
from mdacore.testing.kinds import NoKeys

SITE = Path(__file__).parent / "site"
STAGES = ("connect", "helo", "auth", "mail", "rcpt", "data", "message", "queued", "reset", "tls")
FAULTS = ("raise", "raise_base", "interrupt", "timeout", "exit")
LOCAL_ERROR = "451 4.3.0 Local error, try again later"


@pytest.fixture
def faulty(monkeypatch):
    """The faulty plugin, installed for one test."""
    monkeypatch.syspath_prepend(str(SITE))
    yield "faulty"
    sys.modules.pop("faulty", None)


def relay_tables(**keys):
    return {"relays": {"local": {"kind": "faulty", **keys}}}


def policy_tables(place, **keys):
    """The faulty policy in a queue's list, or among the validators of the edge."""
    tables = {"policies": {"bad": {"kind": "faulty", **keys}}}
    if place == "validators":
        return {**tables, "edges": {"direct": {"kind": "direct", "validators": ["bad"]}}}
    return {**tables, "queues": {"main": {place: ["bad"]}}}


def smtp_tables(**keys):
    edge = {"kind": "smtp", "listen": ["127.0.0.1:0"], "domains": ["example.test"], "validators": ["bad"]}
    return {"edges": {"mx": edge}, "policies": {"bad": {"kind": "faulty", **keys}}}


def reply_to(connection, lines, command):
    """Send a command, if it is one, and return the code of the reply."""
    if command is not None:
        connection.sendall(command.encode() + b"\r\n")
    with gevent.Timeout(60):
        while (line := lines.readline())[3:4] == b"-":
            pass
    return line[:3].decode()


def events_of(service, *names):
    return [line.event for line in service.log.events if line.event in names]


def due(service):
    return [(entry.state, entry.attempts) for entry in service.entries()]


# --- raises


@pytest.mark.parametrize("how", FAULTS)
@pytest.mark.parametrize("stage", STAGES)
def test_case_117_raises_in_each_validator(faulty, stage, how):
    with assembled_service(policy_tables("validators", at=stage, how=how), plugins=[faulty]) as service:
        (check,) = getattr(service.assembly.edges["edges.direct"].context.validators, stage)

        replies = [check(None, None) for _ in range(2)]

        assert [LOCAL_ERROR] * 2 == list(map(str, replies))
        assert [250] == [reply.code for reply in service.send(make_envelope())]
        failed = service.log.find("plugin.failed", component="policies.bad")
        assert [True, True] == [line.exception is not None for line in failed]


@pytest.mark.parametrize("stage", ["helo", "mail", "rcpt", "data", "message", "reset"])
def test_case_117_raises_in_a_session_that_goes_on(faulty, stage):
    """The command gets 451, the connection stays open, and once the policy behaves the message is taken."""
    with assembled_service(smtp_tables(at=stage, times=1), plugins=["edge_smtp", faulty]) as service:
        with socket.create_connection(service.address()) as connection, connection.makefile("rb") as lines:
            codes = [reply_to(connection, lines, None)]
            for line in ("RSET", "EHLO a", "MAIL FROM:<a@b.c>", "RCPT TO:<b@example.test>", "DATA") * 2:
                codes.append(reply_to(connection, lines, line))
                if codes[-1] == "354":
                    codes.append(reply_to(connection, lines, "Subject: x\r\n\r\nx\r\n."))

        assert "451" in codes
        assert "250" == codes[-1]
        service.wait_until_idle()
        assert len(service.seen()) in (1, 2)


@pytest.mark.parametrize("how", FAULTS)
def test_case_117_raises_in_a_queue_policy(faulty, how):
    with assembled_service(policy_tables("policies", at="queue_policy", how=how), plugins=[faulty]) as service:
        (reply,) = service.send(make_envelope())

        assert LOCAL_ERROR == str(reply)
        assert ([], ["plugin.failed"]) == (service.entries(), events_of(service, "plugin.failed"))


@pytest.mark.parametrize("how", FAULTS)
@pytest.mark.parametrize("place", ["relay_policy", "attempt"])
def test_case_117_raises_before_or_in_an_attempt(faulty, place, how):
    tables = (
        relay_tables(at=place, how=how) if place == "attempt" else policy_tables("relay_policies", at=place, how=how)
    )
    with assembled_service(tables, plugins=[faulty]) as service:
        (reply,) = service.send(make_envelope())
        service.wait_until_idle()

        assert 250 == reply.code
        assert [(State.DUE, 1)] == due(service)
        assert [LOCAL_ERROR] == [line["reply"] for line in service.log.of("queue.deferred")]


def test_case_117_raises_in_destination(faulty):
    with assembled_service(relay_tables(at="destination"), plugins=[faulty]) as service:
        (reply,) = service.send(make_envelope())

        assert (LOCAL_ERROR, []) == (str(reply), service.entries())


def test_case_117_raises_in_health(faulty):
    with assembled_service(relay_tables(at="health"), plugins=[faulty]) as service:
        health = service.assembly.health()["relays.local"]

        assert (Status.FAILED, "relays.local raised RuntimeError('on purpose')") == (health.status, health.own.reason)
        assert Status.OK is service.assembly.health()["storages.spool"].status


class RaisingStorage:
    """Passes everything on to a storage in memory, but for one method, which raises."""

    def __init__(self, storage, method, error):
        self._storage, self._method, self._error = storage, method, error

    def __getattr__(self, name):
        if name != self._method:
            return getattr(self._storage, name)

        def fail(*_, **__):
            raise self._error

        return fail


@pytest.mark.parametrize("error", [RuntimeError("x"), SystemExit(3), BaseException("x")], ids=repr)
@pytest.mark.parametrize("method", ["refusal", "write", "claim", "read", "settle", "release", "wait", "health"])
def test_case_117_raises_in_each_method_of_a_storage(method, error):
    """Mail that could not be stored is answered 451; what is stored stays, and the service goes on."""
    storage = RaisingStorage(MemoryStorage(SystemClock()), method, error)
    with assembled_service(storages={"spool": storage}) as service:
        handoff = service.assembly.queues["queues.main"]
        refusal = handoff.refusal(100)
        replies = service.send(make_envelope())
        for _ in range(20):
            gevent.sleep(0.001)
        health = service.assembly.health()

        assert ("refusal" == method) == (refusal is not None and LOCAL_ERROR == str(refusal))
        assert [LOCAL_ERROR if method == "write" else "250"] == [str(replies[0])[: None if method == "write" else 3]]
        assert ("health" == method) == (health["storages.spool"].status is Status.FAILED)
        assert Status.OK is health["queues.main"].status


@pytest.mark.parametrize("how", ["raise", "exit"])
@pytest.mark.parametrize(
    ("at", "where"), [("build", "relays.local"), ("check", "relays.local"), ("parts", "policies.bad")]
)
def test_case_117_raises_at_assembly(faulty, at, where, how):
    """In every function that is called before the start it is a problem, with its place and its owner."""
    tables = policy_tables("policies", at=at, how=how) if at == "parts" else relay_tables(at=at, how=how)

    with pytest.raises(ConfigError) as caught, assembled_service(tables, plugins=[faulty]):
        pass

    assert f"{where}: the plugin faulty (faulty 1.5) failed: " in str(caught.value)


# --- hangs, and keeps failing


def test_case_117_hangs_in_a_session(faulty):
    """Three clients wait for the deadline; from then on nobody is asked, and nobody waits."""
    tables = smtp_tables(at="rcpt", how="hang", deadline_s=0.05)
    with no_leaks(), assembled_service(tables, plugins=["edge_smtp", faulty]) as service:
        with socket.create_connection(service.address()) as connection, connection.makefile("rb") as lines:
            for line in (None, "EHLO a", "MAIL FROM:<a@b.c>"):
                reply_to(connection, lines, line)
            with gevent.Timeout(60):
                codes = [reply_to(connection, lines, "RCPT TO:<b@example.test>") for _ in range(50)]
            assert "221" == reply_to(connection, lines, "QUIT")

        assert ["451"] * 50 == codes
        assert 3 == service.assembly.policies["policies.bad"].calls
        assert ["plugin.overran"] * 3 == events_of(service, "plugin.overran")
        off = service.log.one("plugin.switched_off")
        assert ("policies.bad", "rcpt", 3, 5.0) == tuple(off[key] for key in ("component", "call", "faults", "pause_s"))
        circuit = service.assembly.health()["policies.bad"].circuits["rcpt"]
        assert (CircuitState.OFF, "overran its deadline of 0.05 s") == (circuit.state, circuit.last_fault)


def test_case_117_hangs_in_a_queue_policy(faulty):
    tables = policy_tables("policies", at="queue_policy", how="hang", deadline_s=0.05, on_error="accept")
    with no_leaks(), assembled_service(tables, plugins=[faulty]) as service:
        with gevent.Timeout(60):
            codes = [service.send(make_envelope())[0].code for _ in range(20)]
        service.wait_until_idle()

        assert [250] * 20 == codes
        assert 3 == service.assembly.policies["policies.bad"].calls


def test_case_117_hangs_in_an_attempt(faulty):
    """After three hangs the relay is switched off: what comes then stays due, with no attempt counted."""
    tables = relay_tables(at="attempt", how="hang", deadline_s=0.05)
    with no_leaks(), assembled_service(tables, plugins=[faulty]) as service:
        for _ in range(3):
            service.send(make_envelope())
        service.wait_until_idle()
        codes = [service.send(make_envelope())[0].code for _ in range(5)]
        gevent.sleep(0.01)

        assert [250] * 5 == codes
        assert [(State.DUE, 1)] * 3 + [(State.DUE, 0)] * 5 == due(service)
        assert 3 == service.assembly.relays["relays.local"].calls
        health = service.assembly.health()["relays.local"]
        assert (Status.DEGRADED, CircuitState.OFF) == (health.status, health.circuits["attempt"].state)


def test_case_117_works_again(faulty):
    """After the pause one attempt is made on trial; it succeeds, and everything goes out."""
    tables = relay_tables(at="attempt", times=3, pause_max_s=0.05)
    with assembled_service(tables, plugins=[faulty]) as service:
        for _ in range(6):
            service.send(make_envelope())
        service.log.one("queue.accepted", queue_id="memory0000000006")
        with gevent.Timeout(60):
            while len(service.log.of("queue.delivered")) < 3:
                gevent.sleep(0.01)

        assert [(State.DUE, 1)] * 3 == due(service)
        assert 1 == len(service.log.of("plugin.switched_off")) == len(service.log.of("plugin.switched_on"))
        assert Status.OK is service.assembly.health()["relays.local"].status


# --- returns rubbish, changes its input


class Answering:
    """A policy whose parts are the test's."""

    def __init__(self, **parts):
        self._parts = PolicyParts(**parts)

    def parts(self):
        return self._parts

    def start(self): ...

    def drain(self, grace_s):
        return True

    def stop(self): ...

    def health(self):
        return Health()


@pytest.fixture
def with_policy(faulty):
    """A service with one policy made by the test."""

    def make(place, **parts):
        provider = Provider(kind="its", config=NoKeys, build=lambda *_: Answering(**parts), api=1)
        tables = {"policies": {"bad": {"kind": "its"}}, "queues": {"main": {place: ["bad"]}}}
        return assembled_service(tables, plugins=[provide(policies=[provider])])

    return make


RUBBISH = [None, [], (), "x", ["x"], {}, 3, b"bytes", object()]


@pytest.mark.parametrize("rubbish", [*RUBBISH, iter([])], ids=lambda value: type(value).__name__)
def test_case_117_returns_rubbish_from_a_queue_policy(with_policy, rubbish):
    with with_policy("policies", queue_policy=lambda envelope: rubbish) as service:
        (reply,) = service.send(make_envelope())

        assert (LOCAL_ERROR, []) == (str(reply), service.entries())
        assert "policies.bad" == service.log.one("plugin.failed")["component"]


def test_case_117_returns_a_million_envelopes(with_policy):
    with with_policy("policies", queue_policy=lambda envelope: [envelope] * 1_000_000) as service:
        (reply,) = service.send(make_envelope())

        assert (LOCAL_ERROR, []) == (str(reply), service.entries())


@pytest.mark.parametrize("rubbish", RUBBISH, ids=lambda value: type(value).__name__)
def test_case_117_returns_rubbish_from_a_relay_policy(with_policy, rubbish):
    with with_policy("relay_policies", relay_policy=lambda envelope, attempt: rubbish) as service:
        service.send(make_envelope())
        service.wait_until_idle()

        assert ([(State.DUE, 1)], []) == (due(service), service.seen())


@pytest.mark.parametrize("rubbish", [*RUBBISH, {0: "250 ok"}, {0: None}, {7: Reply(code=250)}, {"0": Reply(code=250)}])
def test_case_117_returns_rubbish_from_a_relay(rubbish):
    with assembled_service(relays={"local": ScriptedRelay(lambda *_: rubbish)}) as service:
        service.send(make_envelope())
        service.wait_until_idle()

        assert [(State.DUE, 1)] == due(service)


def test_case_117_too_few_replies_defer_only_those_without():
    relay = ScriptedRelay(lambda *_: {0: Reply(code=250), 2: Reply(code=250)})
    with assembled_service(relays={"local": relay}) as service:
        service.send(make_envelope("a@example.test", "b@example.test", "c@example.test"))
        service.wait_until_idle()

        (entry,) = service.entries()
        assert ["b@example.test"] == [address for address, _ in entry.recipients]


def change_sender(envelope, *_):
    envelope.sender = "eve@example.org"
    return [envelope]


def drop_recipients(envelope, *_):
    envelope.recipients.clear()
    return [envelope]


def change_body(envelope, *_):
    envelope.content.body.data = b"other"
    return [envelope]


@pytest.mark.parametrize("change", [change_sender, drop_recipients, change_body])
@pytest.mark.parametrize("place", ["policies", "relay_policies"])
def test_case_117_mutates_its_input(with_policy, place, change):
    """An envelope cannot be changed: to try is a fault, and nothing is half done."""
    part = {"policies": "queue_policy", "relay_policies": "relay_policy"}[place]
    with with_policy(place, **{part: change}) as service:
        (reply,) = service.send(make_envelope())
        service.wait_until_idle()

        assert [] == service.seen()
        assert "policies.bad" == service.log.one("plugin.failed")["component"]
        assert (reply.code, len(service.entries())) == ((451, 0) if place == "policies" else (250, 1))
        assert {"alice@example.org"} >= {entry.sender for entry in service.entries()}


def test_case_117_what_it_returned_is_no_longer_its_own(with_policy):
    """A list that a policy keeps and changes later changes nothing."""
    kept = []

    def keep(envelope):
        kept[:] = [envelope]
        return kept

    with with_policy("policies", queue_policy=keep) as service:
        service.send(make_envelope())
        kept.clear()
        service.wait_until_idle()

        assert ["alice@example.org"] == [envelope.sender for envelope in service.seen()]


# --- leaks


def test_case_117_leaks_descriptors(faulty):
    """The kit's check names what is left open; a service in production says when few are left."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with assembled_service(relay_tables(at="attempt", how="leak"), plugins=[faulty]) as service:
        with pytest.raises(AssertionError, match=r"descriptor \d+ on /dev/null"), no_leaks():
            service.assembly.relays["relays.local"].attempt(make_envelope(), make_attempt())
        before = Service(service.assembly).health()["service"].own
        resource.setrlimit(resource.RLIMIT_NOFILE, (before.facts["descriptors"] * 10 // 8, hard))
        try:
            after = Service(service.assembly).health()["service"]
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for file in service.assembly.relays["relays.local"].files:
                file.close()

    assert Status.OK is before.status
    assert (Status.DEGRADED, before.facts["descriptors"]) == (after.status, after.own.facts["descriptors"])
    assert "descriptors are open" in after.own.reason
