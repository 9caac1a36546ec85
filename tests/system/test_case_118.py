"""Acceptance case 118: a storage that lies is found and named by the shipped suite, and does not stop the queue."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from pathlib import Path

import attrs
import gevent
import pytest

from mdacore import Claim, Content, MemoryBody, NewMessage, Outcome, Query, QueueId, Recipient, State, StorageError
from mdacore.runtime import SystemClock
from mdacore.testing import MemoryStorage, ScriptedRelay, assembled_service, make_envelope

LIARS = Path(__file__).parent / "lying_storages.py"
LOCAL_ERROR = "451 4.3.0 Local error, try again later"


@pytest.fixture(scope="module")
def failures():
    """What the suite has found in each liar: names of tests, by class. One run for all, and one for the endless."""

    def run(*options):
        command = [sys.executable, "-m", "pytest", "-q", "--tb=no", "-p", "no:cacheprovider", *options, str(LIARS)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=600)
        return re.findall(r"^FAILED \S+::Test(\w+)::(\w+)", ended.stdout, re.MULTILINE)

    endless = "test_a_claim_is_a_list_of_at_most_its_limit"  # the others would wait for its end
    found = [*run("-k", "not TestClaimsWithoutEnd"), *run("-k", f"TestClaimsWithoutEnd and {endless}")]
    return {liar: [test for other, test in found if other == liar] for liar, _ in found}


class StorageOf(MemoryStorage):
    """A storage in memory of which a test replaces methods; `honest` is what they would have done."""

    def __init__(self, **methods):
        super().__init__(SystemClock())
        for name, method in methods.items():
            honest = getattr(self, name)
            setattr(self, name, lambda *args, _method=method, _honest=honest, **keys: _method(_honest, *args, **keys))


@pytest.fixture
def lying():
    """A service whose storage has these methods of the test's."""

    def make(relay=None, **methods):
        return assembled_service(storages={"spool": StorageOf(**methods)}, relays={"local": relay or ScriptedRelay()})

    return make


def let_run():
    for _ in range(50):
        gevent.sleep(0.001)


def stored_for(service):
    """A message as another run of the service has left it: to be claimed and read."""
    storage = service.assembly.storages["storages.spool"]
    message = NewMessage(envelope=make_envelope(), lane="local/", due_at=0.0)
    (queue_id,) = MemoryStorage.write(storage, [message], queue="main")
    let_run()
    return queue_id


class TestSuite:
    """The suite fails each of them by the name of the rule that it breaks."""

    def test_case_118_an_honest_one_passes(self, failures):
        assert "Honest" not in failures

    def test_case_118_write_returns_before_it_is_durable(self, failures):
        assert "test_what_was_written_is_there_after_a_kill" in failures["SavesAtTheEnd"]

    def test_case_118_read_gives_anothers_data(self, failures):
        assert "test_read_gives_each_claim_its_own_message" in failures["GivesAnothersData"]

    def test_case_118_claim_gives_duplicates(self, failures):
        assert "test_no_message_is_claimed_twice" in failures["ClaimsTwice"]

    def test_case_118_claim_gives_bad_tuples(self, failures):
        assert "test_a_claim_is_a_list_of_at_most_its_limit" in failures["ClaimsAsTuples"]

    def test_case_118_claim_never_ends(self, failures):
        assert ["test_a_claim_is_a_list_of_at_most_its_limit"] == failures["ClaimsWithoutEnd"]

    def test_case_118_settle_raises(self, failures):
        assert "test_with_no_recipient_left_open_the_message_is_gone" in failures["CannotSettle"]

    def test_case_118_text_for_octets(self, failures):
        assert "test_read_gives_the_envelope_as_it_was_written" in failures["GivesText"]


class TestQueue:
    """The queue looks at what it is given; what it cannot use it refuses, and goes on."""

    @pytest.mark.parametrize(
        "given",
        [None, [], "x", [None], [("memory1", "main")], [QueueId("a"), QueueId("b")], iter([]), [b"bytes"]],
        ids=lambda value: type(value).__name__,
    )
    def test_case_118_write_gives_rubbish(self, lying, given):
        """Whether the message is stored is not known then: 451, never success, and the log says so."""
        with lying(write=lambda honest, messages, **keys: given) as service:
            (reply,) = service.send(make_envelope())

            assert LOCAL_ERROR == str(reply)
            assert 1 == len(service.log.find("queue.accept_unknown"))
            assert [] == service.seen()

    @pytest.mark.parametrize("change", [{"lane": "other/"}, {"queue": "other"}])
    def test_case_118_write_gives_anothers_claim(self, lying, change):
        def write(honest, messages, **keys):
            return [attrs.evolve(claim, **change) for claim in honest(messages, **keys)]

        with lying(write=write) as service:
            assert [LOCAL_ERROR] == list(map(str, service.send(make_envelope())))

    @pytest.mark.parametrize("error", [StorageError("x"), ValueError("x"), SystemExit(1)], ids=repr)
    def test_case_118_settle_raises_and_the_result_is_kept(self, lying, error):
        """Delivered is delivered: the result is recorded as soon as it can be, and nothing is sent twice."""
        errors = [error]

        def settle(honest, *args):
            if errors:
                raise errors.pop()
            return honest(*args)

        with lying(settle=settle) as service:
            service.send(make_envelope())
            service.wait_until_idle()

            (settled,) = service.assembly.storages["storages.spool"].settled
            assert Outcome.DELIVERED is settled[1].closed[0].outcome
            assert (1, 1) == (len(service.seen()), len(service.log.find("queue.settle_failed")))

    def test_case_118_read_gives_anothers_data_and_it_is_not_sent(self, lying):
        def read(honest, claim):
            return attrs.evolve(honest(claim), queue_id=QueueId("another0001"))

        with lying(read=read) as service:
            queue_id = stored_for(service)

            assert ([], [(State.DUE, 1)]) == (service.seen(), [(one.state, one.attempts) for one in service.entries()])
            failed = service.log.one("queue.read_failed")
            assert f"read() of {queue_id} gave the message another0001" in failed["error"]

    def test_case_118_read_gives_two_recipients_of_one_number(self, lying):
        def read(honest, claim):
            message = honest(claim)
            twice = (*message.envelope.recipients, Recipient(number=0, address="eve@example.test"))
            return attrs.evolve(message, envelope=attrs.evolve(message.envelope, recipients=twice))

        with lying(read=read) as service:
            stored_for(service)

            assert ([], 1) == (service.seen(), len(service.entries()))

    @pytest.mark.parametrize("given", [None, "x", b"x", (1, 2), object()], ids=lambda value: type(value).__name__)
    def test_case_118_read_gives_rubbish(self, lying, given):
        with lying(read=lambda honest, claim: given) as service:
            stored_for(service)

            assert ([], 1) == (service.seen(), len(service.log.find("queue.read_failed")))

    def test_case_118_read_gives_text_for_octets(self, lying):
        """Whoever wants to send it fails; nothing is bounced, and nothing is lost."""

        def read(honest, claim):
            message = honest(claim)
            return attrs.evolve(message, envelope=message.envelope.with_content(Content(MemoryBody("text"))))

        def attempt(envelope, attempt):
            b"".join(envelope.content.chunks())

        with lying(ScriptedRelay(attempt), read=read) as service:
            stored_for(service)

            assert [(State.DUE, 1)] == [(one.state, one.attempts) for one in service.entries()]

    @pytest.mark.parametrize(
        "lie",
        [
            lambda claims: None,
            lambda claims: [("endless0001", "main")],
            lambda claims: [*claims, *claims],
            lambda claims: [attrs.evolve(claim, queue="other") for claim in claims],
            lambda claims: [attrs.evolve(claims[0], queue_id=QueueId(f"many{number:06d}")) for number in range(200)],
            lambda claims: itertools.repeat(claims[0]),
        ],
        ids=["none", "tuples", "duplicates", "another_queues", "too_many", "without_end"],
    )
    def test_case_118_claim_gives_rubbish(self, lying, lie):
        """Nothing of it is attempted; mail is taken and its first attempts are made all the same."""

        def claim(honest, *args, **keys):
            claims = honest(*args, **keys)
            return lie(claims) if claims else claims

        with lying(claim=claim) as service:
            stored_for(service)
            assert ([], 1) == (service.seen(), len(service.log.find("queue.claim_failed")))

            (reply,) = service.send(make_envelope("carol@example.test"))
            let_run()

            assert (250, ["carol@example.test"]) == (reply.code, [one.recipients[0].address for one in service.seen()])

    def test_case_118_claim_gives_what_is_in_hand(self, lying):
        """While one attempt runs the same claim comes again and again: it is attempted once."""
        given = []

        def claim(honest, *args, **keys):
            given.extend(one for one in honest(*args, **keys) if isinstance(one, Claim))
            return list(given)

        with lying(ScriptedRelay(lambda *_: gevent.sleep(3600)), claim=claim) as service:
            stored_for(service)

            assert 1 == len(service.seen())
            assert "which is in hand" in service.log.one("queue.claim_failed")["error"]
            assert 1 == len(list(service.assembly.storages["storages.spool"].entries(Query())))
